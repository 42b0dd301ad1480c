"""Options as rows of a table, and commands made of them. Imports nothing heavy: --help has to answer at once."""

from __future__ import annotations

import argparse
import difflib
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

EVERYDAY = "everyday options"


@dataclass(frozen=True)
class Option:
    """An option of a command, or an argument that is found by its place.

    Args:
        name: with its dashes, such as "--size"; without them for an argument.
        does: what it does, beginning with a verb.
        type: from the text to the value.
        metavar: what the help calls the value.
        default: the value if the option is not given. None: the library decides.
        shown: what the help calls the default. None: the default itself, or that of the command's function.
        choices: all values that there are.
        nargs: number of values, as in argparse.
        flag: whether it takes no value.
        everyday: whether ``--help`` lists it. ``--help-all`` lists them all.
        short: a short name, such as "-o".
        required: whether it has to be given.
        reads: whether its value is a path that the command reads; see ``cli/paths.py``.
        writes: the kind of path that the command writes there. "either": a file if the name has a suffix.
        suffixes: those that a file may have which is written.
        may_exist: whether what is written there may always exist, since the command itself checks it.
        dash_is_none: whether "-" stands for no file, in a list.
        words: values that are no paths, where other values are; a file of such a name is written as ./NAME.

    """

    name: str
    does: str
    type: Callable[[str], Any] = str
    metavar: str | None = None
    default: Any = None
    shown: str | None = None
    choices: Sequence[Any] | None = None
    nargs: str | int | None = None
    flag: bool = False
    everyday: bool = False
    short: str | None = None
    required: bool = False
    reads: bool = False
    writes: Literal["file", "numbered", "folder", "either"] | None = None
    suffixes: Sequence[str] = ()
    may_exist: bool = False
    dash_is_none: bool = False
    words: Sequence[str] = ()

    @property
    def key(self) -> str:
        """Its name in the parsed options."""
        return self.name.lstrip("-").replace("-", "_")

    @property
    def label(self) -> str:
        """What a message calls it."""
        return self.short or (self.name if self.name.startswith("-") else self.metavar or self.name)

    def text(self, defaults: Mapping[str, Any]) -> str:
        """Its help, which ends with its default if it has one."""
        default = defaults.get(self.key) if self.default is None else self.default
        shown = self.shown if self.shown is not None or default is None else str(default)
        return self.does if shown is None else f"{self.does} (default: {shown})"

    def add_to(self, group: Any, text: str) -> None:
        """Add it to a parser or to a group of one."""
        if self.flag:
            group.add_argument(self.name, action="store_true", help=text)
            return
        known = {"metavar": self.metavar, "choices": self.choices, "nargs": self.nargs, "required": self.required}
        names = [name for name in (self.short, self.name) if name is not None]
        given = {name: value for name, value in known.items() if value}
        group.add_argument(*names, type=self.type, default=self.default, help=text, **given)


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, which suggests the closest match of a wrong word."""

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse arguments; unknown ones are compared with the options of the command that was given."""
        options, unknown = self.parse_known_args(args, namespace)
        if unknown:
            command: argparse.ArgumentParser = getattr(options, "parser", self)
            known = command._option_string_actions
            command.error(f"unrecognized arguments: {' '.join(unknown)}{_closest(unknown[0], known)}")
        return options

    def said(self, words: Sequence[str]) -> argparse.Namespace:
        """Parse what words say, without any default; what is required may be missing. The parser is used up."""
        for each in (self, *self._commands()):
            for action in each._actions:
                if not isinstance(action, argparse._SubParsersAction):
                    action.required, action.default = False, argparse.SUPPRESS
        return self.parse_known_args(words)[0]

    def _commands(self) -> list[argparse.ArgumentParser]:
        found = [action for action in self._actions if isinstance(action, argparse._SubParsersAction)]
        return [parser for action in found for parser in action.choices.values()]

    def error(self, message: str) -> NoReturn:
        """Print one line, and exit with 2."""
        wrong = re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message)
        if wrong is not None:
            message += _closest(wrong[1], [word.strip("' ") for word in wrong[2].split(",")])
        command = self.usage.split(" [")[0].split(" -")[0] if self.usage else self.prog
        name = " ".join(command.split()[:2])
        self.exit(2, f"neuralstyle: error: {message}; '{name} --help' lists what there is\n")


