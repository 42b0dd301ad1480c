"""The studio: what its server answers and refuses, and how it ends."""

from __future__ import annotations

import io
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import psutil
import pytest
from PIL import Image
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from studio_sessions import LIVE, SIZE, TOKEN, make_client, make_pictures, make_session, png, wait

from neuralstyle import cli
from neuralstyle.studio import Session, start
from neuralstyle.studio.live import MOST_READERS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pictures(tmp_path_factory.mktemp("studio"))


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
    with pytest.raises(ImportError, match=r'pip install "neuralstyle-torch\[studio\]"'):
        start(port=0)


def test_the_session_leaves_no_files_and_no_threads(folder: Path) -> None:
    running = start(folder / "photo.png", [folder / "swirl.png"], port=0, size=SIZE)
    shelf = running.session.shelf.folder
    assert shelf.is_dir()
    assert shelf.stat().st_mode & 0o077 == 0
    running.stop()
    assert not shelf.exists()
    assert not [thread for thread in threading.enumerate() if thread.name == "neuralstyle-studio"]
