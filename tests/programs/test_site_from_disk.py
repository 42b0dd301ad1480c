"""The built documentation, opened from the disk in a browser: formulas, search, enlarged pictures, and no network."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PATIENCE = 60_000  # milliseconds

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = [
    pytest.mark.skipif(BROWSER is None, reason="there is no Chromium here (apt-get install chromium)"),
    pytest.mark.skipif(importlib.util.find_spec("material") is None, reason="mkdocs-material is not installed"),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=280)
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(params=[1280, 390])
def page(browser: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A page of that width, which must neither ask the network for anything nor have an error."""
    opened = browser.new_page(viewport={"width": request.param, "height": 900})
    opened.set_default_timeout(PATIENCE)
    faults: list[str] = []
    opened.on(
        "request", lambda each: None if each.url.startswith(("file:", "data:", "blob:")) else faults.append(each.url)
    )
    opened.on("requestfailed", lambda each: faults.append(each.url))
    opened.on("pageerror", lambda error: faults.append(str(error)))
    yield opened
    opened.close()
    assert faults == []


def test_formulas_are_drawn(site: Path, page: Any) -> None:
    page.goto(f"file://{site}/concepts.html")
    page.wait_for_selector("mjx-container")
    page.wait_for_function(
        "document.querySelectorAll('.arithmatex').length == document.querySelectorAll('mjx-container').length"
    )
    assert page.locator("mjx-container").count() > 10
    assert page.locator("mjx-merror").count() == 0
    page.wait_for_function("[...document.fonts].some(font => font.family.startsWith('MJX') && font.status == 'loaded')")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_word_is_found(site: Path, page: Any) -> None:
    page.goto(f"file://{site}/controls/balance.html")
    if page.viewport_size["width"] < 500:
        page.click("label.md-header__button[for=__search]")
    page.locator("input.md-search__input").press_sequentially("Wasserstein", delay=60)
    page.wait_for_selector(".md-search-result__item a")
    found = page.locator(".md-search-result__item a").evaluate_all("links => links.map(link => link.href)")
    assert any("which-loss.html" in link for link in found)


def test_a_picture_is_enlarged_by_hand_and_by_key(site: Path, page: Any) -> None:
    page.goto(f"file://{site}/controls/masks.html")
    picture = page.locator(".md-content img").first
    picture.click()
    page.wait_for_selector("dialog.enlarged[open]")
    assert page.locator("dialog.enlarged img").get_attribute("alt") == picture.get_attribute("alt")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog.enlarged:not([open])", state="attached")
    picture.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog.enlarged[open]")


def test_an_example_is_there_as_page_and_as_notebook(site: Path, page: Any) -> None:
    page.goto(f"file://{site}/examples/the_paper.html")
    assert page.locator(".md-content h1").inner_text().startswith("The paper in ten cells")
    for example in (ROOT / "examples").glob("*.py"):
        assert (site / "examples" / f"{example.stem}.ipynb").is_file()
        assert (site / "examples" / f"{example.stem}.html").is_file()


def test_no_page_shows_a_picture_that_is_missing(site: Path, page: Any) -> None:
    for name in ("index", "gallery", "your-own-loop"):
        page.goto(f"file://{site}/{name}.html")
        page.wait_for_load_state("load")
        broken = "images => images.filter(each => each.complete && !each.naturalWidth).map(each => each.src)"
        assert page.locator(".md-content img").evaluate_all(broken) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
