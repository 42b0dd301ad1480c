"""What the runs say: curves of style distance over structure, compared; tables."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

Point = tuple[float, float]  # structure, which should be high, and style distance, which should be low
STEPS = 50


def at(curve: Sequence[Point], structure: float) -> float:
    """The style distance of a curve at a structure within its range, straight between the points."""
    points = sorted(curve)
    for (left, low), (right, high) in pairwise(points):
        if left <= structure <= right:
            return low + (high - low) * (structure - left) / (right - left) if right > left else min(low, high)
    if len(points) == 1 and points[0][0] == structure:
        return points[0][1]
    raise ValueError(f"a structure of {structure} is not between {points[0][0]} and {points[-1][0]}")


def best(curve: Sequence[Point], structure: float) -> float | None:
    """The lowest style distance at this structure or a better one; None where the curve keeps less."""
    points = sorted(curve)
    if structure > points[-1][0]:
        return None
    beyond = [distance for kept, distance in points if kept >= structure]
    return min([*beyond, at(points, structure)]) if structure >= points[0][0] else min(beyond)


def compare(ours: Sequence[Point], theirs: Sequence[Point]) -> dict[str, Any]:
    """Whether one curve is below another.

    Returns:
        ``won`` and ``decided``: at how many of their points ours is lower at equal or better structure, of how many
        that ours reaches; ``ratio``: of ours to theirs at equal structure, the geometric mean over what both cover,
        None where they cover nothing together; ``better``: the ratio is below 1 or, without one, all is won.
    """
    reached = [(best(ours, structure), distance) for structure, distance in theirs]
    decided = [(own, other) for own, other in reached if own is not None]
    won = sum(own < other for own, other in decided)
    low = max(min(ours)[0], min(theirs)[0])
    high = min(max(ours)[0], max(theirs)[0])
    ratio = None
    if low < high:
        places = [low + (high - low) * (i + 0.5) / STEPS for i in range(STEPS)]
        ratio = math.exp(statistics.fmean(math.log(at(ours, x) / at(theirs, x)) for x in places))
    better = ratio < 1 if ratio is not None else won == len(theirs)
    return {"won": won, "decided": len(decided), "ratio": ratio, "better": better}


def group(records: Sequence[Mapping[str, Any]], measure: str) -> dict[tuple[str, int], dict[str, list[Point]]]:
    """The curve of each method for each (pair, size)."""
    found: dict[tuple[str, int], dict[str, list[Point]]] = {}
    for record in records:
        scores = record["scores"]
        methods = found.setdefault((record["pair"], record["size"]), {})
        methods.setdefault(record["method"], []).append((scores["structure"], scores[measure]))
    return found


def verdicts(records: Sequence[Mapping[str, Any]], ours: str, measure: str) -> str:
    """For each pair and size and each other method: is ours lower? And the sum of it."""
    rows = [["pair", "size", "against", "structure, ours", "theirs", "ratio", "points won", "lower"]]
    sums: dict[tuple[int, str], list[bool]] = {}
    for (pair, size), curves in group(records, measure).items():
        for name, theirs in curves.items():
            if name == ours or ours not in curves:
                continue
            found = compare(curves[ours], theirs)
            sums.setdefault((size, name), []).append(found["better"])
            ratio = "none" if found["ratio"] is None else f"{found['ratio']:.2f}"
            won = f"{found['won']} of {found['decided']}"
            spans = [f"{min(curve)[0]:.2f} - {max(curve)[0]:.2f}" for curve in (curves[ours], theirs)]
            rows.append([pair, str(size), name, *spans, ratio, won, "yes" if found["better"] else "no"])
    lines = [table(rows), ""]
    for (size, name), better in sums.items():
        lines.append(f"lower than {name} at {size} px on {sum(better)} of {len(better)} pairs")
    return "\n".join(lines)


def points(records: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str:
    """Every run on a line."""
    rows = [["pair", "size", "method", "weight", "seconds", "evaluations", *names]]
    for record in records:
        head = [record["pair"], str(record["size"]), record["method"], f"{record['content_weight']:g}"]
        work = [f"{record['seconds']:.0f}", str(record["evaluations"])]
        rows.append(head + work + [f"{record['scores'][name]:.3f}" for name in names])
    return table(rows)


def means(records: Sequence[Mapping[str, Any]], names: Sequence[str], first: str) -> str:
    """A line for each method, ``first`` first, with its means over the pairs that all methods have."""
    methods: dict[str, dict[tuple[str, int], Mapping[str, Any]]] = {}
    for record in records:
        methods.setdefault(record["method"], {})[record["pair"], record["size"]] = record
    pairs = set.intersection(*(set(found) for found in methods.values()))
    if not pairs:
        return "no pair has been painted in every way yet"
    rows = [["", *names, "seconds"]]
    for method in sorted(methods, key=lambda name: name != first):
        chosen = [methods[method][pair] for pair in sorted(pairs)]
        values = [statistics.fmean(record["scores"][name] for record in chosen) for name in names]
        seconds = statistics.fmean(record["painted"] for record in chosen)
        rows.append([method, *(f"{value:.3f}" for value in values), f"{seconds:.1f}"])
    return table(rows) + f"\n\nMeans over {len(pairs)} pair{'s' if len(pairs) > 1 else ''}."


def descents(records: Sequence[Mapping[str, Any]], first: str) -> str:
    """For each pair and each way but ``first``: its value and its time as shares of the first's, and the colours.

    The value is the lowest that the default losses had through VGG-19 in the last stage, or of a way that ends through
    another network, that of its picture. Times are from the start of the process.
    """
    rows = [["pair", "size", "way", "seconds", "value", "of its time", "of its value", "there after", "color"]]
    references = {(record["pair"], record["size"]): record for record in records if record["method"] == first}
    for record in records:
        reference = references.get((record["pair"], record["size"]))
        if reference is None or record is reference:
            continue
        (goal, end), (value, seconds) = _lowest(reference), _lowest(record)
        there = [moment for moment, loss in record["curve"] if loss <= goal]
        rows.append(
            [
                record["pair"],
                str(record["size"]),
                record["method"],
                f"{seconds:.1f}",
                f"{value:.3f}",
                f"{seconds / end:.2f}",
                f"{value / goal:.2f}",
                f"{there[0] / end:.2f}" if there else "never",
                f"{record['scores']['color'] / reference['scores']['color']:.2f}",
            ]
        )
    return table(rows)


def _lowest(record: Mapping[str, Any]) -> tuple[float, float]:
    """The value that a run comes to, and the seconds until then."""
    if not record["curve"]:
        return record["objective"], record["seconds"]
    moment, value = min(record["curve"], key=lambda entry: entry[1])
    return value, moment


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows, the first of them the heading, as Markdown."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "| --- |" + " ---: |" * (len(rows[0]) - 1))
    return "\n".join(lines)
