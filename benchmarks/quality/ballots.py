"""Votes on blind sheets: how they are written, and what they say."""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from curves import table

QUESTIONS = ("overall", "style", "cleanness", "contrast", "kept")


@dataclass(frozen=True)
class Vote:
    """What one looker says of one sheet: for each question answered, the letters in groups of equals, best first."""

    sheet: str
    looker: str
    orders: Mapping[str, tuple[tuple[str, ...], ...]]


def parse_order(text: str, letters: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """An order such as "B>A=C".

    Raises:
        ValueError: the letters are not each of those on the sheet, once.
    """
    groups = tuple(tuple(letter.strip().upper() for letter in group.split("=")) for group in text.split(">"))
    if sorted(letter for group in groups for letter in group) != sorted(letters):
        raise ValueError(
            f"an order has each of {', '.join(letters)} once, such as {'>'.join(letters)}, received {text!r}"
        )
    return groups


def read_votes(files: Sequence[Path], letters: Mapping[str, Sequence[str]]) -> list[Vote]:
    """The votes of all files; lines without a looker are left out.

    Args:
        letters: those on each sheet.
    """
    found: dict[tuple[str, str], Vote] = {}
    for file in files:
        with file.open(newline="", encoding="utf-8") as lines:
            for number, row in enumerate(csv.DictReader(lines), 2):
                looker = (row.get("looker") or "").strip()
                if not looker:
                    continue
                sheet = (row.get("sheet") or "").strip().zfill(2)
                where = f"{file}, line {number}"
                if sheet not in letters:
                    sys.exit(f"{where}: there is no sheet {sheet}; there are {', '.join(letters)}")
                if (sheet, looker) in found:
                    sys.exit(f"{where}: {looker} has voted on sheet {sheet} before")
                cells = {question: (row.get(question) or "").strip() for question in QUESTIONS}
                try:
                    orders = {name: parse_order(text, letters[sheet]) for name, text in cells.items() if text}
                except ValueError as error:
                    sys.exit(f"{where}: {error}")
                found[sheet, looker] = Vote(sheet, looker, orders)
    if not found:
        sys.exit("there are no votes: a line needs the name of its looker")
    return list(found.values())


def places(order: Sequence[Sequence[str]]) -> dict[str, float]:
    """The place of each letter from 1; equals share the mean of theirs."""
    found, before = {}, 0
    for group in order:
        found |= dict.fromkeys(group, before + (len(group) + 1) / 2)
        before += len(group)
    return found


def count(votes: Sequence[Vote], sheets: Mapping[str, Any], ours: str) -> str:
    """Tables of all questions that have been answered.

    Args:
        sheets: by name, the "pair" of each and the method of each of its "letters".
        ours: the method to set against the others.
    """
    methods = list(dict.fromkeys(name for sheet in sheets.values() for name in sorted(sheet["letters"].values())))
    if ours not in methods:
        sys.exit(f"there is no method {ours!r} on the sheets; there are {', '.join(methods)}")
    lookers = dict.fromkeys(vote.looker for vote in votes)
    parts = [f"{len(votes)} votes of {len(lookers)} lookers on {len({vote.sheet for vote in votes})} sheets."]
    for question in QUESTIONS:
        answered = [vote for vote in votes if question in vote.orders]
        if answered:
            by_pair = ranks(answered, sheets, question)
            parts += [f"## {question}", against(by_pair, methods, ours), every_pair(by_pair)]
    return "\n\n".join(parts)


def ranks(votes: Sequence[Vote], sheets: Mapping[str, Any], question: str) -> dict[str, list[dict[str, float]]]:
    """For each pair, the places of the methods by each looker."""
    found: dict[str, list[dict[str, float]]] = {}
    for vote in votes:
        sheet = sheets[vote.sheet]
        by_letter = places(vote.orders[question])
        found.setdefault(sheet["pair"], []).append({sheet["letters"][x]: place for x, place in by_letter.items()})
    return found


def preferred(rankings: Sequence[Mapping[str, float]], one: str, other: str) -> int:
    """How many lookers more rank one above the other than below it."""
    return sum((each[one] < each[other]) - (each[one] > each[other]) for each in rankings)


def against(by_pair: Mapping[str, Sequence[Mapping[str, float]]], methods: Sequence[str], ours: str) -> str:
    """Ours against each other method, pair by pair; then the mean place of each."""
    lines = []
    for other in (name for name in methods if name != ours):
        margins = [preferred(rankings, ours, other) for rankings in by_pair.values()]
        won, even = sum(margin > 0 for margin in margins), sum(margin == 0 for margin in margins)
        lines.append(f"{ours} is preferred to {other} on {won} of {len(margins)} pairs ({even} even)")
    rows = [["method", "mean place", *(f"preferred to {name}" for name in methods)]]
    everything = [each for rankings in by_pair.values() for each in rankings]
    for name in sorted(methods, key=lambda name: sum(each[name] for each in everything)):
        mean = sum(each[name] for each in everything) / len(everything)
        wins = {
            other: sum(preferred(rankings, name, other) > 0 for rankings in by_pair.values())
            for other in methods
            if other != name
        }
        rows.append([name, f"{mean:.2f}", *(str(wins[other]) if other in wins else "" for other in methods)])
    return "\n".join(lines) + f"\n\n{table(rows)}"


def every_pair(by_pair: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """For each pair its methods from best to worst by mean place, and whether its lookers agree on all orders."""
    rows = [["pair", "lookers", "best to worst (mean place)", "agreement"]]
    for pair, rankings in by_pair.items():
        means = {name: sum(each[name] for each in rankings) / len(rankings) for name in rankings[0]}
        ordered = ", ".join(f"{name} ({means[name]:.1f})" for name in sorted(means, key=lambda name: means[name]))
        agreed = agreement(rankings)
        rows.append([pair, str(len(rankings)), ordered, "" if agreed is None else f"{agreed:.0%}"])
    return table(rows)


def agreement(rankings: Sequence[Mapping[str, float]]) -> float | None:
    """The share of comparisons in which lookers are with their majority; 0.5 if divided, None if all are equals."""
    shares = []
    for one, other in combinations(rankings[0], 2):
        signs = [(each[one] > each[other]) - (each[one] < each[other]) for each in rankings]
        decided = [sign for sign in signs if sign]
        if decided:
            shares.append(max(decided.count(1), decided.count(-1)) / len(decided))
    return sum(shares) / len(shares) if shares else None
