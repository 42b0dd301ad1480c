"""The studio without its server and its painting: scenes, passes, news, commands, the names of files."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from neuralstyle import cli, samples
from neuralstyle.recipes import preview, standard
from neuralstyle.studio.guard import Guard, check_token, is_loopback, new_token
from neuralstyle.studio.news import MOST_POINTS, News
from neuralstyle.studio.painted import Painted
from neuralstyle.studio.passes import FIRST_NEW_STROKES, anew, onward, with_detail_of
from neuralstyle.studio.reproduce import as_command, as_python
from neuralstyle.studio.scene import Dials, Painting, Scene, Source
from neuralstyle.studio.shelf import Shelf, tidy
from neuralstyle.studio.versions import MOST_VERSIONS, Versions


def source(name: str, key: int, is_region: bool = False) -> Source:
    return Source(name, Path(f"/hidden/{key}"), key, 300, 200, is_region)


PHOTO, SWIRL, EMBERS = source("photo.jpg", 1), source("swirl.png", 2), source("it's embers.png", 3)
SCENE = Scene(PHOTO, (Painting(SWIRL, 0.7), Painting(EMBERS, 0.3, source("r", 4, True))))


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    shelf = Shelf()
    yield shelf
    shelf.close()


def test_a_scene_is_complete_with_a_photograph_and_a_painting_that_counts() -> None:
    assert SCENE.is_complete
    assert not replace(SCENE, photo=None).is_complete
    assert not replace(SCENE, paintings=()).is_complete
    assert not replace(SCENE, paintings=(Painting(SWIRL, 0.0),)).is_complete


def test_weights_are_turned_like_dials() -> None:
    turned = SCENE.turned({"weights": [0.25, 1], "strength": 0.75})
    assert [each.weight for each in turned.paintings] == [0.25, 1.0]
    assert turned.dials.strength == 0.75
    assert [each.region for each in turned.paintings] == [each.region for each in SCENE.paintings]
    for weights in ([1], [0, 0], [1, "x"], [1, float("nan")], "11", [1, -1]):
        with pytest.raises(ValueError, match=r"shares?|weights"):
            SCENE.turned({"weights": weights})


@pytest.mark.parametrize(
    ("values", "is_new"),
    [
        ({"strength": 0.9}, False),
        ({"color": "luminance"}, False),
        ({"weights": [0.5, 0.5]}, False),
        ({"scale": 0.5}, True),
        ({"style_loss": "mean-std"}, True),
    ],
)
def test_strokes_of_another_size_or_kind_begin_in_a_small_picture(values: dict[str, Any], is_new: bool) -> None:
    turned = SCENE.turned(values)
    assert turned.needs_new_strokes(SCENE) == is_new
    first, *_, last = onward(turned, SCENE, 512, is_look=False)
    assert (first.schedule[0].size < 256) == is_new  # type: ignore[union-attr]
    assert first.goes_on
    assert not first.is_exact
    assert first.shown_from == (FIRST_NEW_STROKES if is_new else 0)
    assert last.size == 512
    assert last.schedule[-1].encoder != "compact19"  # type: ignore[union-attr]


def test_only_what_begins_at_the_photograph_by_a_named_schedule_is_exact() -> None:
    (whole,) = anew(SCENE)
    assert (whole.size, whole.schedule, whole.is_exact) == (512, "standard", True)
    assert whole.later == len(standard(512)) - len(preview(512))
    # After a mere look nothing is lost by painting all of it from the beginning, unseen until it is as fine.
    follow, *_, again = onward(SCENE.turned({"strength": 0.9}), SCENE, 256, is_look=True)
    assert not follow.is_exact
    assert again == replace(whole, shown_from=256)


def test_another_size_alone_goes_straight_to_the_last_stages() -> None:
    larger = SCENE.turned({"size": 1024})
    (refine,) = onward(larger, SCENE, 512, is_look=False)
    assert refine.goes_on
    assert [stage.size for stage in refine.schedule] == [1024, 1024]  # type: ignore[union-attr]


def test_a_change_made_in_a_small_picture_keeps_the_detail_of_the_large_one() -> None:
    present = torch.rand(1, 3, 32, 48)
    small = torch.nn.functional.interpolate(present, (16, 24)) / 2 + 0.2
    assert torch.equal(with_detail_of(small, small, present), present)
    lighter = with_detail_of((small + 0.1), small, present * 0.5)
    assert torch.allclose(lighter, present * 0.5 + 0.1, atol=1e-5)


def test_news_are_the_latest_and_curves_stay_bounded() -> None:
    news, heard = News(), []
    end = news.listen(lambda: heard.append(news.frame))
    news.show(b"one")
    news.show(b"two")
    news.tell()
    end()
    news.tell()
    assert heard == [2]
    assert news.latest() == (2, b"two")
    news.begin_curves()
    run, _ = news.points(-1, 0)
    for number in range(MOST_POINTS + 1):
        news.add_point({"x": number})
    other, points = news.points(run, 100)
    assert other != run
    assert len(points) == MOST_POINTS // 2 + 1
    assert news.points(other, len(points)) == (other, [])


def painted(**values: Any) -> Painted:
    dials = Dials().changed({key: value for key, value in values.items() if key in Dials.__annotations__})
    rest = {key: value for key, value in values.items() if key not in Dials.__annotations__ or key == "schedule"}
    return Painted(replace(SCENE, dials=dials), **{"size": 512, "schedule": "standard", "iterations": None,
                                                   "is_exact": True, **rest})  # fmt: skip


def test_the_command_is_understood_and_says_every_dial() -> None:
    command = as_command(
        painted(strength=0.61, scale=1.25, color="luminance", style_loss="mean-std", iterations=47, tile="auto")
    )
    program, *words = shlex.split(command)
    options = cli._parser().parse_args(words)
    assert program == "neuralstyle"
    assert (options.content, options.style) == ("photo.jpg", ["swirl.png", "it's embers.png"])
    assert options.style_blend_weights == [0.7, 0.3]
    assert options.regions == ["-", "region-2.png"]
    assert (options.strength, options.style_scales, options.enlarge_styles) == (0.61, [1.25], True)
    assert (options.color, options.style_loss) == ("luminance", "mean-std")
    assert (options.stop_after, options.tile, options.size) == (47, "auto", 512)
    assert "--strength" not in as_command(painted())


def test_the_script_says_the_same_as_the_command() -> None:
    script = as_python(painted(strength=0.61, style_loss="mean-std", iterations=47, schedule="draft"))
    compile(script, "paint.py", "exec")
    for words in (
        "from neuralstyle import DEFAULT_LOSSES, Style, save_image, stylize, with_style_loss",
        "Style(\"it's embers.png\", weight=0.3, region='region-2.png')",
        "strength=0.61",
        "schedule='draft'",
        "losses=with_style_loss(DEFAULT_LOSSES, 'mean-std')",
        "callback=lambda progress: progress.iteration < 47",
    ):
        assert words in script


def test_two_files_of_one_name_get_two_names() -> None:
    scene = Scene(source("a.png", 1), (Painting(source("a.png", 2)), Painting(source("painted.png", 3))))
    command = as_command(Painted(scene, 512, "standard", None, True))
    assert command.startswith("neuralstyle stylize a.png a-2.png painted-2.png -o painted.png")


@pytest.mark.parametrize(
    ("name", "tidied"),
    [
        ("holiday.jpg", "holiday.jpg"),
        ("../../etc/passwd", "passwd"),
        ("C:\\pictures\\a b.png", "a-b.png"),
        ("--overwrite", "overwrite"),
        (".hidden", "hidden"),
        ("$(rm).png", "rm-.png"),
        ("", "picture"),
        ("größe.png", "größe.png"),
        ("a\nb.png", "a-b.png"),
        ("x" * 500 + ".png", "x" * 76 + ".png"),
    ],
)
def test_names_that_are_brought_mean_nothing_to_a_shell_or_a_folder(name: str, tidied: str) -> None:
    assert tidy(name) == tidied


def test_versions_stay_bounded_and_leave_no_files(shelf: Shelf) -> None:
    versions = Versions(shelf)
    picture = samples.photo().resize((24, 16))
    for _ in range(MOST_VERSIONS + 3):
        versions.keep(replace(painted(), is_exact=False), picture, torch.rand(1, 3, 16, 24))
    assert [facts["number"] for facts in versions.facts()] == list(range(4, MOST_VERSIONS + 4))
    assert len(list(shelf.folder.iterdir())) == 2 * MOST_VERSIONS
    with pytest.raises(KeyError, match="no version 1"):
        versions.find(1)


def test_a_shelf_takes_no_more_than_its_bytes(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neuralstyle.studio.shelf.MAX_BYTES", 10)
    file = shelf.new_path()
    samples.photo().resize((24, 16)).save(file, "PNG")
    with pytest.raises(ValueError, match="holds"):
        shelf.take(file, "photo.png")
    assert not file.exists()


def test_a_token_is_long_and_random() -> None:
    assert len({new_token() for _ in range(10)}) == 10
    assert check_token(new_token())
    for token in ("short", "with/slash-and-more", "with space in it", "x" * 200, ""):
        with pytest.raises(ValueError, match="12 to 128"):
            check_token(token)


@pytest.mark.parametrize(
    ("host", "asked", "is_own"),
    [
        ("127.0.0.1", "127.0.0.1:80", True),
        ("127.0.0.1", "localhost:80", True),
        ("127.0.0.1", "192.168.0.3:80", False),
        ("127.0.0.1", "rebound.example:80", False),
        ("0.0.0.0", "192.168.0.3:80", True),
        ("0.0.0.0", "rebound.example:80", False),
        ("studio.example", "studio.example:80", True),
        ("studio.example", "localhost:80", False),
        ("::1", "[::1]:80", True),
        ("127.0.0.1", "", False),
        ("127.0.0.1", "127.0.0.1.evil.example", False),
        ("127.0.0.1", "evil@127.0.0.1", False),
    ],
)
def test_a_name_that_another_could_point_here_is_refused(host: str, asked: str, is_own: bool) -> None:
    guard = Guard(lambda *_: None, new_token(), host)  # type: ignore[arg-type, return-value]
    assert guard._is_own(asked) == is_own


def test_loopback_is_known() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "localhost", "::1", "127.0.0.2")))
    assert not any(map(is_loopback, ("0.0.0.0", "192.168.0.3", "example", "")))