def _closest(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word.partition("=")[0], list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""


@dataclass(frozen=True)
class Command:
    """A command: its arguments, its options in groups, and what it runs.

    Args:
        name: its name.
        does: what it does, beginning with a verb.
        run: from the parsed options to an exit code. They also have ``defaults``.
        arguments: found by their place.
        options: in groups by their titles. Those of every day are listed before the groups.
        defaults: what the help shows as the defaults of options without one of their own, by their keys.
        continues: whether the run may be one that was stopped, whose files exist.

    """

    name: str
    does: str
    run: Callable[[argparse.Namespace], int]
    arguments: Sequence[Option] = ()
    options: Mapping[str, Sequence[Option]] | None = None
    defaults: Mapping[str, Any] | None = None
    continues: Callable[[argparse.Namespace], bool] | None = None

    def table(self) -> Iterator[Option]:
        """All its arguments and options."""
        yield from self.arguments
        for group in (self.options or {}).values():
            yield from group

    def add_to(self, commands: Any, show_all: bool, presets: Mapping[str, Any]) -> None:
        """Add it to what ``ArgumentParser.add_subparsers`` returned.

        Args:
            commands: the subparsers.
            show_all: whether the help lists all options, or those of every day.
            presets: what takes the place of the defaults of options, by their keys.

        """
        groups = self.options or {}
        options = [option for group in groups.values() for option in group]
        is_long = not all(option.everyday for option in options)
        more = f"'neuralstyle {self.name} --help-all' lists all options." if is_long and not show_all else None
        parser = commands.add_parser(
            self.name,
            help=self.does,
            description=f"{self.does[0].upper()}{self.does[1:]}.",
            usage=self._usage(options),
            epilog=more,
            add_help=False,
        )
        defaults = self.defaults or {}
        for argument in self.arguments:
            argument.add_to(parser, argument.text(defaults))
        everyday = parser.add_argument_group(EVERYDAY if is_long else "options")
        for option in options:
            if option.everyday:
                option.add_to(everyday, option.text(defaults))
        everyday.add_argument("-h", "--help", action="help", help="list these options" if is_long else "show this help")
        if is_long:
            everyday.add_argument("--help-all", action="help", help="list all options")
        for title, rows in groups.items():
            group = parser.add_argument_group(title)
            for option in rows:
                if not option.everyday:
                    option.add_to(group, option.text(defaults) if show_all else argparse.SUPPRESS)
        for action in parser._actions:
            action.required = action.required and action.dest not in presets
        own = {name: value for name, value in presets.items() if name in {option.key for option in self.table()}}
        parser.set_defaults(**own, command=self, defaults=defaults, parser=parser)

    def _usage(self, options: Sequence[Option]) -> str:
        words = [f"{argument.metavar}{'...' if argument.nargs else ''}" for argument in self.arguments]
        words += [f"{option.short or option.name} {option.metavar}" for option in options if option.required]
        return " ".join(["neuralstyle", self.name, *words, "[options]"])


def default(function: Callable[..., object], name: str) -> Any:
    """The default of a function's argument."""
    return inspect.signature(function).parameters[name].default


def defaults_of(function: Callable[..., object]) -> dict[str, Any]:
    """The defaults of all arguments that have one other than None."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.default not in (p.empty, None)}


def without(options: Sequence[Option], *names: str) -> tuple[Option, ...]:
    """The options but for some."""
    return tuple(option for option in options if option.name not in names)
