"""Record the studio's page while it paints and follows a dial, as an animation for the README.

    python benchmarks/record_studio.py PHOTO PAINTING docs/images/studio.webp

It needs the extras of the tests and Chromium, and a machine that does nothing else: the frames are as far
apart as they were on the page.
"""

from __future__ import annotations

import argparse
import io
import itertools
import shutil
import sys
import time
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from neuralstyle.studio import start

WIDTH, HEIGHT = 1080, 675
SHOWN = 720  # pixels of the animation's width
SECONDS_OF_PAINTING, SECONDS_OF_DIAL, SECONDS_AT_THE_END = 7.0, 4.0, 1.5
FRAMES_PER_SECOND = 4
MOST_BYTES = 1_000_000
DIAL = "#dial-strength"
TURNS = 3  # keys pressed


def record(page: Page, seconds: float, frames: list[tuple[float, Image.Image]]) -> None:
    """Take pictures of the page for so many seconds."""
    end = time.monotonic() + seconds
    while (now := time.monotonic()) < end:
        shot = Image.open(io.BytesIO(page.screenshot(type="jpeg", quality=90)))
        frames.append((now, shot.resize((SHOWN, round(SHOWN * HEIGHT / WIDTH)), Image.Resampling.LANCZOS)))
        page.wait_for_timeout(max(0.0, 1000 * (now + 1 / FRAMES_PER_SECOND - time.monotonic())))


def save(frames: list[tuple[float, Image.Image]], output: Path) -> None:
    """Write the animation, with less quality until it is small enough."""
    times = [moment for moment, _ in frames]
    durations = [round(1000 * (after - before)) for before, after in itertools.pairwise(times)]
    durations.append(round(1000 * SECONDS_AT_THE_END))
    first, *others = (image for _, image in frames)
    for quality in range(70, 10, -10):
        first.save(output, save_all=True, append_images=others, duration=durations, loop=0, quality=quality, method=6)
        if output.stat().st_size <= MOST_BYTES:
            break


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path)
    parser.add_argument("painting", type=Path)
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        print("record_studio.py: no chromium is found; apt-get install chromium", file=sys.stderr)
        return 2
    frames: list[tuple[float, Image.Image]] = []
    running = start(options.photo, [options.painting], port=0, size=384)
    try:
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
            page.goto(running.url)
            record(page, SECONDS_OF_PAINTING, frames)
            dial = page.locator(DIAL)
            dial.focus()
            for _ in range(TURNS):
                dial.press("PageUp")
            record(page, SECONDS_OF_DIAL, frames)
            browser.close()
    finally:
        running.stop()
    save(frames, options.output)
    print(f"{options.output}: {len(frames)} frames, {options.output.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
