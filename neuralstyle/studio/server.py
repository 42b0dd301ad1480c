"""The web application: what the page asks of the session. The painting is the session's, the guard keeps the door."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

from neuralstyle._errors import brief, unknown
from neuralstyle._words import COLORS, PAINTINGS
from neuralstyle.recipes import STYLE_LOSSES
from neuralstyle.studio import reproduce
from neuralstyle.studio.live import live
from neuralstyle.studio.painted import finished
from neuralstyle.studio.painter import TILE
from neuralstyle.studio.scene import LARGEST, MOST_PAINTINGS, SCHEDULES, SMALLEST, Dials, Painting, Scene, Source
from neuralstyle.studio.session import LARGEST_RENDER, Session, photo_of
from neuralstyle.studio.shelf import THUMB_SIDE
from neuralstyle.studio.versions import FORMS

PAGE = Path(__file__).with_name("page")

MOST_BYTES = 200 * 2**20
"""Most bytes of a picture that is brought."""

MOST_WORDS = 2**16
"""Most bytes of an order."""

Endpoint = Callable[[Request], Awaitable[Response]]


def application(session: Session) -> Starlette:
    """Return the application of a session, without its guard."""
    routes = [
        Route("/", _index),
        WebSocketRoute("/live", live),
        Route("/api/state", _state),
        Route("/api/words", _words),
        Route("/api/dials", _told(_turn), methods=["POST"]),
        Route("/api/do/{action}", _told(_do), methods=["POST"]),
        Route("/api/photo", _told(_bring_photo), methods=["POST"]),
        Route("/api/paintings", _told(_bring_painting), methods=["POST"]),
        Route("/api/paintings/{place:int}", _told(_remove_painting), methods=["DELETE"]),
        Route("/api/sample/{name}", _told(_sample), methods=["POST"]),
        Route("/api/maps", _told(_bring_map), methods=["POST"]),
        Route("/api/regions", _told(_regions), methods=["POST"]),
        Route("/api/use-regions", _told(_use_regions), methods=["POST"]),
        Route("/api/samples/{name}.jpg", _told(_sample_thumb)),
        Route("/api/region-of/{key:int}", _told(_region_of), methods=["POST"]),
        Route("/api/pictures/{key:int}.jpg", _told(_picture)),
        Route("/api/regions/{key:int}.png", _told(_region)),
        Route("/api/keep", _told(_keep), methods=["POST"]),
        Route("/api/versions/{number:int}", _told(_remove_version), methods=["DELETE"]),
        Route("/api/versions/{number:int}/restore", _told(_restore), methods=["POST"]),
        Route("/api/versions/{number:int}/thumb.jpg", _told(_thumb)),
        Route("/api/versions/{number:int}/picture.{form}", _told(_download)),
        Route("/api/versions/{number:int}/recipe", _told(_recipe)),
        Route("/api/versions/{number:int}/kit.zip", _told(_kit)),
        Route("/api/render", _told(_render), methods=["POST"]),
        Route("/api/render/{number:int}", _told(_cancel), methods=["DELETE"]),
        Mount("/page", StaticFiles(directory=PAGE)),
    ]
    app = Starlette(routes=routes)
    app.state.session = session
    return app


def _told(endpoint: Endpoint) -> Endpoint:
    """Answer errors of what was asked in one line of JSON."""

    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except ClientDisconnect:
            return Response(status_code=400)
        except KeyError as error:
            return JSONResponse({"error": str(error.args[0]) if error.args else "there is no such thing"}, 404)
        except (ValueError, TypeError, ImportError, OSError) as error:
            return JSONResponse({"error": " ".join(str(error).split())}, 400)

    return answer


def _session(request: Request) -> Session:
    session: Session = request.app.state.session
    return session


def _done(session: Session, **facts: Any) -> Response:
    return JSONResponse({**facts, "ok": True})


async def _index(request: Request) -> Response:
    return FileResponse(PAGE / "index.html")


async def _state(request: Request) -> Response:
    return JSONResponse(_session(request).state())


async def _words(request: Request) -> Response:
    """What the dials offer."""
    dials = Dials()
    return JSONResponse(
        {
            "colors": COLORS,
            "style_losses": list(STYLE_LOSSES),
            "schedules": SCHEDULES,
            "sizes": [SMALLEST, LARGEST],
            "render": [SMALLEST, LARGEST_RENDER],
            "samples": PAINTINGS,
            "most_paintings": MOST_PAINTINGS,
            "usual": {name: getattr(dials, name) for name in ("strength", "scale", "size", "style_loss")},
        }
    )


async def _turn(request: Request) -> Response:
    session, values = _session(request), await _order(request)
    session.turn(values)
    return _done(session)


async def _do(request: Request) -> Response:
    session, name = _session(request), request.path_params["action"]
    actions: dict[str, Callable[[], None]] = {
        "pause": session.pause,
        "go-on": session.go_on,
        "undo": session.undo,
        "redo": session.redo,
        "repaint": session.repaint,
        "reset": lambda: session.alter(_reset),
    }
    if name not in actions:
        raise unknown("action", name, actions)
    await run_in_threadpool(actions[name])
    return _done(session)


def _reset(scene: Scene) -> Scene:
    """The scene with its dials as at first, but for the size."""
    paintings = tuple(replace(each, weight=1.0, region=None) for each in scene.paintings)
    return replace(scene, dials=Dials(size=scene.dials.size), paintings=paintings)


async def _bring_photo(request: Request) -> Response:
    session, source = _session(request), await _brought(request)
    session.alter(lambda scene: photo_of(scene, source))
    return _done(session, key=source.key)


async def _bring_painting(request: Request) -> Response:
    session, source = _session(request), await _brought(request)
    _add_painting(session, source, request.query_params.get("place"))
    return _done(session, key=source.key)


def _add_painting(session: Session, source: Source, place: str | None) -> None:
    """Add a painting, or put it into the place of another."""

    def add(scene: Scene) -> Scene:
        paintings = list(scene.paintings)
        if place is not None and place.isdecimal() and int(place) < len(paintings):
            paintings[int(place)] = replace(paintings[int(place)], source=source)
        elif len(paintings) >= MOST_PAINTINGS:
            raise ValueError(f"a picture blends up to {MOST_PAINTINGS} paintings; remove one first")
        else:
            paintings.append(Painting(source))
        return replace(scene, paintings=tuple(paintings))

    session.alter(add)


async def _remove_painting(request: Request) -> Response:
    session, place = _session(request), request.path_params["place"]

    def remove(scene: Scene) -> Scene:
        if place >= len(scene.paintings):
            raise KeyError(f"there is no painting {place + 1}")
        rest = tuple(each for number, each in enumerate(scene.paintings) if number != place)
        if rest and not any(each.weight for each in rest):
            rest = tuple(replace(each, weight=1.0) for each in rest)
        return replace(scene, paintings=rest)

    session.alter(remove)
    return _done(session)


async def _sample(request: Request) -> Response:
    session, name = _session(request), request.path_params["name"]
    source = await run_in_threadpool(session.shelf.sample, name)
    if name == "photo":
        session.alter(lambda scene: photo_of(scene, source))
    else:
        _add_painting(session, source, request.query_params.get("place"))
    return _done(session, key=source.key)


async def _bring_map(request: Request) -> Response:
    """A map picture, whose colours become regions."""
    session, source = _session(request), await _brought(request)
    return _done(session, key=source.key, width=source.width, height=source.height)


async def _regions(request: Request) -> Response:
    """Take a region as the bytes of a grey picture; ``_use_regions`` gives it to a painting."""
    session, file = _session(request), await _received(request)
    source = await run_in_threadpool(session.shelf.region, file)
    return _done(session, key=source.key)


async def _use_regions(request: Request) -> Response:
    """Give each painting a region by its number, or null: everywhere."""
    session, order = _session(request), await _order(request)
    numbers = order.get("regions")
    if not isinstance(numbers, list):
        raise ValueError(f"regions is a list of numbers or null, received {brief(numbers)}")
    found = [None if number is None else session.shelf.find_region(number) for number in numbers]

    def change(scene: Scene) -> Scene:
        if len(found) != len(scene.paintings):
            raise ValueError(f"regions is a list of {len(scene.paintings)}, one for each painting")
        pairs = zip(scene.paintings, found, strict=True)
        return replace(scene, paintings=tuple(replace(each, region=region) for each, region in pairs))

    session.alter(change)
    return _done(session)


async def _region_of(request: Request) -> Response:
    """The part of a map that has a colour, as a region; the page draws it."""
    session, order = _session(request), await _order(request)
    source = session.shelf.find(request.path_params["key"])
    found = await run_in_threadpool(session.shelf.region_of, source, str(order.get("color")))
    return _done(session, key=found.key)


async def _picture(request: Request) -> Response:
    session, key = _session(request), request.path_params["key"]
    side = THUMB_SIDE if request.query_params.get("small") else None
    arguments = (key,) if side is None else (key, side)
    body = await run_in_threadpool(session.shelf.page, *arguments)
    return Response(body, media_type="image/jpeg", headers={"cache-control": "private, max-age=86400"})


async def _region(request: Request) -> Response:
    source = _session(request).shelf.find_region(request.path_params["key"])
    return FileResponse(source.path, media_type="image/png")


async def _sample_thumb(request: Request) -> Response:
    body = await run_in_threadpool(_session(request).shelf.sample_thumb, request.path_params["name"])
    return Response(body, media_type="image/jpeg", headers={"cache-control": "private, max-age=86400"})


async def _keep(request: Request) -> Response:
    session = _session(request)
    version = await run_in_threadpool(session.keep)
    if version is None:
        raise ValueError("there is no picture to keep yet")
    return _done(session, number=version.number)


async def _remove_version(request: Request) -> Response:
    session = _session(request)
    session.versions.remove(request.path_params["number"])
    session.news.tell()
    return _done(session)


async def _restore(request: Request) -> Response:
    session = _session(request)
    await run_in_threadpool(session.restore, request.path_params["number"])
    return _done(session)


async def _thumb(request: Request) -> Response:
    version = _session(request).versions.find(request.path_params["number"])
    return Response(version.thumb, media_type="image/jpeg", headers={"cache-control": "private, max-age=86400"})


async def _download(request: Request) -> Response:
    session, number, form = _session(request), request.path_params["number"], request.path_params["form"]
    if form not in FORMS:
        raise unknown("form", form, FORMS)
    path = await run_in_threadpool(session.versions.download, number, form)
    return FileResponse(path, filename=f"painted-{number}.{form}")


async def _recipe(request: Request) -> Response:
    version = _session(request).versions.find(request.path_params["number"])
    painted = version.painted
    whole = painted if painted.is_exact else finished(painted)
    texts = {"command": reproduce.as_command(whole), "python": reproduce.as_python(whole)}
    return JSONResponse({**texts, "exact": painted.is_exact})


async def _kit(request: Request) -> Response:
    version = _session(request).versions.find(request.path_params["number"])
    body = await run_in_threadpool(reproduce.kit, version.painted, version.picture)
    headers = {"content-disposition": f'attachment; filename="painted-{version.number}.zip"'}
    return Response(body, media_type="application/zip", headers=headers)


async def _render(request: Request) -> Response:
    session, order = _session(request), await _order(request)
    return _done(session, number=session.render(order.get("size", 2048), order.get("tile", TILE)))


async def _cancel(request: Request) -> Response:
    session = _session(request)
    session.cancel(request.path_params["number"])
    return _done(session)


async def _order(request: Request) -> dict[str, Any]:
    """The words of a request: an object of JSON."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_WORDS:
            raise ValueError(f"an order has at most {MOST_WORDS} bytes")
    try:
        order = json.loads(body or b"{}")
    except ValueError as error:
        raise ValueError(f"an order is an object of JSON ({error})") from error
    if not isinstance(order, dict):
        raise ValueError(f"an order is an object of JSON, received {brief(order)}")
    return order


async def _received(request: Request) -> Path:
    """The body of a request as a file of the session.

    Raises:
        ValueError: it is too long.

    """
    path = _session(request).shelf.new_path()
    received = 0
    try:
        with path.open("wb") as file:
            async for part in request.stream():
                received += len(part)
                if received > MOST_BYTES:
                    raise ValueError(f"a picture that is brought has at most {MOST_BYTES >> 20} MiB; reduce it first")
                await run_in_threadpool(file.write, part)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


async def _brought(request: Request) -> Source:
    path = await _received(request)
    name = request.query_params.get("name", "picture")
    return await run_in_threadpool(_session(request).shelf.take, path, name)
