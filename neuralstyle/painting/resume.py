"""Runs that can be killed and continued: the file with the state of a run and the settings it belongs to."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

import torch

from neuralstyle import distributed
from neuralstyle.checkpoint import (
    State,
    clear_leftovers,
    compare_settings,
    describe,
    fingerprint,
    load_state,
    save_state,
)
from neuralstyle.images import load_image
from neuralstyle.objective.regions import load_mask
from neuralstyle.painting.options import StateFile
from neuralstyle.styles import Style

_KIND = "neuralstyle run"

Settings: TypeAlias = Mapping[str, str]
"""What has to be the same for a run to be continued, by name."""


class RunState:
    """The state of a run in a file, written anew at most every ``StateFile.every`` seconds.

    The file is there from the beginning, with nothing but the settings; a run that was killed before its first state
    starts anew, with these settings or others.

    Args:
        file: which file; None keeps no state.
        settings: the settings of the run, as ``settings_of`` gives them.
        device: where the tensors of a state go that were on an accelerator.

    Raises:
        ValueError: the file is damaged, or belongs to a run with other settings; the message names the first.
        OSError: the file cannot be written.

    """

    def __init__(self, file: StateFile | None, settings: Settings, device: torch.device | str = "cpu") -> None:
        self.file = file
        self.settings = settings
        self.written = time.monotonic()
        self.found: State | None = None
        if file is None:
            return
        self.found = check_state(file, settings, device)
        clear_leftovers(file.path)
        if self.found is None:
            self._write(file, {})

    def save_if_due(self, state: State) -> None:
        """Write a state if the last one is old enough."""
        if self.file is not None and time.monotonic() - self.written >= self.file.every:
            self._write(self.file, state)

    def _write(self, file: StateFile, state: State) -> None:
        if distributed.is_writer():
            save_state(file.path, {**state, "settings": dict(self.settings)}, kind=_KIND)
            self.written = time.monotonic()


def check_state(file: StateFile, settings: Settings, device: torch.device | str = "cpu") -> State | None:
    """Check that a run may keep its state in a file, and return the state to continue from, or None.

    Raises:
        ValueError: the file is damaged, or belongs to a run with other settings; the message names the first.
        OSError: the file cannot be written.

    """
    path = Path(file.path)
    _check_place(path)
    if not path.exists():
        return None
    found: State = load_state(path, kind=_KIND, device=device)
    if len(found) == 1:  # the settings alone
        return None
    compare_settings(found["settings"], settings, path)
    return found


def settings_of(run: Mapping[str, Any]) -> dict[str, str]:
    """Return settings as text that is the same in every process, after the versions that they depend on.

    Raises:
        ValueError: a setting that ``describe`` cannot describe.

    """
    versions = {f"version of {package}": version(package) for package in ("neuralstyle", "torch")}
    return {name: value if isinstance(value, str) else describe(value) for name, value in {**versions, **run}.items()}


def describe_style(style: Style) -> str:
    """Return a style's options, with fingerprints for its pictures."""
    mask, region = (None if m is None else fingerprint(load_mask(m)) for m in (style.mask, style.region))
    return repr(replace(style, image=fingerprint(load_image(style.image)), mask=mask, region=region))


def _check_place(path: Path) -> None:
    """Check that the state can be written, before the work."""
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
