"""Starting and ending a server: its session, its address, Ctrl-C."""

from __future__ import annotations

import os
import socket
import threading
import time
import warnings
import webbrowser
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from neuralstyle._errors import whole_number
from neuralstyle._log import logger
from neuralstyle._stopping import interruptible, stopping
from neuralstyle.files import somewhere
from neuralstyle.images import check_output, save_image
from neuralstyle.studio.guard import LOOPBACK, WILDCARDS, Guard, check_token, is_loopback, new_token
from neuralstyle.studio.reproduce import note
from neuralstyle.studio.scene import MOST_PAINTINGS, Dials, Painting, Scene
from neuralstyle.studio.session import Session
from neuralstyle.studio.shelf import MAX_MEGAPIXELS, Shelf

HOST = "127.0.0.1"
PORT = 7860
"""The port that is tried first; another is taken if it is in use and none was asked for."""

STARTING_SECONDS = 20.0


class Running:
    """A server that runs in a thread of its own.

    Attributes:
        url: the address of the page, with its token.
        session: what paints.

    """

    def __init__(self, session: Session, url: str, server: Any, sockets: list[socket.socket]) -> None:
        self.session, self.url = session, url
        self._server = server
        self._thread = threading.Thread(target=server.run, kwargs={"sockets": sockets}, daemon=True)
        self._thread.start()
        began = time.monotonic()
        while not server.started:
            if not self._thread.is_alive() or time.monotonic() - began > STARTING_SECONDS:
                raise OSError(f"the server at {url.rpartition('/')[0]} did not start; give another port")
            time.sleep(0.01)

    def stop(self) -> None:
        """Stop the server and the painting; the session's files are removed."""
        self._server.should_exit = self._server.force_exit = True
        self.session.close()
        self._thread.join()
        self.session.shelf.close()

    def is_alive(self) -> bool:
        """Whether the server still answers."""
        return self._thread.is_alive()


def start(
    photo: str | os.PathLike[str] | None = None,
    paintings: Sequence[str | os.PathLike[str]] = (),
    *,
    host: str = HOST,
    port: int | None = None,
    token: str | None = None,
    size: int = Dials.size,
    megapixels: int = MAX_MEGAPIXELS,
) -> Running:
    """Start the studio in this process and return at once.

    Args:
        photo: the file of the photograph; None: the sample one.
        paintings: files of paintings, at most 6; none: a sample one.
        host: what to listen to. Anything but this machine itself needs a token.
        port: the port; None: 7860, or a free one if that is in use.
        token: the first part of every path, 12 to 128 letters, digits, - and _; None: a random one.
        size: longest side of the result in pixels, at first.
        megapixels: the most megapixels of a picture that is brought.

    Raises:
        ImportError: starlette, uvicorn or websockets is not installed.
        ValueError: a picture that cannot be read, too many of them, a bad token, or another host without a token.
        OSError: a picture that does not exist, or a port that is in use.

    Example:
        ```python
        from neuralstyle import studio

        running = studio.start(port=0)
        print(running.url)
        running.stop()
        ```

    """
    check_installed()
    import uvicorn

    from neuralstyle.studio.server import application

    if token is None and not is_loopback(host):
        raise ValueError(
            f"others can reach {host!r}, so the studio needs a token that you choose: 12 or more letters and digits, "
            "with --token (token=)"
        )
    token = new_token() if token is None else check_token(token)
    if len(paintings) > MOST_PAINTINGS:
        raise ValueError(f"a picture blends up to {MOST_PAINTINGS} paintings, received {len(paintings)}; give fewer")
    listening = _listen(host, port)
    shelf = Shelf(whole_number("megapixels", megapixels, 1))
    try:
        session = Session(shelf, _scene(shelf, photo, paintings, size), prepare=None if paintings else _sample)
        app = Guard(application(session), token, host)
        config = uvicorn.Config(
            app, log_level="critical", access_log=False, server_header=False, ws="websockets-sansio", ws_max_size=2**16,
            limit_concurrency=128, timeout_graceful_shutdown=1, lifespan="off", backlog=64,
        )  # fmt: skip
        name = _shown_host(LOOPBACK[0] if host in WILDCARDS else host)
        url = f"http://{name}:{listening.getsockname()[1]}/{token}/"
        session.start()
        return Running(session, url, uvicorn.Server(config), [listening])
    except BaseException:
        listening.close()
        shelf.close()
        raise


