"""The studio: what its server answers and refuses, what its session paints and keeps, and how it ends."""

from __future__ import annotations

import io
import json
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
from PIL import Image
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from neuralstyle import cli, samples
from neuralstyle.studio import Session, start
from neuralstyle.studio.guard import Guard
from neuralstyle.studio.live import MOST_READERS
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


def wait(condition: Callable[[], Any], what: str) -> Any:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"in {PATIENCE:.0f} s it did not happen that {what}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("studio")
    (folder / "photo.png").write_bytes(png())
    (folder / "swirl.png").write_bytes(png(name="swirl"))
    (folder / "embers.png").write_bytes(png(name="embers"))
    return folder


def make_session(folder: Path) -> Session:
    shelf = Shelf()
    paintings = (Painting(shelf.typed(str(folder / "swirl.png"))),)
    return Session(shelf, Scene(shelf.typed(str(folder / "photo.png")), paintings, Dials(size=SIZE, detail="preview")))


def make_client(session: Session) -> TestClient:
    app = Guard(application(session), TOKEN, "127.0.0.1")
    return TestClient(app, base_url=f"http://127.0.0.1:7860/{TOKEN}/", follow_redirects=False)


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


@pytest.fixture(scope="module")
def still(folder: Path) -> Iterator[Session]:
    """A session that does not paint."""
    session = make_session(folder)
    yield session
    session.shelf.close()


@pytest.fixture(scope="module")
def asking(still: Session) -> TestClient:
    """A client of that session."""
    return make_client(still)


def is_idle(session: Session) -> Callable[[], bool]:
    return lambda: session.state()["status"] == "idle" and bool(session.versions.facts())


def finish(session: Session) -> None:
    wait(is_idle(session), "the picture is finished")


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/", {}, 403),
        ("/api/state", {}, 403),
        ("/another-token-here/api/state", {}, 403),
        (f"/{TOKEN}x/", {}, 403),
        (f"/{TOKEN}/", {"host": "evil.example"}, 421),
        (f"/{TOKEN}/", {"host": "evil.example:7860"}, 421),
        (f"/{TOKEN}/", {"host": ""}, 421),
        (f"/{TOKEN}/api/state", {"origin": "http://evil.example"}, 403),
        (f"/{TOKEN}/api/state", {"origin": "http://127.0.0.1:8000"}, 403),
        (f"/{TOKEN}/api/state", {"origin": "null"}, 403),
        (f"/{TOKEN}/page/../server.py", {}, 404),
        (f"/{TOKEN}/page/%2e%2e/server.py", {}, 404),
        (f"/{TOKEN}/page//etc/passwd", {}, 404),
        (f"/{TOKEN}/api/pictures/999.jpg", {}, 404),
        (f"/{TOKEN}/api/regions/1.png", {}, 404),
        (f"/{TOKEN}", {}, 303),
        (f"/?token={TOKEN}", {}, 303),
        (f"/{TOKEN}/", {}, 200),
        (f"/{TOKEN}/api/state", {"origin": "http://127.0.0.1:7860"}, 200),
        (f"/{TOKEN}/", {"host": "localhost:7860"}, 200),
    ],
)
def test_only_the_page_of_this_server_is_answered(
    asking: TestClient, path: str, headers: dict[str, str], status: int
) -> None:
    answer = asking.get(f"http://127.0.0.1:7860{path}", headers=headers)
    assert answer.status_code == status, answer.text
    assert "root:" not in answer.text
    if status == 200:
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    "headers", [{"origin": "http://evil.example"}, {"host": "evil.example", "origin": "http://evil.example"}]
)
def test_no_other_page_gets_the_live_picture(asking: TestClient, headers: dict[str, str]) -> None:
    with pytest.raises(WebSocketDisconnect) as refused, asking.websocket_connect(LIVE, headers=headers):
        pass
    assert refused.value.code == 1008
    with pytest.raises(WebSocketDisconnect), asking.websocket_connect("ws://127.0.0.1:7860/wrong-token-wrong/live"):
        pass


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
    assert {"ContentLoss", "GramStyleLoss"} <= names or not names


