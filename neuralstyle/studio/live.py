"""The live picture over a websocket: the next news go out when the page has taken the last, and only the latest."""

from __future__ import annotations

import asyncio
import json
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
    seen, run, known, before = 0, 0, 0, ""
    news.set()
    listening = asyncio.ensure_future(socket.receive_text())  # so that a page that goes away is noticed at once
    try:
        while True:
            waiting = asyncio.ensure_future(news.wait())
            await asyncio.wait({waiting, listening}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if listening.done():  # nothing was asked, so it is an end, or words that are not expected
                listening.result()
                listening = asyncio.ensure_future(socket.receive_text())
                continue
            news.clear()
            frame, jpeg = session.news.latest()
            run, points = (found := session.news.points(run, known))[0], found[1]
            known = _known(session, run)
            state = session.state()
            text = json.dumps({"state": state, "curves": {"run": run, "known": known, "points": points}})
            if text != before:
                before = text
                await socket.send_text(text)
                listening = await _answered(socket, listening)
            if frame != seen and jpeg:
                seen = frame
                await socket.send_bytes(jpeg)
                listening = await _answered(socket, listening)
    finally:
        listening.cancel()


def _known(session: Session, run: int) -> int:
    number, points = session.news.curves
    return len(points) if number == run else 0


async def _answered(socket: WebSocket, listening: asyncio.Future[str]) -> asyncio.Future[str]:
    """Wait until the page has taken what was sent."""
    await asyncio.wait_for(listening, PATIENCE)
    return asyncio.ensure_future(socket.receive_text())


__all__: list[Any] = ["MOST_READERS", "PATIENCE", "live"]
