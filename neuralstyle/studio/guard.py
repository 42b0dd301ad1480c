"""The guard: only requests with the session's token, from a page of this server, to a name of this server."""

from __future__ import annotations

import hmac
import ipaddress
import re
import secrets
import socket
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from neuralstyle._errors import brief

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
WILDCARDS = ("0.0.0.0", "::", "")
_TOKEN = re.compile(r"[A-Za-z0-9_-]{12,128}")

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self' "
        "ws://{host}; manifest-src 'self'; base-uri 'none'; form-action 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
"""Headers of every answer: the page may load nothing from elsewhere, and tell nobody its address."""


def new_token() -> str:
    """Return a token that nobody can guess."""
    return secrets.token_urlsafe(18)


def check_token(token: str) -> str:
    """Check a token that somebody chose.

    Raises:
        ValueError: it is too short, or has letters that an address does not.

    """
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise ValueError(f"a token is 12 to 128 letters, digits, - and _, received {brief(token)}")
    return token


def is_loopback(host: str) -> bool:
    """Tell whether only programs of this machine can reach a host."""
    if host in LOOPBACK:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Guard:
    """An application behind its token: ``/TOKEN/path`` becomes ``/path``, and all else is refused.

    Args:
        app: the application.
        token: the first part of every path.
        host: what the server listens to. A wildcard is reached by addresses and by the machine's own name.

    """

    def __init__(self, app: App, token: str, host: str) -> None:
        self._app, self._token, self._host = app, check_token(token), host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get("host", "")
        if not self._is_own(host):
            await _refuse(scope, send, 421, "this server has another name; open the address that it printed")
            return
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            await _refuse(scope, send, 403, "a page of another server asks; open the address that this one printed")
            return
        first, _, rest = scope["path"].removeprefix("/").partition("/")
        is_page = scope["type"] == "http"
        if is_page and scope["path"] == "/" and self._is_token(_asked_token(scope)):
            await _redirect(send, f"/{self._token}/")
            return
        if not self._is_token(first):
            await _refuse(scope, send, 403, "the token is missing or wrong; open the whole address that was printed")
            return
        if is_page and not rest and not scope["path"].endswith("/"):
            await _redirect(send, f"/{self._token}/")
            return
        inner = {**scope, "path": f"/{rest}", "raw_path": f"/{rest}".encode(), "root_path": ""}
        await self._app(inner, receive, _with_headers(send, host))

    def _is_token(self, text: str) -> bool:
        return hmac.compare_digest(text.encode(), self._token.encode())

    def _is_own(self, host: str) -> bool:
        name = "" if "@" in host else urlsplit(f"//{host}").hostname or ""
        if name == self._host or (is_loopback(self._host) and name in LOOPBACK):
            return True
        if self._host not in WILDCARDS:
            return False
        return name in _own_names() or _is_address(name)


def _asked_token(scope: Scope) -> str:
    asked: str = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [""])[0]
    return asked


def _own_names() -> Iterable[str]:
    name = socket.gethostname().lower()
    return (*LOOPBACK, name, f"{name}.local")


def _is_address(name: str) -> bool:
    """Tell whether a name is an address: no other server can point it at this one."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _with_headers(send: Send, host: str) -> Send:
    own = [(name.encode(), value.format(host=host).encode()) for name, value in HEADERS.items()]

    async def send_with_headers(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            has = {name for name, _ in message.get("headers", [])}
            message["headers"] = [*message.get("headers", []), *((n, v) for n, v in own if n not in has)]
        await send(message)

    return send_with_headers


async def _redirect(send: Send, path: str) -> None:
    headers = [(b"location", path.encode()), (b"content-length", b"0"), (b"referrer-policy", b"no-referrer")]
    await send({"type": "http.response.start", "status": 303, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def _refuse(scope: Scope, send: Send, status: int, why: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": why[:120]})
        return
    body = f"neuralstyle studio: {why}\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
