"""Films in and out: times, sizes, turns, colours and sound come through, in every kind of file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from films import facts, make_animation, make_film, packets, picture, same, turned
from PIL import Image

from neuralstyle.video import apply_video, open_clip

pytest.importorskip("av")

UNEVEN = [0, 40, 80, 200, 240, 500, 900]


def through(clip: Path, output: Path, **options: Any) -> Path:
    """A clip painted by a network that changes nothing."""
    return apply_video(same, clip, output, steadiness=0, size=96, progress=False, **options)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_uneven_times_stay_in_every_film(suffix: str, tmp_path: Path) -> None:
    film = through(make_film(tmp_path / "clip.mp4", UNEVEN), tmp_path / f"film{suffix}")
    found = facts(film)
    assert found["times"] == [time / 1000 for time in UNEVEN]
    assert found["size"] == (96, 64)
    if suffix in (".mp4", ".mov"):
        assert found["seconds"] == pytest.approx(0.94, abs=0.002)


def test_a_film_that_is_turned_comes_out_upright(tmp_path: Path) -> None:
    clip = turned(make_film(tmp_path / "clip.mp4"))
    found = facts(through(clip, tmp_path / "film.mp4"))
    assert (found["size"], found["rotation"]) == ((64, 96), 0)
    upright = np.rot90(picture(0), -1)  # the blue top is at the right
    assert np.abs(found["first"].astype(int) - upright).mean() < 8
    assert found["first"][80, 60, 2] > 150


@pytest.mark.parametrize("tags", [(1, 1, 1), (6, 6, 6)])
@pytest.mark.parametrize("full", [False, True])
def test_colours_and_their_tags_stay(tags: tuple[int, int, int], full: bool, tmp_path: Path) -> None:
    matrix, primaries, transfer = tags
    clip = make_film(
        tmp_path / "clip.mp4",
        colorspace=matrix,
        color_primaries=primaries,
        color_trc=transfer,
        color_range=2 if full else 1,
    )
    before, after = facts(clip), facts(through(clip, tmp_path / "film.mp4"))
    assert after["tags"] == before["tags"] == tags
    assert np.abs(after["first"].astype(int) - before["first"]).mean() < 2.5


def test_odd_sides_become_even_and_keep_the_aspect(tmp_path: Path) -> None:
    clip = make_film(tmp_path / "clip.webm", codec="libvpx-vp9", size=(97, 63))
    assert facts(clip)["size"] == (97, 63)
    assert facts(through(clip, tmp_path / "film.mp4"))["size"] == (96, 62)
    with Image.open(through(clip, tmp_path / "film.webp")) as image:
        assert image.size == (96, 62)


def test_sound_is_copied_to_the_byte(tmp_path: Path) -> None:
    clip = make_film(tmp_path / "clip.mp4", sound="aac")
    assert packets(through(clip, tmp_path / "film.mp4")) == packets(clip)
    copied = packets(through(clip, tmp_path / "film.mkv"))
    assert [data for _, data in copied] == [data for _, data in packets(clip)]
    import av

    with av.open(str(through(clip, tmp_path / "silent.mp4", sound=False))) as film:
        assert not film.streams.audio


def test_a_part_has_its_part_of_the_sound(tmp_path: Path) -> None:
    clip = make_film(tmp_path / "clip.mp4", range(0, 2000, 40), sound="aac")
    film = through(clip, tmp_path / "film.mp4", start=0.4, end=0.8)
    assert facts(film)["times"] == [round(0.04 * number, 2) for number in range(10)]
    wanted = [(time - 0.4, data) for time, data in packets(clip) if 0.4 - 1024 / 48000 < time < 0.8]
    found = packets(film)
    assert [data for _, data in found] == [data for _, data in wanted]
    assert [time for time, _ in found] == pytest.approx([time for time, _ in wanted], abs=1e-3)


def test_sound_that_a_file_cannot_hold_is_refused_before_the_work(tmp_path: Path) -> None:
    clip = make_film(tmp_path / "clip.mp4", sound="aac")
    with pytest.raises(ValueError, match=r"clip.mp4 is aac, which \.webm cannot hold; write \.mkv"):
        through(clip, tmp_path / "film.webm")
    assert facts(through(clip, tmp_path / "film.webm", sound=False))["size"] == (96, 64)


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_hdr_is_refused_with_the_reason(transfer: int, name: str, tmp_path: Path) -> None:
    clip = make_film(tmp_path / "clip.mp4", color_trc=transfer, color_primaries=9, colorspace=9)
    with pytest.raises(ValueError, match=rf"clip.mp4 is an HDR film \({name}.*convert it to SDR first"):
        through(clip, tmp_path / "film.mp4")


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".apng"])
def test_animations_keep_times_and_loops(suffix: str, tmp_path: Path) -> None:
    form = {".gif": "GIF", ".webp": "WEBP", ".apng": "PNG"}[suffix]
    clip = make_animation(tmp_path / f"clip{suffix}", [100, 250, 40], loop=3, format=form)
    film = through(clip, tmp_path / f"film{suffix}")
    with Image.open(film) as image:
        assert (image.n_frames, image.info["loop"], image.size) == (3, 3, (96, 64))
    assert [float(frame.duration) for frame in open_clip(film).frames()] == [0.1, 0.25, 0.04]
    last = list(open_clip(film).frames())[-1].picture()
    assert np.abs(np.asarray(last.convert("RGB")).astype(int) - picture(2)).mean() < 4


def test_an_animation_becomes_a_film_and_a_film_frames(tmp_path: Path) -> None:
    clip = make_animation(tmp_path / "clip.gif", [100, 250, 40])
    assert facts(through(clip, tmp_path / "film.mp4"))["times"] == [0, 0.1, 0.35]
    folder = through(tmp_path / "film.mp4", tmp_path / "frames")
    assert [path.name for path in sorted(folder.iterdir())] == [f"frame-{n:06d}.png" for n in (1, 2, 3)]


def test_a_folder_in_the_order_of_numbers_keeps_its_names(tmp_path: Path) -> None:
    folder = tmp_path / "clip"
    folder.mkdir()
    for number in (10, 9, 1):
        Image.fromarray(picture(number)).save(folder / f"shot{number}.png")
    (folder / "notes.txt").write_text("no picture")
    out = through(folder, tmp_path / "out")
    assert sorted(path.name for path in out.iterdir()) == ["shot1.png", "shot10.png", "shot9.png"]
    with Image.open(out / "shot9.png") as image:
        assert np.array_equal(np.asarray(image), picture(9))
    film = through(folder, tmp_path / "film.mp4", rate=10)
    assert facts(film)["times"] == [0, 0.1, 0.2]


def test_what_is_no_clip_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("these are words and no film at all")
    empty = tmp_path / "empty"
    empty.mkdir()
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(make_film(tmp_path / "clip.mp4").read_bytes()[:500])
    film = make_film(tmp_path / "clip.mp4")
    with pytest.raises(ValueError, match=r"text.txt is text, not a clip"):
        through(text, tmp_path / "out.mp4")
    with pytest.raises(ValueError, match="has no pictures in it"):
        through(empty, tmp_path / "out.mp4")
    with pytest.raises(ValueError, match=r"broken.mp4 cannot be decoded as a film"):
        through(broken, tmp_path / "out.mp4")
    with pytest.raises(FileNotFoundError, match=r"there is no file .*missing.mp4"):
        through(tmp_path / "missing.mp4", tmp_path / "out.mp4")
    with pytest.raises(ValueError, match=r"unknown suffix '.avi'"):
        through(film, tmp_path / "out.avi")
    with pytest.raises(FileExistsError, match="exists"):
        through(film, film)


def test_without_pyav_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film, clip = make_film(tmp_path / "clip.mp4"), make_animation(tmp_path / "clip.gif", [100, 100])
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    for source, target in ((film, "out.gif"), (clip, "out.mp4")):
        with pytest.raises(ImportError, match=r"pip install neuralstyle-torch\[video\]"):
            through(source, tmp_path / target)
    assert through(clip, tmp_path / "out.gif").exists()