def test_a_reader_that_does_not_read_holds_up_nobody(session: Session, client: TestClient) -> None:
    with client.websocket_connect(LIVE) as page:
        page.receive()  # and never says that it was taken
        finish(session)
        frames = session.news.frame
        assert frames > 1
        assert len(session.news.jpeg) < 10**6  # the latest frame is all that is held
    client.post("api/dials", json={"strength": 0.9})
    wait(lambda: session.news.frame > frames, "the painting goes on")


@pytest.mark.parametrize(
    ("name", "body", "words"),
    [
        ("huge.png", None, "is too large: 300 megapixels"),
        ("drawing.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n", "drawing.eps"),
        ("empty.png", b"", "empty"),
        ("text.png", b"no picture at all", "text.png"),
        ("half.png", png()[:500], "broken"),
        ("../../etc/passwd", b"no picture", "passwd"),
    ],
)
def test_what_is_no_picture_or_too_large_is_refused(
    still: Session, asking: TestClient, name: str, body: bytes | None, words: str
) -> None:
    if body is None:
        buffer = io.BytesIO()
        Image.new("1", (20_000, 15_000)).save(buffer, "PNG")
        body = buffer.getvalue()
    before = still.scene
    answer = asking.post("api/photo", params={"name": name}, content=body)
    assert answer.status_code == 400
    assert words in answer.json()["error"]
    assert str(still.shelf.folder) not in answer.text
    assert "\n" not in answer.json()["error"]
    assert still.scene == before


