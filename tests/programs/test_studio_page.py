"""The studio's page in a browser: walked as a person would, with its network, its console and its accessibility."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from neuralstyle import samples
from neuralstyle.studio import Running, Session, start

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install '.[test]'")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is found: apt-get install chromium")

SIZE = 128
FIRST_SECONDS = FOLLOW_SECONDS = 2.5  # on a machine that does nothing else
PATIENCE = 180_000  # milliseconds in which anything here happens on a busy machine
SIMILAR = 0.15  # mean difference, of 1, of a picture whose dials were turned on the way from the command's
WIDTHS = (1440, 900, 390)

# The picture as 64 x 64 numbers.
PIXELS = """() => {
  const small = document.createElement("canvas");
  small.width = small.height = 64;
  small.getContext("2d").drawImage(document.getElementById("picture"), 0, 0, 64, 64);
  return [...small.getContext("2d").getImageData(0, 0, 64, 64).data];
}"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    samples.photo().resize((300, 200)).save(folder / "first.png")
    samples.photo().crop((100, 40, 400, 240)).save(folder / "my cat's photo.png")
    samples.painting("swirl", size=256).save(folder / "swirl.png")
    return folder


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[Running]:
    running = start(folder / "first.png", [folder / "swirl.png"], port=0, size=SIZE)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Watched:
    """A page, its requests and what its console says."""

    def __init__(self, browser: Any, url: str, **options: Any) -> None:
        self.context = browser.new_context(accept_downloads=True, **options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("websocket", lambda socket: self.requests.append(socket.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        self.page.goto(url)


@pytest.fixture
def watched(browser: Any, running: Running) -> Iterator[Watched]:
    watched = Watched(browser, running.url, viewport={"width": 1440, "height": 900})
    yield watched
    watched.context.close()
    own = running.url.split("//")[1].split("/")[0]
    assert watched.requests
    elsewhere = [url for url in watched.requests if not url.startswith((f"http://{own}/", f"ws://{own}/", "blob:"))]
    assert elsewhere == []
    assert watched.complaints == []


def load() -> float:
    """How much more there is to do than the machine can, at least 1: the limits hold for a quiet one."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def differs(page: Any, before: list[int], least: float = 1.5) -> Callable[[], bool]:
    return lambda: float(np.abs(np.subtract(page.evaluate(PIXELS), before)).mean()) > least


def wait(page: Any, condition: Callable[[], Any], what: str) -> float:
    """Wait, and return the seconds."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < PATIENCE / 1000, f"it did not happen that {what}"
        page.wait_for_timeout(20)
    return time.monotonic() - began


def choose_file(page: Any, button: Any, path: Path) -> None:
    with page.expect_file_chooser() as chosen:
        button.click()
    chosen.value.set_files(path)


def save(page: Any, button: str, path: Path) -> bytes:
    with page.expect_download() as saved:
        page.locator(button).click()
    saved.value.save_as(path)
    return path.read_bytes()


def run_command(folder: Path, command: str) -> bytes:
    """Run a command as a shell does, and return the bytes of its picture."""
    program = f"{sys.executable} -m neuralstyle"
    done = subprocess.run(
        command.replace("neuralstyle", program, 1), shell=True, cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    found = folder / "painted.png"
    data = found.read_bytes()
    found.unlink()
    return data


def test_a_person_walks_the_page(watched: Watched, running: Running, folder: Path, tmp_path: Path) -> None:
    page, session = watched.page, running.session
    wait(page, lambda: session.state()["status"] == "idle", "the server is warm and its first picture finished")
    seconds = choose_a_photograph(page, session, folder / "my cat's photo.png")
    print(f"\nfirst picture after {seconds:.2f} s, load {load():.1f}")
    assert seconds <= FIRST_SECONDS * load()

    wait(page, lambda: not (session.state()["shown"] or {"look": True})["look"], "more than a look is painted")
    seconds = turn_the_strength_by_the_keyboard(page, session)
    print(f"the dial is followed after {seconds:.2f} s, load {load():.1f}")
    assert seconds <= FOLLOW_SECONDS * load()

    blend_in_another_painting(page, session)
    paint_its_region(page, session)
    wait(page, lambda: session.state()["shown"]["current"], "the regions are painted")
    page.locator("#pause").click()
    wait(page, lambda: session.state()["status"] == "paused", "it pauses")
    page.locator("#pause").click()
    wait(page, lambda: session.state()["status"] == "idle", "it goes on to the end")
    difference = compare_with_the_command(page, tmp_path)
    print(f"dials were turned on the way: mean difference {difference:.3f} from the command's picture")
    assert difference < SIMILAR

    # Exactly is offered: repaint from the beginning.
    page.get_by_role("button", name="Repaint from the beginning").click()
    wait(page, lambda: session.state()["status"] == "idle" and session.state()["shown"]["exact"], "it is repainted")
    downloaded = save(page, "#download-png", tmp_path / "exact.png")
    page.locator("#as-command").click()
    assert "to the byte" in page.locator("#dialog-body").inner_text()
    assert run_command(tmp_path / "kit", page.locator("#recipe").inner_text()) == downloaded
    page.get_by_role("button", name="Close").click()


def choose_a_photograph(page: Any, session: Session, photo: Path) -> float:
    """Choose a photograph, and return the seconds until a picture of it is there."""
    choose_file(page, page.get_by_role("button", name="Choose a photograph"), photo)

    def is_there() -> bool:
        is_new = session.state()["photo"]["name"] == "my-cat-s-photo.png"
        return is_new and page.locator("#picture").get_attribute("data-frames") not in (None, "0")

    return wait(page, is_there, "a picture appears")


def turn_the_strength_by_the_keyboard(page: Any, session: Session) -> float:
    """Turn the strength up, and return the seconds until the picture is another."""
    slider = page.get_by_role("slider", name="Strength")
    slider.focus()
    for _ in range(3):
        slider.press("PageUp")
    seconds = wait(page, lambda: session.scene.dials.strength > 0.7, "the dial is heard")
    before = page.evaluate(PIXELS)  # not earlier, as the painting goes on
    return seconds + wait(page, differs(page, before), "the picture follows the dial")


def blend_in_another_painting(page: Any, session: Session) -> None:
    page.get_by_role("button", name="Blend in another painting").click()
    page.get_by_role("button", name="embers").click()
    wait(page, lambda: len(session.scene.paintings) == 2, "there are two paintings")
    page.get_by_label("Share of painting 2").fill("0.4")
    wait(page, lambda: session.scene.paintings[1].weight == 0.4, "the share is told")


def paint_its_region(page: Any, session: Session) -> None:
    page.locator("#regions summary").click()
    page.locator("#regions-body label", has_text="embers").click()
    wait(page, lambda: page.locator("#brush").is_visible(), "the brush is there")
    box = page.locator("#brush").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] * 0.2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + box["height"] * 0.8, steps=6)
    page.mouse.up()
    wait(page, lambda: all(each.region for each in session.scene.paintings), "the regions are told")
    painted = session.scene.paintings[1].region
    assert painted is not None
    with Image.open(painted.path) as region:
        width, height = region.size
        assert region.getpixel((int(width * 0.75), height // 2)) > 200
        assert region.getpixel((width // 10, height // 2)) == 0
    page.locator("#regions summary").click()


def compare_with_the_command(page: Any, folder: Path) -> float:
    """Download the picture and what it was painted from, run the command, and return the mean difference."""
    save(page, "#download-png", folder / "now.png")
    save(page, "#download-zip", folder / "kit.zip")
    with zipfile.ZipFile(folder / "kit.zip") as kit:
        kit.extractall(folder / "kit")
    page.locator("#as-command").click()
    command = page.locator("#recipe").inner_text()
    assert "--regions region-1.png region-2.png" in command
    assert "not the same one" in page.locator("#dialog-body").inner_text()
    (folder / "command.png").write_bytes(run_command(folder / "kit", command))
    with Image.open(folder / "command.png") as again, Image.open(folder / "now.png") as now:
        return float(np.abs(np.subtract(again, now, dtype=float)).mean() / 255)


def test_a_second_page_follows_and_a_closed_one_is_forgotten(watched: Watched, browser: Any, running: Running) -> None:
    other = Watched(browser, running.url)
    wait(other.page, lambda: other.page.locator("#picture").get_attribute("data-frames") not in (None, "0"), "it shows")
    watched.page.wait_for_selector("#dial-strength")
    watched.page.get_by_role("slider", name="Strength").fill("0.25")
    wait(
        other.page,
        lambda: other.page.get_by_role("slider", name="Strength").input_value() == "0.25",
        "the other dial turns too",
    )
    readers = running.session.news.readers
    other.context.close()
    wait(watched.page, lambda: running.session.news.readers == readers - 1, "the closed page is forgotten")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_has_no_serious_fault_for_anybody(
    browser: Any, running: Running, width: int, scheme: str, tmp_path: Path
) -> None:
    watched = Watched(browser, running.url, viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = watched.page
    wait(page, lambda: page.locator("#picture").get_attribute("data-frames") not in (None, "0"), "there is a picture")
    for summary in ("#regions",):
        page.locator(f"{summary} summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width  # nothing is cut off
    found = axe.Axe().run(page).response["violations"]
    serious = [(each["id"], [node["html"] for node in each["nodes"]]) for each in found
               if each["impact"] in ("serious", "critical")]  # fmt: skip
    assert serious == []
    assert watched.complaints == []
    watched.context.close()


def test_the_keyboard_reaches_everything(watched: Watched) -> None:
    page = watched.page
    page.wait_for_selector("#dial-strength")
    page.locator("#anew").click()  # a painting that is finished cannot be paused
    wait(page, page.locator("#pause").is_enabled, "the painting begins")
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.className"))
    wanted = {"view", "pause", "keep", "anew", "dial-strength", "dial-scale", "dial-size", "download-png", "as-command"}
    assert wanted <= reached
    page.keyboard.press("b")
    assert page.locator("#split").is_visible()
