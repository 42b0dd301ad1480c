"""Options from TOML files and from pictures: what they add, what counts first, and what is refused."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest
import torch

from neuralstyle import cli, save_image
from neuralstyle.cli import presets
from neuralstyle.cli.batch import BATCH
from neuralstyle.cli.painting import STYLIZE
from neuralstyle.cli.parsing import Command
from neuralstyle.cli.settings import NOT_SEEN, settings
from neuralstyle.many.settings import Settings


def parsed(*words: str) -> argparse.Namespace:
    """The options of a command line, with those of its presets."""
    added = presets.added(cli._parser(), words)
    return cli._parser(presets=added).parse_args(list(words))  # type: ignore[no-any-return]


def picture(folder: Path, options: dict[str, Any], **more: Any) -> str:
    made = Settings("stylize", options, **more)
    return str(save_image(torch.rand(1, 3, 24, 32), folder / "made.png", overwrite=True, note=made.note()))


@pytest.fixture
def config(tmp_path: Path) -> str:
    file = tmp_path / "preset.toml"
    file.write_text(
        'strength = 0.8\nstyle-scales = [1.5]\n[batch]\nsize = 300\nstyle = ["a.jpg"]\n[stylize]\nsize = 200\n'
    )
    return str(file)


def test_a_file_adds_options_and_the_command_line_counts_first(config: str) -> None:
    found = parsed("stylize", "a", "b", "-o", "c.png", "--config", config)
    assert (found.strength, found.style_scales, found.size) == (0.8, [1.5], 200)
    found = parsed("batch", "a", "-o", "c", "--config", config, "--strength", "0.1")
    assert (found.strength, found.style, found.size) == (0.1, ["a.jpg"], 300)
    found = parsed("stylize", "a", "b", "-o", "c.png", "--width", "90", f"--config={config}")
    assert (found.size, found.width) == (None, 90)


def test_a_picture_adds_its_settings_and_a_file_counts_first(config: str, tmp_path: Path) -> None:
    made = picture(tmp_path, {"size": 64, "strength": 0.3, "schedule": "draft", "enlarge_styles": True})
    found = parsed("stylize", "a", "b", "-o", "c.png", "--like", made)
    assert (found.size, found.strength, found.schedule, found.enlarge_styles) == (64, 0.3, "draft", True)
    found = parsed("stylize", "a", "b", "-o", "c.png", "--like", made, "--config", config, "--schedule", "fine")
    assert (found.size, found.strength, found.schedule) == (200, 0.8, "fine")
    found = parsed("stylize", "a", "b", "-o", "c.png", "--like", made, "--pixels", "5000")
    assert (found.size, found.pixels) == (None, 5000)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sise = 3", "unknown option of stylize 'sise': did you mean 'size'"),
        ("size = 'large'", "size cannot be 'large'"),
        ("size = 3.5", "size has the wrong type, received 3.5"),
        ("size = true", "size has the wrong type"),
        ("size = [3]", "size takes one value"),
        ("schedule = 'drft'", "did you mean 'draft'"),
        ("schedule = 3", "schedule has the wrong type"),
        ("betas = [0.9]", "betas takes 2 values"),
        ("overwrite = 1", "overwrite is true or false"),
        ("stylize = 1", "stylize is the name of a command"),
        ("like = 'a.png'", "unknown option of stylize 'like'"),
        ("size = ", "is not a TOML file"),
        (None, "there is no file"),
    ],
)
def test_a_wrong_file_is_one_line(
    tmp_path: Path, text: str | None, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "preset.toml"
    if text is not None:
        file.write_text(text)
    assert cli.main(["stylize", "a", "b", "-o", "c.png", "--config", str(file)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("neuralstyle: error: ")
    assert message in line


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"others": {"losses": "x"}}, "was painted from Python with losses"),
        ({"files": {"masks": ["x"]}}, "was painted with --masks, whose files do not travel in it"),
    ],
)
def test_what_a_picture_cannot_say_is_asked_for(tmp_path: Path, more: dict[str, Any], message: str) -> None:
    made = picture(tmp_path, {"size": 64}, **more)
    with pytest.raises(ValueError, match=message):
        parsed("stylize", "a", "b", "-o", "c.png", "--like", made)


def test_a_picture_without_settings_is_refused(tmp_path: Path) -> None:
    plain = save_image(torch.rand(1, 3, 24, 32), tmp_path / "plain.png")
    with pytest.raises(ValueError, match="holds no settings"):
        parsed("stylize", "a", "b", "-o", "c.png", "--like", str(plain))


def test_settings_are_what_was_given_and_the_defaults_that_may_change() -> None:
    found = settings(parsed("stylize", "a", "b", "-o", "c.png", "--width", "90", "--tv-weight", "2"), {}, "stylize")
    assert found.options == {
        **{"width": 90, "tv_weight": 2.0, "schedule": "standard", "strength": 0.5, "color": "style"},
        **{"init": "content", "seed": 0},
    }
    batch = parsed("batch", "a", "--style", "b", "-o", "c", "--width", "90", "--tv-weight", "2", "--jobs", "3")
    assert settings(batch, {}, "stylize") == found


def test_regions_that_are_found_are_a_word_and_not_a_file(tmp_path: Path) -> None:
    found = settings(parsed("stylize", "a", "b", "-o", "c.png", "--regions", "auto"), {}, "stylize")
    assert (found.options["regions"], found.files) == (["auto"], {})
    mask = save_image(torch.rand(1, 3, 24, 32), tmp_path / "mask.png")
    found = settings(parsed("stylize", "a", "b", "-o", "c.png", "--regions", str(mask), "-"), {}, "stylize")
    assert "regions" not in found.options
    assert found.files["regions"][1] is None


@pytest.mark.parametrize("command", [STYLIZE, BATCH])
def test_every_option_is_one_that_the_picture_shows_or_not(command: Command) -> None:
    shown = {option.key for option in command.table()} - NOT_SEEN
    known = {option.key for option in STYLIZE.table()}
    assert shown <= known
    assert {"size", "schedule", "masks", "weights", "depth", "quality", "keep_profile"} <= shown
