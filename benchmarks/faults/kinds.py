"""The table of all kinds of inputs."""

from __future__ import annotations

import commands
import misuse
import planted
import programs
import reading
from trial import Kind

KINDS: dict[str, Kind] = {**reading.KINDS, **commands.KINDS, **misuse.KINDS, **programs.KINDS}
"""By name. ``--kinds`` chooses by patterns such as "picture.*"."""

HIDDEN: dict[str, Kind] = planted.KINDS
"""Faults made on purpose, with which the tests show that the campaign finds faults."""
