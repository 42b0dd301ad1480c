"""The documentation as a site: it is whole, needs no network, and is small."""

from __future__ import annotations

import re
from pathlib import Path

import notebooks
import pytest
import reference_index
from ladder import ROOT

import neuralstyle

DOCS = ROOT / "docs"
CONFIG = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
LARGEST = 250_000  # bytes of a picture
ANIMATIONS = {"studio.webp": 1_000_000}  # the README's
LISTED = re.findall(r"^ +- .+: (\S+\.md)$", CONFIG, flags=re.M)


def test_every_page_and_every_example_is_in_the_navigation_once() -> None:
    pages = [str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")]
    pages += [f"examples/{example.stem}.md" for example in notebooks.examples()]
    assert sorted(LISTED) == sorted(pages)


def test_the_first_page_leads_to_every_page() -> None:
    text = (DOCS / "index.md").read_text(encoding="utf-8")
    linked = {target.split("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text)}
    assert {page for page in LISTED if not page.startswith("examples/")} - {"index.md"} <= linked


def test_the_examples_page_names_every_example() -> None:
    text = (DOCS / "examples.md").read_text(encoding="utf-8")
    titles = [notebooks.title(example.read_text(encoding="utf-8")) for example in notebooks.examples()]
    assert [title for title in titles if f"| **{title}** |" not in text] == []


def test_scripts_and_styles_come_with_the_site() -> None:
    extra = re.findall(r"^ +- ((?:javascripts|stylesheets|https?:)\S+)", CONFIG, flags=re.M)
    assert "javascripts/mathjax/tex-chtml.js" in extra
    assert "javascripts/iframe-worker/shim.js" in extra
    assert [file for file in extra if not (DOCS / file).is_file()] == []
    assert "  - offline" in CONFIG
    for library in ("mathjax", "iframe-worker"):
        assert (DOCS / "javascripts" / library / "LICENSE").is_file()


@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "gif"])
def test_pictures_are_small_and_each_is_shown(kind: str) -> None:
    pages = [*DOCS.rglob("*.md"), ROOT / "README.md"]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    pictures = list((DOCS / "images").rglob(f"*.{kind}"))
    assert [file.name for file in pictures if file.stat().st_size > ANIMATIONS.get(file.name, LARGEST)] == []
    assert [str(file) for file in pictures if f"{file.relative_to(DOCS / 'images')}" not in text] == []


def captions(page: Path) -> list[str]:
    return re.findall(
        r"!\[[^\]]*\]\(\.\./images/controls/(\S+)\)\n  <figcaption[^>]*>[^<]{20,}</figcaption>",
        page.read_text(encoding="utf-8"),
    )


def test_every_picture_of_a_control_has_a_caption() -> None:
    found = [name for page in (DOCS / "controls").glob("*.md") for name in captions(page)]
    assert sorted(found) == sorted(file.name for file in (DOCS / "images/controls").iterdir())


def test_the_index_has_the_public_names_and_the_options() -> None:
    short = {name for name, _ in reference_index.names()}
    everyday = {name for name in dir(neuralstyle) if callable(getattr(neuralstyle, name)) and not name.startswith("_")}
    assert sorted(everyday - short) == []
    options = reference_index.options()
    assert "stylize" in options["--schedule"][1]
    assert "stylize" in options["--tile"][1]  # one of --help-all
    filled = reference_index.filled((DOCS / "reference-index.md").read_text(encoding="utf-8"))
    assert "[`stylize`][neuralstyle.painting.stylize.stylize]" in filled
    assert "| `--tile` |" in filled
