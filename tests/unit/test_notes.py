"""Texts that travel in the file of a picture, and the settings as such a text."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from doubles import painting

from neuralstyle import ContentLoss, Pixels, Style, Width, load_image, save_image
from neuralstyle.images.notes import MAX_NOTE, read_note
from neuralstyle.many import read_settings
from neuralstyle.many.settings import Settings, digest, settings_of

FORMS = [(".png", 8), (".png", 16), (".jpg", 8), (".webp", 8), (".avif", 8), (".tif", 8), (".tiff", 16)]


@pytest.mark.parametrize(("suffix", "depth"), FORMS)
def test_a_note_travels_in_every_format_and_changes_no_pixel(tmp_path: Path, suffix: str, depth: int) -> None:
    picture, note = torch.rand(1, 3, 24, 32), json.dumps({"name": "café", "size": 3})
    noted = save_image(picture, tmp_path / f"noted{suffix}", depth=depth, note=note)
    plain = save_image(picture, tmp_path / f"plain{suffix}", depth=depth)
    assert read_note(noted) == note
    assert read_note(plain) is None
    assert torch.equal(load_image(noted), load_image(plain))


@pytest.mark.parametrize(("note", "error"), [("é", ValueError), ("a" * (MAX_NOTE + 1), ValueError), (b"a", TypeError)])
def test_what_is_no_note_is_refused(tmp_path: Path, note: object, error: type[Exception]) -> None:
    with pytest.raises(error, match="a note"):
        save_image(torch.rand(1, 3, 24, 32), tmp_path / "a.png", note=note)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("note", ["", "[1]", "{}", '{"neuralstyle": 1, "options": []}', "{" * 5000])
def test_a_foreign_note_is_no_settings(tmp_path: Path, note: str) -> None:
    assert read_settings(save_image(torch.rand(1, 3, 24, 32), tmp_path / "a.png", note=note)) is None


def test_settings_are_words_of_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "style.png"
    painting().save(file)
    styles = [Style(file, scale=0.5), Style(file, mask=f"~{file}#red")]
    found = settings_of({"size": Width(300), "strength": 0.7, "encoder": "vgg16", "device": "cpu"}, styles)
    assert found.options == {
        **{"width": 300, "strength": 0.7, "network": "vgg16", "schedule": "standard", "color": "style"},
        **{"init": "content", "seed": 0, "style_scales": [0.5, 1.0]},
    }
    assert found.files == {"masks": [None, f"~{digest(file)}#red"]}
    assert settings_of({"size": Pixels(3000)}, []).options["pixels"] == 3000
    assert "ContentLoss" in settings_of({"losses": ContentLoss()}, []).others["losses"]


def test_what_differs_is_said(tmp_path: Path) -> None:
    made = Settings("stylize", {"size": 64, "strength": 0.5}, content="a", styles=["b"])
    path = save_image(torch.rand(1, 3, 24, 32), tmp_path / "a.png", note=made.note())
    found = read_settings(path)
    assert found is not None
    assert made.difference(found) is None
    assert made.difference({**found, "torch": "another", "neuralstyle": "0"}) is None
    assert made.difference(None) == "holds no settings"
    assert replace(made, options={"size": 64}).difference(found) == "has strength 0.5 and not None"
    assert replace(made, content="c").difference(found) == "is of another photograph"
    assert replace(made, styles=["c"]).difference(found) == "is in another style"
    assert replace(made, others={"losses": "x"}).difference(found) == "has other losses"
    assert made.difference({**found, "unfinished": "stopped"}) == "is not finished"
    assert Settings("stylize", {"text": "a" * MAX_NOTE}).note() is None
