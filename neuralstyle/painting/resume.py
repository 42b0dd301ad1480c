"""Runs that can be killed and continued: the file that holds where a run stands, and the settings it belongs to."""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

import torch

from neuralstyle import distributed
from neuralstyle.checkpoint import State, clear_leftovers, describe, fingerprint, load_state, save_state
from neuralstyle.images import load_image
from neuralstyle.objective.regions import load_mask
from neuralstyle.styles import Style

_KIND = "neuralstyle run"

Settings: TypeAlias = Mapping[str, Any]


class StateFile:
    """The state of a run in a file, rewritten at most every ``interval`` seconds.

    The file is there from the beginning, with nothing but the settings; a run that was killed before its first state
    starts anew, with these settings or others.

    Args:
        path: the file; None keeps no state.
        interval: seconds between two states, at least.
        settings: gives what has to be the same for a run to be continued, by name; compared by ``describe``.
        device: where the tensors of a state go that lay on an accelerator.

    Raises:
        ValueError: the file is damaged, belongs to a run with other settings (the message names the first), or a
            setting has no description that is the same in every process.
        OSError: the file cannot be written there.

    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None,
        interval: float,
        settings: Callable[[], Settings],
        device: torch.device | str = "cpu",
    ) -> None:
        if isinstance(interval, bool) or not (math.isfinite(interval) and interval >= 0):
            raise ValueError(f"state_interval is a number of seconds, at least 0, received {interval!r}")
        self.path = None if path is None else Path(path)
        self.interval = interval
        self.settings: dict[str, str] = {}
        self.written = time.monotonic()
        self.found: State | None = None
        if self.path is None:
            return
        versions = {f"version of {package}": version(package) for package in ("neuralstyle", "torch")}
        self.settings = {
            name: value if isinstance(value, str) else describe(value)
            for name, value in {**versions, **settings()}.items()
        }
        _check_place(self.path)
        clear_leftovers(self.path)
        if self.path.exists():
            found = load_state(self.path, kind=_KIND, device=device)
            if len(found) > 1:
                self._compare(found["settings"])
                self.found = found
        if self.found is None:
            self._write(self.path, {})

    def offer(self, state: State) -> None:
        """Write a state if the last one is old enough."""
        if self.path is not None and time.monotonic() - self.written >= self.interval:
            self._write(self.path, state)

    def _write(self, path: Path, state: State) -> None:
        if distributed.is_writer():
            save_state(path, {**state, "settings": self.settings}, kind=_KIND)
            self.written = time.monotonic()

    def _compare(self, found: Settings) -> None:
        for name, value in self.settings.items():
            if found.get(name) != value:
                raise ValueError(
                    f"{self.path} belongs to a run with another {name} ({found.get(name)}, now {value}); give the "
                    "settings and pictures of that run, or another file"
                )


def describe_style(style: Style) -> str:
    """A style's options, with fingerprints for its pictures."""
    mask, region = (None if m is None else fingerprint(load_mask(m)) for m in (style.mask, style.region))
    return repr(replace(style, image=fingerprint(load_image(style.image)), mask=mask, region=region))


def _check_place(path: Path) -> None:
    """Whether the state can be written, before the work."""
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; give the name of a file in it for the state of the run")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent} for the state of the run; create it first")
    try:  # os.access says yes to root, even where the disk is read-only
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        reason = error.strerror or error
        raise PermissionError(f"cannot write in folder {path.parent} ({reason}); put the state elsewhere") from error