@interruptible
def serve(
    photo: str | os.PathLike[str] | None = None,
    paintings: Sequence[str | os.PathLike[str]] = (),
    *,
    output: str | os.PathLike[str] = "neuralstyle-studio.png",
    browser: bool = True,
    tell: Callable[[str], object] = logger.warning,
    **options: Any,
) -> None:
    """Open the studio: start its server, show the page in the browser, and serve it until Ctrl-C.

    Args:
        photo: as in ``start``.
        paintings: as in ``start``.
        output: where the present picture is saved at the end; a number is added to a name that exists.
        browser: open the page in the browser.
        tell: called with the address.
        **options: as in ``start``.

    Raises:
        KeyboardInterrupt: at the end; the picture is saved, and the message says where.
        Exception: as ``start`` does.

    """
    check_output(output, overwrite=True)
    with stopping.shield():
        running = start(photo, paintings, **options)
        try:
            with stopping.exposed():
                _serve(running, options.get("host", HOST), browser, tell)
        except KeyboardInterrupt as error:
            saved = save_last(running.session, output)
            where = "there was no picture yet" if saved is None else f"the picture is in {saved}"
            error.args = (f"stopped; {where}",)
            raise
        finally:
            running.stop()


def _serve(running: Running, host: str, browser: bool, tell: Callable[[str], object]) -> None:
    """Say where the page is, open it, and wait for Ctrl-C."""
    if not is_loopback(host):
        warnings.warn(
            f"whoever can reach this machine and has the address can use the studio at {host}; the connection is not "
            "encrypted",
            stacklevel=3,
        )
    tell(f"the studio is at {running.url}")
    if host in WILDCARDS:
        tell(f"others reach it by this machine's name: {running.url.replace(LOOPBACK[0], socket.gethostname(), 1)}")
    tell("Ctrl-C ends it and saves the picture")
    if browser:
        with suppress(webbrowser.Error):
            webbrowser.open(running.url)
    while running.is_alive():
        stopping.check()
        time.sleep(0.1)


def save_last(session: Session, output: str | os.PathLike[str]) -> Path | None:
    """Save the present picture, and return where it is; None without one."""
    version = session.close()
    if version is None:
        return None
    save = partial(save_image, _opened(version.picture), note=note(version.painted))
    place, _ = somewhere(save, _free(Path(output)), "picture")
    return place


def _opened(path: Path) -> Any:
    from PIL import Image

    with Image.open(path) as picture:
        return picture.convert("RGB")


def _free(path: Path) -> Path:
    """The path, with a number if there is such a file."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return free


def check_installed() -> None:
    """Check that the server can run.

    Raises:
        ImportError: a package is missing.

    """
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
        import websockets  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"the studio needs starlette, uvicorn and websockets ({error}); install them with 'pip install "
            '"neuralstyle-torch[studio]"\''
        ) from error


def _scene(shelf: Shelf, photo: Any, paintings: Sequence[Any], size: int) -> Scene:
    source = shelf.sample("photo") if photo is None else shelf.typed(os.fspath(photo))
    styles = [shelf.typed(os.fspath(each)) for each in paintings]
    return Scene(source, tuple(Painting(each) for each in styles), Dials(size=size))


def _sample(session: Session) -> Scene:
    """The scene with a sample painting, whose drawing takes a second in which the page is open already."""
    return replace(session.scene, paintings=(Painting(session.shelf.sample("swirl")),))


def _listen(host: str, port: int | None) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    wanted = [PORT, 0] if port is None else [whole_number("port", port, 0, 65535)]
    failure: OSError | None = None
    for number in wanted:
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host or "0.0.0.0", number))
            return listening
        except OSError as error:
            listening.close()
            failure = error
    raise OSError(
        f"the studio cannot listen at {host}, port {wanted[-1]} ({failure}); give another --port"
    ) from failure


def _shown_host(host: str) -> str:
    return f"[{host}]" if ":" in host else host
