"""Folders of pictures: whatever can be opened counts, and what is left out is named."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import pytest
from PIL import Image

from neuralstyle.feedforward.data import Pictures, find_pictures
from neuralstyle.feedforward.files import find_results
from neuralstyle.images import formats, pixel_limit

PICTURE = Image.new("RGB", (32, 24), (200, 120, 40))


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """An album as phones make it, with subfolders and all that lies about."""
    folder = tmp_path / "album"
    (folder / "2024").mkdir(parents=True)
    (folder / ".thumbnails").mkdir()
    kinds = {"a.jfif": "JPEG", "b.JPG": "JPEG", "c.avif": "AVIF", "d.jp2": "JPEG2000", "e.mpo": "MPO", "IMG_6": "JPEG"}
    for name, kind in {**kinds, "2024/wrong.gif": "PNG", ".hidden.jpg": "JPEG", ".thumbnails/a.png": "PNG"}.items():
        PICTURE.save(folder / name, kind)
    return folder


def names(found: list[Path], folder: Path) -> list[str]:
    return [file.relative_to(folder).as_posix() for file in found]


ALBUM = ["2024/wrong.gif", "IMG_6", "a.jfif", "b.JPG", "c.avif", "d.jp2", "e.mpo"]


def test_whatever_can_be_opened_counts(album: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert names(find_pictures(album), album) == ALBUM


def test_what_is_left_out_is_counted_and_named_once(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "is_installed", lambda plugin: plugin != "HEIF")
    (album / "IMG_1.HEIC").write_bytes(b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(50))
    (album / "notes.txt").write_text("not a picture")
    (album / "empty.dat").touch()
    told = "IMG_1.HEIC (a HEIC picture, needs pillow-heif), empty.dat (an empty file), notes.txt (text)"
    with pytest.warns(UserWarning, match="left out") as caught:
        assert names(find_pictures(album), album) == ALBUM
    assert [str(warning.message) for warning in caught] == [f"3 files in {album} left out: {told}"]
    for number in range(1000):
        (album / f"{'z' * 200}{number}.txt").write_text("not a picture")
    with pytest.warns(UserWarning, match=r"^1003 files in .* and 1000 more$") as caught:
        find_pictures(album)
    assert len(str(caught[0].message)) < 300 + len(str(album))


def test_a_picture_by_its_name_fails_where_it_is_read(album: Path) -> None:
    for name, data in {"f.png": b"", "g.JPG": b"<html>404</html>", "h.webp": b"%!PS-Adobe-3.0"}.items():
        (album / name).write_bytes(data)
    assert names(find_pictures(album), album) == sorted([*ALBUM, "f.png", "g.JPG", "h.webp"])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes of POSIX systems")
def test_pipes_and_folders_named_as_pictures_are_no_files(album: Path) -> None:
    os.mkfifo(album / "f.jpg")
    (album / "g.jpg").mkdir()
    (album / "gone.jpg").symlink_to(album / "absent.jpg")
    assert names(find_pictures(album), album) == ALBUM


def test_no_picture_says_what_there_was(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7")
    with pytest.raises(ValueError, match=r"^no picture in .*; left out: a\.pdf \(a PDF document\); these can be"):
        find_pictures(tmp_path)


@pytest.mark.parametrize("out", ["out", "2024/out"])
def test_results_of_an_earlier_run_are_left_out(album: Path, out: str) -> None:
    output = album / out
    first = find_results(album, output)
    assert len(first) == len(ALBUM)
    for result in first.values():
        result.parent.mkdir(parents=True, exist_ok=True)
        PICTURE.save(result)
    with pytest.warns(UserWarning, match=r"^7 files in .* \(in the folder of the results\)"):
        second = find_results(album, output)
    assert second == first


def test_results_into_the_folder_itself_or_beside_it_change_nothing(album: Path) -> None:
    beside = album.with_name("album-out")
    beside.mkdir()
    for output in (beside, album.parent):
        assert list(find_results(album, output)) == find_pictures(album)


def test_links_are_followed_for_the_output(album: Path) -> None:
    first = find_results(album, album / "out")
    for result in first.values():
        result.parent.mkdir(parents=True, exist_ok=True)
        PICTURE.save(result)
    link = album.parent / "link"
    link.symlink_to(album / "out")
    with pytest.warns(UserWarning, match="in the folder of the results"):
        assert list(find_results(album, link)) == list(first)


def test_training_pictures_keep_the_limit_of_the_process_that_trains(album: Path) -> None:
    with pixel_limit(100):
        pictures = Pictures([album / "b.JPG"], 16, "center", 0)
    with pytest.raises(ValueError, match="too large: 0.000768 megapixels, and the limit is 0.0001"):  # noqa: RUF043
        pictures[0, 0]
