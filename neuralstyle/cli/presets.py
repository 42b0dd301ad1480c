"""Presets: options from a file (``--config``), and from the picture that they made (``--like``).

What the command line says itself counts first, then ``--config``, then ``--like``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from neuralstyle._errors import brief, unknown
from neuralstyle.cli.parsing import Command, Option, Parser
from neuralstyle.machine import busy

CONFIG = Option(
    "--config", "take options from this TOML file; what is given here counts first", metavar="FILE", reads=True
)
LIKE = Option(
    "--like", "take the settings from this picture, which travel in it", metavar="RESULT", reads=True, everyday=True
)
PRESETS = (LIKE, CONFIG)

ALTERNATIVES = (("size", "width", "pixels"), ("style_layer_ratio", "style_layer_weights"))
"""Options that say one thing: one that is given takes the place of all of a preset's."""

_TYPES: Mapping[Any, tuple[type, ...]] = {int: (int,), float: (int, float), str: (str,)}
_NEVER = ("config", "like", "help", "help_all")


def added(parser: Parser, words: Sequence[str]) -> dict[str, Any]:
    """What ``--config`` and ``--like`` add to the words of a command line, by the keys of options.

    Args:
        parser: the parser, which is used up.
        words: the words.

    Raises:
        ValueError: as ``presets``.
        OSError: as ``presets``.

    """
    if not any(word.startswith(("--c", "--l")) for word in words):
        return {}
    given = vars(parser.said(words))
    if given.get("config") is None and given.get("like") is None:
        return {}
    return presets(given, given["command"])


def presets(given: Mapping[str, Any], command: Command) -> dict[str, Any]:
    """The options that ``--config`` and ``--like`` add to those that are given.

    Raises:
        ValueError: a file that is no TOML, an unknown option or a wrong value in it; or a picture without settings.
        OSError: a file that cannot be read.

    """
    found: dict[str, Any] = {}
    for source in (_like, _config):
        added = dict(source(given, command))
        _make_room(found, added)
        found.update(added)
    _make_room(found, given)
    return {name: value for name, value in found.items() if name not in given}


def _make_room(found: dict[str, Any], better: Mapping[str, Any]) -> None:
    for names in ALTERNATIVES:
        if any(name in better for name in names):
            for name in names:
                found.pop(name, None)


def _like(given: Mapping[str, Any], command: Command) -> Iterator[tuple[str, Any]]:
    if given.get("like") is None:
        return
    busy.settle()
    from neuralstyle.many.settings import read_settings  # which imports torch

    path = given["like"]
    settings = read_settings(path)
    if settings is None:
        raise ValueError(f"{path} holds no settings; give a picture that 'neuralstyle stylize' or 'batch' has saved")
    others = settings.get("others")
    if isinstance(others, dict) and others:
        names = ", ".join(map(str, others))
        raise ValueError(f"{path} was painted from Python with {names} that no option can say; call Python again")
    if settings.get("command") != "stylize":
        raise ValueError(f"{path} was painted by {brief(settings.get('command'), 30)}; give a result of stylize")
    files = settings.get("files")
    missing = [name for name in files if name not in given] if isinstance(files, dict) else []
    if missing:
        words = " and ".join(f"--{name.replace('_', '-')}" for name in missing)
        raise ValueError(f"{path} was painted with {words}, whose files do not travel in it; give {words} again")
    yield from _checked(settings["options"], command, str(path))


def _config(given: Mapping[str, Any], command: Command) -> Iterator[tuple[str, Any]]:
    if given.get("config") is None:
        return
    path = Path(given["config"])
    facts = _read_toml(path)
    own = facts.get(command.name, {})
    if not isinstance(own, dict):
        raise ValueError(f"{path}: {command.name} is the name of a command; write [{command.name}] above its options")
    shared = {name: value for name, value in facts.items() if not isinstance(value, dict)}
    yield from _checked({**shared, **own}, command, str(path))


def _read_toml(path: Path) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        with path.open("rb") as file:
            found: dict[str, Any] = tomllib.load(file)
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no file {path}; check the name and the folder") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a TOML file ({error}); write lines such as size = 768") from None
    return found


def _checked(facts: Mapping[str, Any], command: Command, source: str) -> Iterator[tuple[str, Any]]:
    """The options of a file, with the types of the command line.

    Raises:
        ValueError: an unknown option or a wrong value.

    """
    table = {option.key: option for option in command.table() if option.name.startswith("-")}
    for name, value in facts.items():
        key = str(name).lstrip("-").replace("-", "_")
        if key not in table or key in _NEVER:
            known = [option.name.lstrip("-") for each, option in table.items() if each not in _NEVER]
            raise ValueError(f"{source}: {unknown(f'option of {command.name}', name, known)}")
        yield key, _value(table[key], value, source)


def _value(option: Option, value: Any, source: str) -> Any:
    """A value of a file as the command line would have it."""
    name = f"{source}: {option.name.lstrip('-')}"
    if option.flag:
        if not isinstance(value, bool):
            raise ValueError(f"{name} is true or false, received {brief(value, 40)}")
        return value
    several: Sequence[Any] = value if isinstance(value, list) else [value]
    if option.nargs is None and isinstance(value, list):
        raise ValueError(f"{name} takes one value, received {brief(value, 40)}")
    if isinstance(option.nargs, int) and len(several) != option.nargs:
        raise ValueError(f"{name} takes {option.nargs} values, received {brief(value, 40)}")
    values = [_one(option, each, name) for each in several]
    return values if option.nargs is not None else values[0]


def _one(option: Option, value: Any, name: str) -> Any:
    kinds = _TYPES.get(option.type, (int, str))  # (int, str): pixels, or a word such as "auto"
    if isinstance(value, bool) or not isinstance(value, kinds):
        raise ValueError(f"{name} has the wrong type, received {brief(value, 40)}")
    try:
        found = option.type(str(value))
    except (ValueError, argparse.ArgumentTypeError):
        raise ValueError(f"{name} cannot be {brief(value, 40)}") from None
    if option.choices and found not in option.choices:
        raise ValueError(f"{name}: {unknown('value', found, map(str, option.choices))}")
    return found
