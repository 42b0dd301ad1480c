"""The studio: what its session paints, follows and keeps, through the server."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from PIL import Image
from starlette.testclient import TestClient
from studio_sessions import LIVE, PATIENCE, SIZE, gradient, make_client, make_pictures, make_session, png, wait

from neuralstyle.studio import Session
from neuralstyle.studio.scene import Dials


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pictures(tmp_path_factory.mktemp("studio"))


@pytest.fixture
def session(folder: Path) -> Iterator[Session]:
    session = make_session(folder)
    session.start()
    yield session
    session.close()
    session.shelf.close()


@pytest.fixture
def client(session: Session) -> TestClient:
    return make_client(session)


def is_idle(session: Session) -> Callable[[], bool]:
    return lambda: session.state()["status"] == "idle" and bool(session.versions.facts())


def finish(session: Session) -> None:
    wait(is_idle(session), "the picture is finished")


def test_the_live_picture_comes_with_its_state_and_curves(client: TestClient) -> None:
    names: set[str] = set()
    with client.websocket_connect(LIVE) as page:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            news = page.receive()
            page.send_text("taken")
            if "text" in news:
                names |= {name for point in json.loads(news["text"])["curves"]["points"] for name in point["terms"]}
            else:
                with Image.open(io.BytesIO(news["bytes"])) as picture:
                    assert picture.format == "JPEG"
                break
        else:
            raise AssertionError("no frame came")
    assert {"ContentLoss", "WassersteinLoss"} <= names or not names


def test_a_reader_that_does_not_read_holds_up_nobody(session: Session, client: TestClient) -> None:
    with client.websocket_connect(LIVE) as page:
        page.receive()  # and never says that it was taken
        finish(session)
        frames = session.news.frame
        assert frames > 1
        assert len(session.news.jpeg) < 10**6  # the latest frame is all that is held
    client.post("api/dials", json={"strength": 0.9})
    wait(lambda: session.news.frame > frames, "the painting goes on")


def test_fifty_requests_at_a_time_are_answered_and_the_painting_goes_on(session: Session, client: TestClient) -> None:
    picture = png((1500, 1000))
    before = psutil.Process().memory_info().rss

    def ask(number: int) -> int:
        if number % 5 == 0:
            return client.post("api/maps", params={"name": f"{number}.png"}, content=picture).status_code
        return client.get(("api/state", "", "api/words", "page/main.js")[number % 4]).status_code

    with ThreadPoolExecutor(50) as pool:
        assert set(pool.map(ask, range(50))) == {200}
    assert psutil.Process().memory_info().rss - before < 400 * 2**20
    finish(session)


def test_the_dials_are_followed_and_undone(session: Session, client: TestClient) -> None:
    finish(session)
    frame, (first,) = session.news.frame, session.versions.facts()
    assert first["exact"]
    assert first["finished"]
    assert client.post("api/dials", json={"strength": 0.9, "color": "luminance"}).json() == {"ok": True}
    wait(lambda: session.news.frame > frame, "the picture changes")
    wait(lambda: len(session.versions.facts()) == 2 and is_idle(session)(), "the picture is finished again")
    assert session.state()["dials"]["strength"] == 0.9
    client.post("api/do/undo")
    assert session.state()["dials"]["strength"] == 0.5
    client.post("api/do/redo")
    assert session.state()["dials"]["color"] == "luminance"
    client.post("api/do/reset")
    assert session.scene.dials == Dials(size=SIZE)


def test_pause_keeps_the_picture_still_until_it_goes_on(session: Session, client: TestClient) -> None:
    wait(lambda: session.state()["shown"], "there is a picture")
    session.turn({"schedule": "standard", "size": 256})
    wait(lambda: (session.state()["turn"] or {}).get("size") == 256, "the picture is painted at 256 pixels")
    client.post("api/do/pause")
    wait(lambda: session.state()["status"] == "paused", "it pauses")
    time.sleep(0.5)
    turn = session.state()["turn"]
    time.sleep(0.5)
    assert session.state()["turn"] == turn
    number = client.post("api/keep").json()["number"]
    assert client.get(f"api/versions/{number}/picture.png").status_code == 200
    client.post("api/do/go-on")
    wait(lambda: session.state()["turn"] != turn, "it goes on")


def command_in(folder: Path, command: str) -> bytes:
    """Run a command in a folder, and return the bytes of the picture."""
    words = command.replace("neuralstyle", f"{sys.executable} -m neuralstyle", 1).split()
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return (folder / "painted.png").read_bytes()


@pytest.mark.parametrize("midway", [False, True], ids=["finished", "paused"])
def test_the_command_and_the_script_paint_the_same_bytes(
    session: Session, client: TestClient, tmp_path: Path, midway: bool
) -> None:
    wait(lambda: session.state()["shown"], "there is a picture")
    client.post("api/paintings", params={"name": "glowing embers.png"}, content=png(name="embers"))
    region = client.post("api/regions", content=gradient()).json()["key"]
    client.post("api/use-regions", json={"regions": [region, None]})
    client.post("api/dials", json={"strength": 0.6, "scale": 1.25, "style_loss": "mean-std", "weights": [0.7, 0.3]})
    client.post("api/dials", json={"schedule": "standard" if midway else "draft"})
    client.post("api/do/repaint")
    if midway:
        wait(lambda: not session.state()["shown"]["look"] and session.state()["shown"]["exact"], "it paints")
        client.post("api/do/pause")
        wait(lambda: session.state()["status"] == "paused", "it pauses")
    else:
        wait(lambda: session.state()["status"] == "idle" and session.state()["shown"]["exact"], "it is finished")
    number = client.post("api/keep").json()["number"]
    picture = client.get(f"api/versions/{number}/picture.png").content
    recipe = client.get(f"api/versions/{number}/recipe").json()
    assert recipe["exact"]
    assert ("--stop-after" in recipe["command"]) == midway
    with zipfile.ZipFile(io.BytesIO(client.get(f"api/versions/{number}/kit.zip").content)) as kit:
        kit.extractall(tmp_path)
    assert command_in(tmp_path, (tmp_path / "paint.sh").read_text()) == picture
    (tmp_path / "painted.png").unlink()
    subprocess.run([sys.executable, "paint.py"], cwd=tmp_path, check=True, capture_output=True, timeout=300)
    with Image.open(tmp_path / "painted.png") as again, Image.open(io.BytesIO(picture)) as first:
        assert again.tobytes() == first.tobytes()  # only the command writes its settings into the file


def test_after_a_turned_dial_the_command_says_that_it_is_not_exact(session: Session, client: TestClient) -> None:
    finish(session)
    client.post("api/dials", json={"strength": 0.8})
    wait(lambda: len(session.versions.facts()) == 2, "it is finished again")
    number = session.versions.facts()[-1]["number"]
    recipe = client.get(f"api/versions/{number}/recipe").json()
    assert "--strength 0.8" in recipe["command"]
    if not recipe["exact"]:
        client.post("api/do/repaint")
        wait(lambda: len(session.versions.facts()) == 3, "it is repainted")
    assert client.get(f"api/versions/{session.versions.facts()[-1]['number']}/recipe").json()["exact"]


def test_regions_come_as_pictures_and_from_the_colours_of_a_map(session: Session, client: TestClient) -> None:
    buffer = io.BytesIO()
    areas = Image.new("RGB", (64, 64), "red")
    areas.paste("blue", (0, 0, 32, 64))
    areas.save(buffer, "PNG")
    key = client.post("api/maps", params={"name": "areas.png"}, content=buffer.getvalue()).json()["key"]
    region = client.post(f"api/region-of/{key}", json={"color": "#0000ff"}).json()["key"]
    with Image.open(io.BytesIO(client.get(f"api/regions/{region}.png").content)) as found:
        assert found.mode == "L"
        assert found.getpixel((10, 30)) == 255
        assert found.getpixel((50, 30)) == 0
    assert client.post("api/use-regions", json={"regions": [region]}).json() == {"ok": True}
    assert session.scene.paintings[0].region is not None
    refused = client.post(f"api/region-of/{key}", json={"color": "green"})
    assert refused.status_code == 400
    assert client.post("api/regions", content=buffer.getvalue()).status_code == 400  # it has colours
    another = client.post("api/photo", params={"name": "other.png"}, content=png((64, 64)))
    assert another.status_code == 200
    assert session.scene.paintings[0].region is None


def test_downloads_have_their_forms(session: Session, client: TestClient) -> None:
    finish(session)
    number = session.versions.facts()[-1]["number"]
    for form, kind in (("png", "PNG"), ("jpg", "JPEG"), ("tif", "TIFF")):
        answer = client.get(f"api/versions/{number}/picture.{form}")
        assert answer.status_code == 200, answer.text
        with Image.open(io.BytesIO(answer.content)) as picture:
            assert picture.format == kind
            assert picture.size == (SIZE, 85)
            if form == "tif":
                assert picture.tag_v2[258] == (16, 16, 16)
    assert client.get(f"api/versions/{number}/picture.gif").status_code == 400
    assert client.delete(f"api/versions/{number}").status_code == 200
    assert client.get(f"api/versions/{number}/picture.png").status_code == 404


def test_a_large_picture_is_a_job_that_waits_its_turn_and_can_be_cancelled(
    session: Session, client: TestClient, folder: Path, tmp_path: Path
) -> None:
    wait(lambda: session.state()["shown"], "there is a picture")
    client.post("api/do/pause")
    first = client.post("api/render", json={"size": 192, "tile": 128}).json()["number"]
    second = client.post("api/render", json={"size": 2048, "tile": "auto"}).json()["number"]
    wait(lambda: (session.state()["job"] or {}).get("number") == first, "the first is painted")
    assert [job["number"] for job in session.state()["queue"]] == [second]
    client.delete(f"api/render/{second}")
    assert session.state()["queue"] == []
    large = wait(lambda: [v for v in session.versions.facts() if v["width"] == 192], "the large picture is there")[0]
    assert large["exact"]
    version = session.versions.find(large["number"])
    command = client.get(f"api/versions/{large['number']}/recipe").json()["command"]
    assert "--tile 128" in command
    assert command_in(tmp_path, command) == version.picture.read_bytes()


def test_versions_are_gone_back_to(session: Session, client: TestClient) -> None:
    finish(session)
    number, dials = session.versions.facts()[-1]["number"], session.scene.dials
    client.post("api/dials", json={"strength": 0.9})
    wait(lambda: len(session.versions.facts()) == 2, "it is finished again")
    assert client.post(f"api/versions/{number}/restore").status_code == 200
    assert session.scene.dials == dials
    wait(is_idle(session), "it rests")
    assert session.state()["shown"]["exact"]


def test_pages_that_are_closed_in_the_middle_leave_the_painting_alone(session: Session, client: TestClient) -> None:
    for _ in range(3):
        with client.websocket_connect(LIVE) as page:
            page.receive()
    wait(lambda: session.news.readers == 0, "nobody listens")
    finish(session)