def test_an_upload_without_an_end_is_refused(
    still: Session, asking: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neuralstyle.studio.server.MOST_BYTES", 2**20)
    files = len(list(still.shelf.folder.iterdir()))
    answer = asking.post("api/photo", content=(bytes(2**16) for _ in range(1000)))
    assert answer.status_code == 400
    assert "at most 1 MiB" in answer.json()["error"]
    assert len(list(still.shelf.folder.iterdir())) == files


@pytest.mark.parametrize(
    ("path", "order", "words"),
    [
        ("api/dials", {"strength": 2}, "strength"),
        ("api/dials", {"strenght": 0.5}, "did you mean 'strength'"),
        ("api/dials", {"size": 100_000}, "size"),
        ("api/dials", {"size": "512"}, "size"),
        ("api/dials", {"color": "blue"}, "color"),
        ("api/dials", {"style_loss": "nothing"}, "style loss"),
        ("api/dials", {"weights": [1, 2]}, "weights"),
        ("api/dials", {"weights": [0]}, "shares"),
        ("api/dials", [1], "object of JSON"),
        ("api/dials", "x" * 70_000, "bytes"),
        ("api/do/dance", {}, "unknown action"),
        ("api/sample/mona", {}, "unknown sample"),
        ("api/render", {"size": 10}, "size"),
        ("api/render", {"size": 512, "tile": "small"}, "tile"),
        ("api/use-regions", {"regions": [17]}, "region"),
        ("api/use-regions", {"regions": "all"}, "list"),
        ("api/use-regions", {"regions": []}, "list of 1"),
        ("api/region-of/1", {"color": "no colour"}, "colo"),
    ],
)
def test_orders_are_checked_and_change_nothing(
    still: Session, asking: TestClient, path: str, order: object, words: str
) -> None:
    before = still.scene
    answer = asking.post(path, json=order)
    assert answer.status_code in (400, 404)
    assert words in answer.json()["error"]
    assert still.scene == before


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
    session.turn({"detail": "standard", "size": 256})
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
    client.post("api/dials", json={"detail": "standard" if midway else "draft"})
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
    assert (tmp_path / "painted.png").read_bytes() == picture


def gradient() -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").save(buffer, "PNG")
    return buffer.getvalue()


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


def test_the_program_ends_by_ctrl_c_and_saves_its_picture(folder: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "neuralstyle", "studio", str(folder / "photo.png"), str(folder / "swirl.png")]
    (tmp_path / "neuralstyle-studio.png").write_bytes(b"somebody's")
    studio = subprocess.Popen(
        [*words, "--no-browser", "--port", "0", "--size", str(SIZE)],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert studio.stdout is not None
        address = (studio.stdout.readline() or "nothing").split()[-1]
        assert address.startswith("http://127.0.0.1:")
        wait(lambda: httpx2.get(f"{address}api/state").json()["shown"], "there is a picture")
        stalled = socket.create_connection(("127.0.0.1", int(address.split(":")[2].split("/")[0])))
        stalled.sendall(b"GET ")  # a request that never ends
        studio.send_signal(signal.SIGINT)
        _, err = studio.communicate(timeout=60)
        stalled.close()
    finally:
        studio.kill()
    assert studio.returncode == 130, err
    assert err == "neuralstyle: stopped; the picture is in neuralstyle-studio-2.png\n"
    with Image.open(tmp_path / "neuralstyle-studio-2.png") as picture:
        assert picture.size == (SIZE, 85)
    assert (tmp_path / "neuralstyle-studio.png").read_bytes() == b"somebody's"


def upgrade(url: str) -> socket.socket:
    """Ask for the live picture by hand, and read nothing of it."""
    host, _, token = url.removeprefix("http://").removesuffix("/").partition("/")
    name, port = host.split(":")
    reader = socket.create_connection((name, int(port)))
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**12)
    lines = (f"GET /{token}/live HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade")
    key = ("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version: 13", "", "")
    reader.sendall("\r\n".join((*lines, *key)).encode())
    return reader


def test_a_real_server_holds_readers_that_stop_and_many_requests(folder: Path) -> None:
    running = start(folder / "photo.png", [folder / "swirl.png"], port=0, size=SIZE)
    session = running.session
    try:
        wait(lambda: session.state()["shown"], "there is a picture")
        before = psutil.Process().memory_info().rss
        readers = [upgrade(running.url) for _ in range(MOST_READERS)]  # they never take anything
        wait(lambda: session.news.readers == MOST_READERS, "all readers are served")
        refused = upgrade(running.url)
        assert b"403" in refused.recv(100)
        assert session.news.readers == MOST_READERS
        frames = session.news.frame
        session.turn({"strength": 0.9})
        with ThreadPoolExecutor(50) as pool:
            answers = pool.map(lambda _: httpx2.get(f"{running.url}api/state", timeout=60).status_code, range(50))
            assert set(answers) == {200}
        wait(lambda: session.news.frame > frames + 3, "the painting goes on")
        assert psutil.Process().memory_info().rss - before < 200 * 2**20
        for reader in (*readers, refused):
            reader.close()
        wait(lambda: session.news.readers == 0, "the readers are forgotten")
    finally:
        running.stop()


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--host", "0.0.0.0"], "needs a token"),
        (["--host", "0.0.0.0", "--token", "short"], "12 to 128"),
        (["--port", "70000"], "port"),
        (["missing.png"], "missing.png"),
        (["--size", "10"], "size"),
        (["-o", "picture.gif"], "suffix"),
    ],
)
def test_what_cannot_work_is_refused_at_once(
    words: list[str], error: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["studio", "--no-browser", *words]) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert error in line


def test_a_missing_server_is_one_line_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(ImportError, match=r'pip install "neuralstyle\[studio\]"'):
        start(port=0)


def test_the_session_leaves_no_files_and_no_threads(folder: Path) -> None:
    running = start(folder / "photo.png", [folder / "swirl.png"], port=0, size=SIZE)
    shelf = running.session.shelf.folder
    assert shelf.is_dir()
    assert shelf.stat().st_mode & 0o077 == 0
    running.stop()
    assert not shelf.exists()
    assert not [thread for thread in threading.enumerate() if thread.name == "neuralstyle-studio"]
