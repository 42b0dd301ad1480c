"""The live picture over a websocket: the next news go out when the page has taken the last, and only the latest."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from neuralstyle.studio.session import Session

MOST_READERS = 24
"""Pages that are served at a time."""

PATIENCE = 30.0
"""Seconds after which a page that does not say that it took the news is left."""


async def live(socket: WebSocket) -> None:
    """Send the state as text, frames as bytes, each after the page has answered the one before."""
    session: Session = socket.app.state.session
    if session.news.readers >= MOST_READERS:
        await socket.close(1013, f"{MOST_READERS} pages are open already; close one")
        return
    await socket.accept()
    loop, news = asyncio.get_running_loop(), asyncio.Event()

    def wake() -> None:
        with suppress(RuntimeError):  # the loop has been closed
            loop.call_soon_threadsafe(news.set)

    end = session.news.listen(wake)
    try:
        await _talk(socket, session, news)
    except (WebSocketDisconnect, asyncio.TimeoutError, RuntimeError):
        with suppress(Exception):
            await socket.close(1001)
    finally:
        end()


async def _talk(socket: WebSocket, session: Session, news: asyncio.Event) -> None:
    frame, run, known, before = 0, 0, 0, ""
    strip: object = None
    news.set()
    listening = _listen(socket)  # all the time, so that a page that goes away is noticed at once
    try:
        while True:
            waiting: asyncio.Future[bool] = asyncio.ensure_future(news.wait())
            both: list[asyncio.Future[Any]] = [waiting, listening]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if listening.done():  # nothing was asked, so it is the end, or words that nobody expects
                listening.result()
                listening = _listen(socket)
                continue
            news.clear()
            number, points = session.news.points(run, known)
            run, known = number, len(points) + (known if number == run else 0)
            state = session.state()
            versions = state.pop("versions")  # many words, which seldom change
            if versions != strip:
                strip = state["versions"] = versions
            text = json.dumps({"state": state, "curves": {"run": run, "points": points}})
            if text != before:
                before = text
                listening = await _tell(socket.send_text(text), listening, socket)
            latest, jpeg = session.news.latest()
            if latest != frame:
                frame = latest
                if jpeg:
                    listening = await _tell(socket.send_bytes(jpeg), listening, socket)
    finally:
        listening.cancel()


def _listen(socket: WebSocket) -> asyncio.Future[str]:
    return asyncio.ensure_future(socket.receive_text())


async def _tell(sending: Awaitable[None], listening: asyncio.Future[str], socket: WebSocket) -> asyncio.Future[str]:
    """Send, wait until the page has taken it, and listen again."""
    await asyncio.wait_for(sending, PATIENCE)
    await asyncio.wait_for(listening, PATIENCE)
    return _listen(socket)
