"""Lays out a graph whose arrows run from row to row: few crossings, straight lines, nothing drawn over a box."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Node(NamedTuple):
    """What takes a place in a row: a box, or a bend of the arrow ``of`` where it passes a row."""

    name: str
    width: float
    of: tuple[str, str] | None = None


Rows = list[list[Node]]


class Link(NamedTuple):
    """A piece of an arrow, from a row to the next; ``pull`` says how much it counts that it runs straight."""

    upper: Node
    lower: Node
    pull: float


def lay_out(
    rows: Sequence[Mapping[str, float]],
    edges: Sequence[tuple[str, str]],
    straight: Sequence[tuple[str, str]] = (),
    gap: float = 18,
) -> tuple[dict[str, float], dict[tuple[str, str], list[float]]]:
    """Find where each box and each bend of an arrow goes, from left to right.

    Args:
        rows: the width of each box by its name, row by row, from top to bottom.
        edges: pairs of boxes, the upper one first.
        straight: those of ``edges`` that are to run straight before all others.
        gap: the least distance between neighbours in a row.

    Returns:
        The middle of each box by its name, and for each arrow the places where it passes the rows between its ends.
    """
    placed, links = _with_bends(rows, {edge: 4.0 if edge in straight else 1.0 for edge in edges})
    placed = _ordered(placed, links, gap)
    # Rounded, and sums by fsum: then each version of Python finds the same.
    x = {node: round(place, 3) for node, place in _positions(placed, links, gap).items()}
    boxes = {node.name: x[node] for row in placed for node in row if node.of is None}
    bends: dict[tuple[str, str], list[float]] = {edge: [] for edge in edges}
    for row in placed:
        for node in row:
            if node.of is not None:
                bends[node.of].append(x[node])
    return boxes, bends


def _with_bends(
    rows: Sequence[Mapping[str, float]], edges: Mapping[tuple[str, str], float]
) -> tuple[Rows, list[list[Link]]]:
    """The rows with a bend wherever an arrow passes one, and the links between each row and the next."""
    placed = [[Node(name, width) for name, width in row.items()] for row in rows]
    place = {node.name: (level, node) for level, row in enumerate(placed) for node in row}
    links: list[list[Link]] = [[] for _ in rows]
    for edge, pull in edges.items():
        (first, upper), (last, lower) = place[edge[0]], place[edge[1]]
        for level in range(first + 1, last):
            bend = Node(f"{edge[0]} to {edge[1]} at {level}", 8, edge)
            placed[level].append(bend)
            links[level - 1].append(Link(upper, bend, 4 * pull if upper.of else 2 * pull))
            upper = bend
        links[last - 1].append(Link(upper, lower, 2 * pull if upper.of else pull))
    return placed, links


def _ordered(rows: Rows, links: list[list[Link]], gap: float) -> Rows:
    """The rows so ordered that no move of one node makes the picture better: the best of a few such orders."""
    mirrored = [row if level % 2 else row[::-1] for level, row in enumerate(rows)]
    bends_first = [sorted(row, key=lambda node: node.of is None) for row in rows]
    found = [_improved(start, links, gap) for start in (rows, mirrored, bends_first)]
    return min(found, key=lambda ordered: (_crossings(ordered, links), _sideways(ordered, links, gap)))


def _improved(rows: Rows, links: list[list[Link]], gap: float) -> Rows:
    """The rows after every move of one node that saves crossings, or else ways to the side, until none does."""
    crossings, sideways = _crossings(rows, links), _sideways(rows, links, gap)
    improved = True
    while improved:
        improved = False
        for level, row in enumerate(rows):
            for node, place in itertools.product(tuple(row), range(len(row))):
                others = [other for other in rows[level] if other is not node]
                tried = [*rows[:level], [*others[:place], node, *others[place:]], *rows[level + 1 :]]
                crossed = _crossings(tried, links)
                if crossed > crossings:
                    continue
                aside = _sideways(tried, links, gap)
                if (crossed, aside) < (crossings, sideways):
                    rows, crossings, sideways, improved = tried, crossed, aside, True
    return rows


def _crossings(rows: Rows, links: list[list[Link]]) -> int:
    place = {node: number for row in rows for number, node in enumerate(row)}
    between = [[(place[link.upper], place[link.lower]) for link in pairs] for pairs in links]
    return sum((a - b) * (c - d) < 0 for ends in between for (a, c), (b, d) in itertools.combinations(ends, 2))


def _sideways(rows: Rows, links: list[list[Link]], gap: float) -> int:
    """How far arrows go to the side, those most that are to run straight."""
    x = _positions(rows, links, gap, sweeps=4)
    return round(math.fsum(link.pull * abs(x[link.upper] - x[link.lower]) for pairs in links for link in pairs))


def _positions(rows: Rows, links: list[list[Link]], gap: float, sweeps: int = 60) -> dict[Node, float]:
    """Each node as near to the nodes it is linked with as its neighbours in the row let it."""
    near: dict[Node, list[tuple[Node, float]]] = {node: [] for row in rows for node in row}
    for link in (link for pairs in links for link in pairs):
        near[link.upper].append((link.lower, link.pull))
        near[link.lower].append((link.upper, link.pull))
    x = {node: 0.0 for row in rows for node in row}
    for row in rows:
        x |= _spread([(node, 0.0, 1.0) for node in row], gap)
    for sweep in range(sweeps):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wanted = [_wanted(node, near[node], x) for node in row]
            x |= _spread(wanted, gap)
    return x


def _wanted(node: Node, near: Sequence[tuple[Node, float]], x: Mapping[Node, float]) -> tuple[Node, float, float]:
    """A node, the weighted middle of those that it is linked with, and the weight of that wish."""
    weight = math.fsum(pull for _, pull in near)
    if not near:
        return node, x[node], 1.0
    return node, math.fsum(pull * x[other] for other, pull in near) / weight, weight


def _spread(row: Sequence[tuple[Node, float, float]], gap: float) -> dict[Node, float]:
    """The places nearest to the wanted ones at which neighbours keep their distance.

    Args:
        row: each node, the place that it wants and its weight in the sum of squares.
        gap: the least distance between neighbours.
    """
    shifts = [0.0]
    for (left, *_), (right, *_) in itertools.pairwise(row):
        shifts.append(shifts[-1] + (left.width + right.width) / 2 + gap)
    blocks: list[tuple[float, float, int]] = []  # weighted places, weights, nodes; pooled where they overlap
    for (_, place, weight), shift in zip(row, shifts, strict=True):
        blocks.append((weight * (place - shift), weight, 1))
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            last, previous = blocks.pop(), blocks.pop()
            blocks.append((last[0] + previous[0], last[1] + previous[1], last[2] + previous[2]))
    pooled = [total / weight for total, weight, count in blocks for _ in range(count)]
    return {node: start + shift for (node, *_), start, shift in zip(row, pooled, shifts, strict=True)}
