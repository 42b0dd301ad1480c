"""State files: the state of a run and its settings, so that a killed run can continue."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

import torch

from neuralstyle import distributed
from neuralstyle._version import full_version
from neuralstyle.checkpoint import (
    State,
    check_savable,
    compare_settings,
    describe,
    fingerprint,
    load_state,
    peek_state,
    save_state,
)
from neuralstyle.files import check_target
from neuralstyle.files.schema import Anything, Floats, Number, Record, Table, Text, Whole
from neuralstyle.images import load_image
from neuralstyle.images.masks import load_mask
from neuralstyle.painting.options import StateFile
from neuralstyle.styles import Style

_KIND = "neuralstyle run"

_PICTURE = Floats((1, 3, None, None))
_MINIMUM = Record(
    {
        "walk": Record({"image": _PICTURE}, others=Anything()),  # what else a strategy needs is its own affair
        "kept": _PICTURE,
        "lowest": Number(infinite=True),
        "count": Whole(),
        "steps": Whole(),
    }
)
_SCHEMA = Record(
    {"settings": Table(Text())},
    together={"stage": Whole(), "iteration": Whole(), "elapsed": Number(0), "minimum": _MINIMUM},
)
"""What a state file holds: at the start of a run the settings alone."""

Settings: TypeAlias = Mapping[str, str]
"""Settings that a continued run has to share, by name."""


class RunState:
    """The state of a run in a file, rewritten at most every ``StateFile.every`` seconds.

    The file exists from the start, with the settings alone. A run that was killed before its first state starts again,
    with the same settings or others.

    Args:
        file: the file; None saves no state.
        settings: the settings of the run, from ``settings_of``.
        device: device for those tensors of the state that were on an accelerator.

    Raises:
        ValueError: the file is damaged, or belongs to a run with other settings; the message names the first.
        OSError: the file cannot be written.

    """

    def __init__(self, file: StateFile | None, settings: Settings, device: torch.device | str = "cpu") -> None:
        self.file = file
        self.settings = settings
        self.written = time.monotonic()
        self._is_checked = False
        self.found: State | None = None
        if file is None:
            return
        self.found = check_state(file, settings, device)
        if self.found is None:
            self._write(file, {})

    def save_if_due(self, state: State) -> None:
        """Write a state if ``StateFile.every`` seconds have passed since the last one.

        Raises:
            TypeError: the state cannot be saved; the first one is checked at once.

        """
        if self.file is not None and not self._is_checked:
            check_savable(state)
            self._is_checked = True
        if self.file is not None and time.monotonic() - self.written >= self.file.every:
            self._write(self.file, state)

    def _write(self, file: StateFile, state: State) -> None:
        if distributed.is_writer():
            save_state(file.path, {**state, "settings": dict(self.settings)}, kind=_KIND)
            self.written = time.monotonic()


def check_state(file: StateFile, settings: Settings, device: torch.device | str = "cpu") -> State | None:
    """Check that a run can use a state file, and return the state to continue from, or None.

    Raises:
        ValueError: the file is damaged, or belongs to a run with other settings; the message names the first.
        OSError: the file cannot be written.

    """
    path = Path(file.path)
    check_target(path, overwrite=True)
    if not path.exists():
        return None
    found: State = load_state(path, kind=_KIND, device=device, schema=_SCHEMA)
    if len(found) == 1:  # the settings alone
        return None
    compare_settings(found["settings"], settings, path)
    return found


def is_state_of(file: StateFile, settings: Settings) -> bool:
    """Tell whether a state file exists and is of a run with these settings, also one killed before its first state.

    Only then may a run replace what a run before it has left, such as its picture.

    Raises:
        ValueError: the file is damaged.
        OSError: the file cannot be read.

    """
    if not Path(file.path).exists():
        return False
    found: State = peek_state(file.path, kind=_KIND, schema=_SCHEMA)
    return bool(found["settings"] == dict(settings))


def settings_of(run: Mapping[str, Any]) -> dict[str, str]:
    """Return settings as text that is the same in every process, with the versions of neuralstyle and torch.

    Raises:
        ValueError: a setting that ``describe`` cannot describe.

    """
    versions = {"version of neuralstyle": full_version(), "version of torch": version("torch")}
    return {name: value if isinstance(value, str) else describe(value) for name, value in {**versions, **run}.items()}


def describe_style(style: Style) -> str:
    """Return a style's options as text, with fingerprints for its pictures."""
    mask, region = (None if m is None else fingerprint(load_mask(m)) for m in (style.mask, style.region))
    return repr(replace(style, image=fingerprint(load_image(style.image)), mask=mask, region=region))
