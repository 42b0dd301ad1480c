"""Which version this is: what the build has recorded, and in a clone of the repository the commit."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parent
FACTS = PACKAGE / "_built.json"  # written by hatch_build.py

DISTRIBUTION = "neuralstyle-torch"
"""What pip installs; the name neuralstyle alone belongs to another project there."""

UNKNOWN = "0.0.0"
"""The version of files that were copied and never built."""


@cache
def build_facts() -> dict[str, Any]:
    """Return what the build has recorded: version, commit, compiler, and the problem that left the fast kernel out."""
    try:
        found = json.loads(FACTS.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def version() -> str:
    """Return the version that was built, such as "0.1.0", or "0.1.dev31+g1a2b3c4" between releases."""
    return str(build_facts().get("version", UNKNOWN))


def commit() -> str | None:
    """Return the commit of a clone as it is now, else the one that was built; None if neither is known."""
    return commit_of(PACKAGE.parent) or build_facts().get("commit")


def full_version() -> str:
    """Return the version with the commit of a clone, where that is not the one that was built.

    Files of states and of networks bear it, so that builds between two releases do not count as one.
    """
    now = commit_of(PACKAGE.parent)
    if now is None or now == build_facts().get("commit"):
        return version()
    return f"{version().partition('+')[0]}+g{now[:9]}"


def commit_of(clone: Path) -> str | None:
    """Return the commit that a clone of a repository is at, read from its files; None if the folder is none."""
    try:
        git = clone / ".git"
        if git.is_file():  # a second working tree names its folder
            git = clone / git.read_text().partition("gitdir:")[2].strip()
        common = git / "commondir"
        folders = [git, git / common.read_text().strip()] if common.is_file() else [git]
        head = (git / "HEAD").read_text().strip()
        name = head.removeprefix("ref: ")
        found = head if name == head else _commit_of_branch(name, folders)
    except (OSError, UnicodeError):
        return None
    return found if re.fullmatch(r"[0-9a-f]{40,64}", found) else None


def _commit_of_branch(name: str, folders: list[Path]) -> str:
    for folder in folders:
        if (folder / name).is_file():
            return (folder / name).read_text().strip()
    packed = (line.split() for line in (folders[-1] / "packed-refs").read_text().splitlines())
    return next((words[0] for words in packed if words[1:] == [name]), "")
