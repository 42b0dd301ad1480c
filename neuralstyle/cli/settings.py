"""The settings of a command that travel in its picture: its options as words, and digests of the files they name."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from neuralstyle._words import AUTO_REGIONS
from neuralstyle.cli.parsing import Command
from neuralstyle.many.settings import ALWAYS, Settings, digest, part_digest

SIZES = ("size", "width", "pixels")
"""Options that say one thing."""

FILES = ("masks", "regions", "init", "weights")
"""Options that name files; of "init" and "weights" some values are words."""

_NO_FILES = ("-", AUTO_REGIONS)

NOT_SEEN = frozenset(
    (
        *("content", "photos", "style", "blend", "output", "overwrite", "suffix", "recursive", "skip_existing"),
        *("jobs", "threads", "shard", "config", "like", "device", "max_megapixels", "dry_run", "history_store"),
        *("quiet", "json", "print_every", "snapshots", "snapshots_every", "log", "plot", "state", "state_every"),
    )
)
"""Arguments and options that the picture does not show, or that are read from it in another way."""


def settings(options: argparse.Namespace, recipe: Mapping[str, Any], command: str) -> Settings:
    """The settings of a command, without the digests of its content and styles.

    Args:
        options: the parsed options.
        recipe: the arguments that a recipe replaces; their defaults say nothing.
        command: its name in the settings.

    """
    words = {name: options.defaults[name] for name in ALWAYS if name in options.defaults and name not in recipe}
    if any(getattr(options, name, None) is not None for name in SIZES):
        words.pop("size", None)
    files: dict[str, Sequence[str | None]] = {}
    table: Command = options.command
    for option in table.table():
        name, value = option.key, getattr(options, option.key, None)
        if name in NOT_SEEN or value in (None, False) or (option.default is not None and value == option.default):
            continue
        if name in FILES and (found := _digests(name, value)) is not None:
            files[name] = found
            words.pop(name, None)
        else:
            words[name] = value
    return Settings(command, words, {}, files)


def settings_of(options: argparse.Namespace, recipe: Mapping[str, Any]) -> Settings:
    """The settings of a command for one picture, with the digests of its content and styles."""
    content, styles = getattr(options, "content", None), getattr(options, "style", [])
    found = settings(options, {name: 0 for name in recipe if name != "losses"}, options.command.name)
    return replace(found, content=digest(content), styles=[digest(style) for style in styles])


def _digests(name: str, value: Any) -> Sequence[str | None] | None:
    """Digests of the files that an option names; None for a word."""
    if isinstance(value, str):
        return [digest(value)] if Path(value).is_file() else None
    if all(each in _NO_FILES for each in value):
        return None
    return [None if each in _NO_FILES else part_digest(each) for each in value]
