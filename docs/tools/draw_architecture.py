"""Draws the rooms of the package and the imports between them: docs/images/architecture.svg.

``python docs/tools/draw_architecture.py`` writes the picture; with ``--check`` it writes nothing and exits with 1 if
the picture is not what the code is now.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from html import escape

import ladder
from layered import lay_out

PICTURE = ladder.ROOT / "docs" / "images" / "architecture.svg"
BOX, PILL = (168, 54), (116, 32)  # width and height
ROW_GAP, MARGIN, PORT_GAP = 44, 20, 16
FLOOR_COLUMNS, FLOOR_GAP = 4, 22
IN, OUT = "pictures in", "picture out"
Edge = tuple[str, str]

STYLE = """
  text { font: 12.5px system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; fill: #4a5160 }
  .name { font: 600 15px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #1d2433 }
  .middle { text-anchor: middle }
  .card { fill: #ffffff }
  .file { fill: #ffffff; stroke: #b6bccb; stroke-width: 1.25 }
  .folder { fill: #f1f2f6; stroke: #b6bccb; stroke-width: 1.25 }
  .station { fill: #e6e9fb; stroke: #3f51b5; stroke-width: 1.75 }
  .number, .pill { fill: #3f51b5 }
  .number-text, .pill-text { font-weight: 600; fill: #ffffff; text-anchor: middle }
  .pill-text { font-size: 13.5px }
  .arrow { fill: none; stroke: #9aa2b4; stroke-width: 1.4 }
  .head { fill: #9aa2b4 }
  .walk { fill: none; stroke: #3f51b5; stroke-width: 3 }
  .walk-head { fill: #3f51b5 }
  @media (prefers-color-scheme: dark) {
    text { fill: #aab1c3 }
    .name { fill: #eceff7 }
    .card { fill: #1e2129 }
    .file { fill: #1e2129; stroke: #596073 }
    .folder { fill: #292d39; stroke: #596073 }
    .station { fill: #2b3260; stroke: #8c9eff }
    .number, .pill { fill: #8c9eff }
    .number-text, .pill-text { fill: #151a33 }
    .arrow { stroke: #6f778b }
    .head { fill: #6f778b }
    .walk { stroke: #8c9eff }
    .walk-head { fill: #8c9eff }
  }
"""


def necessary(imports: Mapping[str, Sequence[str]]) -> list[Edge]:
    """The arrows to draw, from a room to those that import it.

    None is drawn that a way by other rooms implies, but that a station always leads to the next one that imports it.
    """
    drawn = {
        room: [other for other in others if other not in ladder.FOUNDATIONS]
        for room, others in imports.items()
        if room not in ladder.FOUNDATIONS
    }
    reached: dict[str, set[str]] = {}
    for room in sorted(drawn, key=ladder.LEVEL.__getitem__):
        reached[room] = set(drawn[room]).union(*(reached[other] for other in drawn[room]))
    following = {
        (station, min((room for room in ladder.STATIONS if station in drawn[room]), key=ladder.STATIONS.index))
        for station in ladder.STATIONS[:-1]
    }
    return [
        (other, room)
        for room, others in drawn.items()
        for other in others
        if (other, room) in following or not any(other in reached[between] for between in others)
    ]


def draw(imports: Mapping[str, Sequence[str]]) -> str:
    """The picture, as the text of an SVG file.

    Args:
        imports: the rooms that each room imports.
    """
    rows = [{room: float(BOX[0]) for room in level if room not in ladder.FOUNDATIONS} for level in ladder.LADDER]
    rows = [row for row in rows if row]
    rows.insert(0, {IN: float(PILL[0])})
    rows[2 + next(n for n, row in enumerate(rows[1:]) if ladder.STATIONS[-1] in row)][OUT] = PILL[0]
    edges = [(IN, ladder.STATIONS[0]), *necessary(imports), (ladder.STATIONS[-1], OUT)]
    middle, bends = lay_out(rows, edges, straight=[edge for edge in edges if _is_walk(edge)])
    numbered = [[name for name in ladder.STATIONS if name in row] for row in rows]
    if sum(math.copysign(1, middle[b] - middle[a]) for row in numbered for a, b in itertools.combinations(row, 2)) < 0:
        middle = {name: -x for name, x in middle.items()}  # the numbers are read from left to right
        bends = {edge: [-x for x in places] for edge, places in bends.items()}
    tops = [float(MARGIN)]
    for row in rows:
        tops.append(tops[-1] + (BOX if set(row) - {IN} else PILL)[1] + ROW_GAP)
    sides = [middle[name] + sign * width / 2 for row in rows for name, width in row.items() for sign in (-1, 1)]
    sides += [x for places in bends.values() for x in places]
    left, right = min(sides) - MARGIN, max(sides) + MARGIN
    middle = {name: x - left for name, x in middle.items()}
    bends = {edge: [x - left for x in places] for edge, places in bends.items()}
    floor = -(-len(ladder.FOUNDATIONS) // FLOOR_COLUMNS) * (BOX[1] + FLOOR_GAP) - FLOOR_GAP
    width, height = right - left, tops[-1] + floor + 72
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" role="img"'
        ' aria-label="The rooms of the package and the imports between them">',
        f"<style>{STYLE}</style>",
        f'<rect class="card" width="{width:.0f}" height="{height:.0f}" rx="10"/>',
        *_arrows(rows, edges, middle, bends, tops),
        *(line for row, top in zip(rows, tops, strict=False) for name in row for line in _box(name, middle[name], top)),
        *_floor(width, tops[-1]),
        *_legend(width, tops[-1] + floor + 40),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _arrows(
    rows: Sequence[Mapping[str, float]],
    edges: Sequence[Edge],
    middle: Mapping[str, float],
    bends: Mapping[Edge, Sequence[float]],
    tops: Sequence[float],
) -> Iterator[str]:
    """The arrows, those of the picture's way over the others; their ends side by side where several meet."""
    level = {name: number for number, row in enumerate(rows) for name in row}
    starts = _ports(middle, {edge: (edge[0], (*bends[edge], middle[edge[1]])[0]) for edge in edges})
    ends = _ports(middle, {edge: (edge[1], (middle[edge[0]], *bends[edge])[-1]) for edge in edges})
    for edge in sorted(edges, key=_is_walk):
        upper, lower = edge
        y = tops[level[upper]] + _size(upper)[1]
        x = starts[edge]
        path = [f"M{x:.0f} {y:.0f}"]
        for number, next_x in enumerate((*bends[edge], ends[edge]), start=level[upper] + 1):
            end = tops[number] - (7 if number == level[lower] else 0)
            half = (y + end) / 2
            path.append(f"C{x:.0f} {half:.0f} {next_x:.0f} {half:.0f} {next_x:.0f} {end:.0f}")
            x, y = next_x, end
            if number < level[lower]:
                y += BOX[1]
                path.append(f"V{y:.0f}")
        kind, head = ("walk", "walk-head") if _is_walk(edge) else ("arrow", "head")
        size = 6 if kind == "walk" else 4.5
        yield f'<path class="{kind}" d="{" ".join(path)}"/>'
        yield f'<path class="{head}" d="M{x - size:.1f} {y - 2:.1f}h{2 * size:.1f}l{-size:.1f} 9z"/>'


def _ports(middle: Mapping[str, float], ends: Mapping[Edge, tuple[str, float]]) -> dict[Edge, float]:
    """Where on its box each arrow begins or ends, in the order in which the arrows leave."""
    ports = {}
    for name in dict.fromkeys(name for name, _ in ends.values()):
        there = sorted((edge for edge in ends if ends[edge][0] == name), key=lambda edge: (ends[edge][1], edge))
        for number, edge in enumerate(there):
            ports[edge] = middle[name] + (number - (len(there) - 1) / 2) * PORT_GAP
    return ports


def _is_walk(edge: Edge) -> bool:
    return all(name in (IN, *ladder.STATIONS, OUT) for name in edge)


def _size(name: str) -> tuple[int, int]:
    return PILL if name in (IN, OUT) else BOX


def _box(name: str, x: float, y: float) -> Iterator[str]:
    width, height = _size(name)
    left = x - width / 2
    if name in (IN, OUT):
        yield f'<rect class="pill" x="{left:.0f}" y="{y:.0f}" width="{width}" height="{height}" rx="{height // 2}"/>'
        yield f'<text class="pill-text" x="{x:.0f}" y="{y + 19:.0f}">{name}</text>'
        return
    folder = (ladder.PACKAGE / name).is_dir()
    kind = "station" if name in ladder.STATIONS else "folder" if folder else "file"
    yield f'<rect class="{kind}" x="{left:.0f}" y="{y:.0f}" width="{width}" height="{height}" rx="8"/>'
    yield f'<text class="name middle" x="{x:.0f}" y="{y + 22:.0f}">{name}{"/" if folder else ".py"}</text>'
    yield f'<text class="middle" x="{x:.0f}" y="{y + 41:.0f}">{escape(ladder.purpose(name))}</text>'
    if kind == "station":
        yield f'<circle class="number" cx="{left:.0f}" cy="{y:.0f}" r="11"/>'
        number = ladder.STATIONS.index(name) + 1
        yield f'<text class="number-text" x="{left:.0f}" y="{y + 4:.0f}">{number}</text>'


def _floor(width: float, y: float) -> Iterator[str]:
    """The rooms that all others may import, side by side below the rest."""
    rooms = {room: ladder.purpose(room) for room in ladder.FOUNDATIONS}
    yield f'<text class="middle" x="{width / 2:.0f}" y="{y:.0f}">Under all of them, and imported from anywhere:</text>'
    step = (width - 2 * MARGIN + FLOOR_GAP) / FLOOR_COLUMNS
    for number, (name, purpose) in enumerate(rooms.items()):
        folder = (ladder.PACKAGE / name).is_dir()
        row, column = divmod(number, FLOOR_COLUMNS)
        x, top = MARGIN + column * step, y + 14 + row * (BOX[1] + FLOOR_GAP)
        yield (
            f'<rect class="{"folder" if folder else "file"}" x="{x:.0f}" y="{top:.0f}"'
            f' width="{step - FLOOR_GAP:.0f}" height="{BOX[1]}" rx="8"/>'
        )
        centre = x + (step - FLOOR_GAP) / 2
        yield f'<text class="name middle" x="{centre:.0f}" y="{top + 22:.0f}">{name}{"/" if folder else ".py"}</text>'
        yield f'<text class="middle" x="{centre:.0f}" y="{top + 41:.0f}">{escape(purpose)}</text>'


def _legend(width: float, y: float) -> Iterator[str]:
    """What the two kinds of arrow say."""
    left, right = width / 2 - 190, width / 2 + 30
    yield f'<path class="walk" d="M{left:.0f} {y:.0f}h30"/>'
    yield f'<path class="walk-head" d="M{left + 28:.0f} {y - 6:.0f}v12l9 -6z"/>'
    yield f'<text x="{left + 46:.0f}" y="{y + 4:.0f}">the way of the picture</text>'
    yield f'<path class="arrow" d="M{right:.0f} {y:.0f}h30"/>'
    yield f'<path class="head" d="M{right + 28:.0f} {y - 4.5:.1f}v9l9 -4.5z"/>'
    yield f'<text x="{right + 46:.0f}" y="{y + 4:.0f}">is imported by</text>'


def main(arguments: Sequence[str]) -> int:
    """Write the picture, or with --check compare it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if the picture is an old one")
    options = parser.parse_args(arguments)
    text = draw(ladder.between_rooms(ladder.read_imports()))
    name = PICTURE.relative_to(ladder.ROOT)
    if not options.check:
        PICTURE.write_text(text, encoding="utf-8", newline="\n")
        sys.stdout.write(f"{name}\n")
    elif not PICTURE.exists() or PICTURE.read_text(encoding="utf-8") != text:
        sys.stderr.write(f"{name} is not what the code is now; run python docs/tools/draw_architecture.py\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
