"""The index of the documentation: every documented name, and every option of the command line."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

DOCS = Path(__file__).parents[1]
NAMES, OPTIONS = "<!-- names -->", "<!-- options -->"


def names() -> list[tuple[str, str]]:
    """What the pages under API document, as (last part, full name), by alphabet."""
    full = {
        name
        for page in (DOCS / "api").glob("*.md")
        for name in re.findall(r"^::: (\S+)$", page.read_text(encoding="utf-8"), flags=re.M)
    }
    return sorted(((name.rsplit(".", 1)[1], name) for name in full), key=lambda pair: (pair[0].lower(), pair[1]))


def name_lines() -> str:
    """The names in Markdown, a paragraph for each letter."""
    letters: dict[str, list[str]] = {}
    for short, full in names():
        letters.setdefault(short[0].upper(), []).append(f"[`{short}`][{full}]")
    return "\n\n".join(f"**{letter}** {', '.join(links)}" for letter, links in letters.items())


def options() -> dict[str, tuple[str, list[str]]]:
    """Each option with its help and the commands that have it, by alphabet."""
    from neuralstyle import cli

    parser = cli._parser(show_all=True)
    (commands,) = (each for each in parser._actions if isinstance(each, argparse._SubParsersAction))
    found: dict[str, tuple[str, list[str]]] = {}
    for name, command in commands.choices.items():
        for action in command._actions:
            long = [each for each in action.option_strings if each.startswith("--")]
            if long and action.help != argparse.SUPPRESS:
                text = re.sub(r"%\(default\)s", str(action.default), action.help or "").replace("%%", "%")
                found.setdefault(long[0], (text, []))[1].append(name)
    return dict(sorted(found.items()))


def option_lines() -> str:
    """The options in Markdown, as a table."""
    rows = ["| option | commands | what it does |", "| --- | --- | --- |"]
    for name, (text, commands) in options().items():
        cell = text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_")
        rows.append(f"| `{name}` | {', '.join(commands)} | {cell} |")
    return "\n".join(rows)


def filled(markdown: str) -> str:
    """The page with its lists in the place of its marks."""
    return markdown.replace(NAMES, name_lines()).replace(OPTIONS, option_lines())
