"""Sessions of the studio for tests: small pictures, a client behind the guard, and waiting."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image
from starlette.testclient import TestClient

from neuralstyle import samples
from neuralstyle.studio import Session
from neuralstyle.studio.guard import Guard
from neuralstyle.studio.scene import Dials, Painting, Scene
from neuralstyle.studio.server import application
from neuralstyle.studio.shelf import Shelf

TOKEN = "a-token-for-tests"
LIVE = f"ws://127.0.0.1:7860/{TOKEN}/live"
SIZE = 128
PATIENCE = 120.0  # seconds in which anything here happens on a busy machine


def png(size: tuple[int, int] = (96, 64), name: str = "") -> bytes:
    picture = samples.painting(name, size=96) if name else samples.photo()
    buffer = io.BytesIO()
    picture.resize(size).save(buffer, "PNG")
    return buffer.getvalue()


def gradient() -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").save(buffer, "PNG")
    return buffer.getvalue()


def make_pictures(folder: Path) -> Path:
    """Write a photograph and two paintings into a folder, and return it."""
    (folder / "photo.png").write_bytes(png())
    (folder / "swirl.png").write_bytes(png(name="swirl"))
    (folder / "embers.png").write_bytes(png(name="embers"))
    return folder


def wait(condition: Callable[[], Any], what: str) -> Any:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"in {PATIENCE:.0f} s it did not happen that {what}")


def make_session(folder: Path) -> Session:
    shelf = Shelf()
    paintings = (Painting(shelf.typed(str(folder / "swirl.png"))),)
    return Session(
        shelf, Scene(shelf.typed(str(folder / "photo.png")), paintings, Dials(size=SIZE, schedule="preview"))
    )


def make_client(session: Session) -> TestClient:
    app = Guard(application(session), TOKEN, "127.0.0.1")
    return TestClient(app, base_url=f"http://127.0.0.1:7860/{TOKEN}/", follow_redirects=False)
