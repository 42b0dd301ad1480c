"""What the documentation says, done: its snippets, command lines, links and the examples in docstrings."""

from __future__ import annotations

import contextlib
import doctest
import functools
import importlib
import inspect
import io
import pkgutil
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from films import make_film
from PIL import Image

import neuralstyle
from neuralstyle import cli, samples
from neuralstyle.losses.base import as_sum
from neuralstyle.painting import stages

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAINTERS = ("stylize", "synthesize_texture", "reconstruct_content")
sheets = importlib.import_module("neuralstyle.many.sheet")
SIDE = 64  # of what is painted here, in pixels
MEASURED_SIDE = 96  # of what is measured too
EVALUATIONS = 1  # at each stage


def _blocks(text: str, language: str) -> list[str]:
    """The fenced code blocks of a language; their common indentation goes."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", text, flags=re.M | re.S)
    return [inspect.cleandoc("\n" + body) for _, body in found]


def _run(block: str, namespace: dict[str, Any], name: str) -> None:
    """Run a block; a comment after a print() is part of what it prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(block, name, "exec", dont_inherit=True), namespace)
    for expected in re.findall(r"^ *print\(.*\)  # (.+)$", block, flags=re.M):
        assert expected in printed.getvalue()


def _page(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _small(paint: Callable[..., Image.Image], side: int = SIDE) -> Callable[..., Image.Image]:
    """The function itself, but for a small picture and few evaluations."""
    defaults = {name: parameter.default for name, parameter in inspect.signature(paint).parameters.items()}

    @functools.wraps(paint)
    def painted(*args: Any, **options: Any) -> Image.Image:
        schedule = options.pop("schedule", defaults["schedule"])
        losses = options.get("losses") or neuralstyle.DEFAULT_LOSSES

        def short(size: int, iterations: int | None) -> list[neuralstyle.Stage]:
            if not isinstance(schedule, str) and not callable(schedule):
                return [replace(stage, size=min(stage.size, side), iterations=EVALUATIONS) for stage in schedule]
            listed, _ = stages.list_stages(schedule, size, iterations, as_sum(losses), options.get("encoder"))
            return [replace(stage, iterations=EVALUATIONS) for stage in listed]

        size = options.get("size", defaults["size"])
        options["size"] = min(size, side) if isinstance(size, int) else side
        return paint(*args, **{"progress": False, **options}, schedule=short)

    return painted


def _small_plan(*args: Any, **options: Any) -> neuralstyle.Plan:
    planned = _plan(*args, **{**options, "size": SIDE})
    return replace(planned, stages=tuple(replace(stage, iterations=EVALUATIONS) for stage in planned.stages))


def _small_film(clip: str, style: Any, output: str, **options: Any) -> Path:
    few = {"size": SIDE, "iterations": EVALUATIONS, "frame_iterations": EVALUATIONS, "progress": False}
    return _stylize_video(clip, style, output, **{**options, **few})


_plan = neuralstyle.plan
_stylize_video = neuralstyle.video.stylize_video
_painting = functools.cache(samples.painting)
_encoder = functools.cache(stages.default_encoder)


@pytest.fixture
def _quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder to work in, and everything small."""
    monkeypatch.chdir(tmp_path)
    for name in PAINTERS:
        monkeypatch.setattr(neuralstyle, name, _small(getattr(neuralstyle, name)))
    monkeypatch.setattr(
        samples, "painting", lambda name, size=512, seed=0: _painting(name, min(size, SIDE), seed).copy()
    )
    monkeypatch.setattr(stages, "default_encoder", _encoder)
    monkeypatch.setattr(neuralstyle, "plan", _small_plan)
    monkeypatch.setattr(neuralstyle.video, "stylize_video", _small_film)
    monkeypatch.setattr(sheets, "stylize", _small(sheets.stylize, MEASURED_SIDE))


def _on_a_ground(thing: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The right half of a picture, and nothing but light ground at its left."""
    picture = thing.resize(size)
    picture.paste("lightgrey", (0, 0, size[0] // 2, size[1]))
    return picture


@pytest.fixture
def _pictures(_quick: None) -> None:
    """The files that the snippets name."""
    samples.photo().resize((96, 64)).save("photo.jpg")
    samples.painting("swirl", SIDE).save("painting.jpg")
    samples.painting("mosaic", SIDE).save("second.jpg")
    _on_a_ground(samples.photo(), (96, 64)).save("tower.jpg", quality=95)
    _on_a_ground(samples.painting("mosaic", SIDE), (SIDE, SIDE)).save("wave.jpg", quality=95)
    sky = Image.new("L", (96, 64), 0)
    sky.paste(255, (0, 0, 96, 30))
    sky.save("sky.png")
    sky.point(lambda value: 255 - value).save("ground.png")
    sky.resize((SIDE, SIDE)).save("mask.png")
    colours = Image.new("RGB", (96, 64), "red")
    colours.paste("steelblue", (0, 0, 96, 32))
    colours.save("map.png")
    make_film(Path("film.mp4"), [0, 40])


@pytest.mark.usefixtures("_pictures")
@pytest.mark.parametrize(
    "page", [page for page in PAGES if _blocks(page.read_text(encoding="utf-8"), "python")], ids=_page
)
def test_snippets_of_a_page_run_one_after_the_other(page: Path) -> None:
    namespace: dict[str, Any] = {"__name__": "snippets"}
    for number, block in enumerate(_blocks(page.read_text(encoding="utf-8"), "python"), start=1):
        _run(block, namespace, f"{_page(page)}, python block {number}")


def test_pages_with_snippets_are_found() -> None:
    with_snippets = {_page(page) for page in PAGES if _blocks(page.read_text(encoding="utf-8"), "python")}
    assert {"README.md", "docs/getting-started.md", "docs/concepts.md"} <= with_snippets


def _documented() -> Iterator[tuple[str, Any]]:
    """Everything in the package that has a docstring with something to run, by its full name."""
    names = [module.name for module in pkgutil.walk_packages(neuralstyle.__path__, "neuralstyle.")]
    finder = doctest.DocTestFinder(exclude_empty=False)
    for name in names:
        if name == "neuralstyle.__main__":  # importing it runs it
            continue
        module = importlib.import_module(name)
        for test in finder.find(module, name):
            assert not test.examples, f"the example of {test.name} stands in a fenced block"
            if _blocks(test.docstring or "", "python"):
                yield test.name, test


DOCUMENTED = dict(_documented())


@pytest.mark.usefixtures("_quick")
@pytest.mark.parametrize("name", DOCUMENTED)
def test_example_of_a_docstring_runs(name: str) -> None:
    test = DOCUMENTED[name]
    for block in _blocks(test.docstring, "python"):
        _run(block, {"__name__": "example"}, name)


def test_examples_of_docstrings_are_found() -> None:
    assert {"neuralstyle.painting.stylize.stylize", "neuralstyle.images.reading.load_image"} <= set(DOCUMENTED)


def _command_lines(page: Path) -> list[list[str]]:
    """The arguments of every call of the command line in a page's shell blocks."""
    found = []
    for block in _blocks(page.read_text(encoding="utf-8"), "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            for command in line.split("&&"):
                words = shlex.split(command, comments=True)
                if words and PurePosixPath(words[0]).name == "neuralstyle":
                    found.append(words[1:])
    return found


COMMAND_LINES = [(page, line) for page in PAGES for line in _command_lines(page)]


@pytest.mark.parametrize(
    ("page", "line"), COMMAND_LINES, ids=[f"{_page(page)}: {' '.join(line)}" for page, line in COMMAND_LINES]
)
def test_command_line_is_understood(page: Path, line: list[str]) -> None:
    assert callable(cli._parser().parse_args(line).command.run)


def test_every_command_is_shown_in_the_readme() -> None:
    shown = {line[0] for page, line in COMMAND_LINES if page.name == "README.md"}
    assert {"demo", "stylize", "texture", "reconstruct", "recolor", "compare", "plot", "layers"} <= shown
    assert {"train", "apply", "export", "video"} <= shown


@pytest.mark.parametrize("page", PAGES, ids=_page)
def test_links_and_pictures_exist(page: Path) -> None:
    text = re.sub(r"^ *```.*?^ *```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|href)="([^"]+)"', text)
    for target in targets:
        file = target.split("#")[0]
        if file and "://" not in file:
            assert (page.parent / file).exists(), f"{_page(page)} points to {target}"


def test_two_commands_of_the_readme_stand_under_their_headings() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for heading, last in (
        ("Try it", ".venv/bin/neuralstyle demo"),
        ("Run the tests", ".venv/bin/pytest tests benchmarks/tests"),
    ):
        section = text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
        (block,) = _blocks(section, "sh")
        assert block.startswith("python3 -m venv .venv && ")
        assert block.endswith(f"&& {last}")
        assert "\n" not in block
