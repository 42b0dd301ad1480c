"""Faults made on purpose: the campaign has to find each of them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from trial import OPENED, Case, Kind


def make(dice: Random, folder: Path) -> Case:
    (folder / "precious.txt").write_text(str(dice.random()), encoding="utf-8")
    return Case(None, "planted", "precious.txt")


def _hang(case: Case) -> str:
    time.sleep(60)
    return OPENED


def _crash(case: Case) -> str:
    os._exit(9)


def _memory(case: Case) -> str:
    return OPENED if len(bytearray(b"x") * 2**26) else ""


def _traceback(case: Case) -> str:
    raise KeyError("precious.txt")


def _unclear(case: Case) -> str:
    raise ValueError("a file is damaged")


def _changed(case: Case) -> str:
    Path("precious.txt").write_text("", encoding="utf-8")
    return OPENED


def _refused(case: Case) -> str:
    raise ValueError("precious.txt is damaged")


def _kind(attempt: Callable[[Case], str], limit: float = 10, memory: int = 1024) -> Kind:
    return Kind(make, attempt, 1, limit=limit, memory=memory)


KINDS: dict[str, Kind] = {
    "planted.hang": _kind(_hang, limit=0.5),
    "planted.crash": _kind(_crash),
    "planted.memory": _kind(_memory, memory=32),
    "planted.traceback": _kind(_traceback),
    "planted.unclear": _kind(_unclear),
    "planted.changed": _kind(_changed),
    "planted.refused": _kind(_refused),
}
