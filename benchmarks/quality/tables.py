"""The tables of a contest: means of each method, those of empty photographs, every picture, curves over strength."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from curves import compare, group, means, table, verdicts
from measures import SHOWN

OURS = "standard"
BALANCED = 0.5
DISTANCES = {"style": "Gram matrices", "sliced": "sliced Wasserstein"}
Record = Mapping[str, Any]


def report(records: Sequence[Record]) -> str:
    """All tables, for each size."""
    parts = []
    for size in sorted({record["size"] for record in records}):
        chosen = [record for record in records if record["size"] == size]
        measured = [name for name in SHOWN if all(name in record["scores"] for record in chosen)]
        balanced = [record for record in chosen if record["strength"] == BALANCED]
        parts.append(f"## {size} pixels")
        if balanced:
            parts += [f"Means:\n\n{means(complete(balanced), measured, OURS)}", incomplete(balanced)]
        empty = [record for record in balanced if "empty" in record["kinds"]]
        if empty:
            parts.append(f"Means of photographs with large empty places:\n\n{means(complete(empty), measured, OURS)}")
        if balanced:
            parts.append(f"Every picture:\n\n{every(balanced, measured)}")
        parts += over_strength(chosen)
    return "\n\n".join(part for part in parts if part)


def complete(records: Sequence[Record]) -> list[Record]:
    """The records of methods that have as many pairs as any."""
    counts = Counter(record["method"] for record in records)
    return [record for record in records if counts[record["method"]] == max(counts.values())]


def incomplete(records: Sequence[Record]) -> str:
    """Which methods lack pairs that others have, in words."""
    counts = Counter(record["method"] for record in records)
    short = [f"{name} {count}" for name, count in counts.items() if count < max(counts.values())]
    return f"Left out are methods with fewer pairs than {max(counts.values())}: {', '.join(short)}." if short else ""


def every(records: Sequence[Record], names: Sequence[str]) -> str:
    """A line for each picture, the methods of a pair together."""
    rows = [["pair", "method", *names, "evaluations", "seconds"]]
    for pair in dict.fromkeys(record["pair"] for record in records):
        for record in (each for each in records if each["pair"] == pair):
            values = [f"{record['scores'][name]:.3f}" for name in names]
            rows.append([pair, record["method"], *values, str(record["evaluations"]), f"{record['seconds']:.1f}"])
    return table(rows)


def over_strength(records: Sequence[Record]) -> list[str]:
    """For both distances, ours against the others of which there are several strengths; structure as in ``curves``."""
    strengths: dict[str, set[float]] = {}
    for record in records:
        strengths.setdefault(record["method"], set()).add(record["strength"])
    several = {name for name, found in strengths.items() if len(found) > 1}
    if OURS not in several or len(several) < 2:
        return []
    chosen = [record for record in records if record["method"] in several]
    return [
        f"At equal structure:\n\n{by_both(chosen)}",
        *(
            f"Style distance by {said} at equal structure, {OURS} against the others:\n\n{verdicts(chosen, OURS, name)}"
            for name, said in DISTANCES.items()
        ),
    ]


def by_both(records: Sequence[Record]) -> str:
    """On how many pairs ours is nearer to the style by both distances, and the share of the other's time it takes."""
    curves = [group(records, name) for name in DISTANCES]
    nearer: dict[str, list[bool]] = {}
    for place, methods in curves[0].items():
        for name in methods:
            if name != OURS and OURS in methods:
                both = [compare(each[place][OURS], each[place][name])["better"] for each in curves]
                nearer.setdefault(name, []).append(all(both))
    seconds = {
        name: statistics.fmean(record["seconds"] for record in records if record["method"] == name)
        for name in (OURS, *nearer)
    }
    return "\n".join(
        f"{OURS} is nearer than {name} by both distances on {sum(found)} of {len(found)} pairs, in "
        f"{seconds[OURS] / seconds[name]:.2f} times its seconds"
        for name, found in nearer.items()
    )
