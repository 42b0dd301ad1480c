"""The rooms of the package, which of them may import which, and what each is for.

A room is a folder or a file right below ``neuralstyle/``. tests/unit/test_imports.py compares the code with it, and
docs/tools/draw_architecture.py draws it for docs/architecture.md.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "neuralstyle"

LADDER: list[dict[str, str]] = [
    {
        "_descriptions": "settings as text",
        "_errors": "error messages",
        "_log": "progress for programs",
        "_stopping": "requests to stop",
        "_version": "which version this is",
        "_words": "words that options take",
        "data": "pictures and weights",
        "distributed": "several processes",
        "files": "paths and safe writing",
        "machine": "devices and memory",
    },
    {"images": "files in and out", "checkpoint": "states as files", "_records": "logs of losses"},
    {"color": "whose colours", "parameters": "what is optimised", "styles": "paintings and weights"},
    {"encoders": "picture to features", "losses": "features compared", "regions": "regions found"},
    {"objective": "value and gradient", "optimizers": "steps downhill", "metrics": "results measured"},
    {"schedule": "sizes and evaluations", "testing": "checks of your own parts"},
    {"recipes": "default, other methods"},
    {"painting": "stage by stage", "samples": "pictures to try"},
    {"callbacks": "snapshots, logs, plots", "feedforward": "networks trained once"},
    {"many": "many pictures at a time"},
    {"video": "films", "studio": "the live page"},
    {"cli": "the command line"},
    {"__main__": "python -m neuralstyle"},
]
"""What each room is for, level by level. A room imports only from the levels above its own in this list."""

STATIONS = ("images", "color", "encoders", "losses", "objective", "optimizers", "painting")
"""The rooms that a picture goes through, in its order."""

FOUNDATIONS = (
    *("_descriptions", "_errors", "_log", "_records", "_stopping", "_version", "_words"),
    *("data", "distributed", "files", "machine", "checkpoint"),
)
"""The rooms that know nothing of pictures. The picture shows them apart, without the arrows to all that import them."""

ONLY: dict[str, set[str]] = {
    "checkpoint": {"_descriptions", "_errors", "_version", "distributed", "files", "machine"},
    "files": set(),
    "images": {"_errors", "distributed", "files", "machine"},
    "losses": {"_errors"},
    "optimizers": {"_errors", "_words", "distributed", "machine", "parameters"},
    "schedule": {"_errors", "_words", "encoders", "images", "losses", "optimizers", "parameters"},
}
"""Rooms that stay usable on their own: all that they may import."""

TAKES_THE_PUBLIC_NAMES = {"cli", "__main__"}
"""Rooms that may write ``from neuralstyle import ...``; in any other that would be a circle."""

LEVEL = {room: level for level, rooms in enumerate(LADDER) for room in rooms}


def purpose(room: str) -> str:
    """What a room is for, in a few words."""
    return LADDER[LEVEL[room]][room]


def room_of(module: str) -> str:
    """The room that a module is in: "losses.gram" is in "losses"."""
    return module.partition(".")[0]


def read_imports(package: Path = PACKAGE) -> dict[str, list[str]]:
    """What every module imports from its own package, wherever in the file the import stands.

    Returns:
        For each module the imported ones, both by their names below the package ("losses.gram"); "" is the package
        itself, whose own imports are left out.
    """
    files = {_module_name(path, package): path for path in sorted(package.rglob("*.py"))}
    return {name: sorted(set(_imports(path, package.name, files))) for name, path in files.items() if name}


def _module_name(path: Path, package: Path) -> str:
    parts = path.relative_to(package).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(path: Path, package: str, modules: Mapping[str, Path]) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (_below(alias.name) for alias in node.names if room_of(alias.name) == package)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise ValueError(f"{path}, line {node.lineno}: write the import from {package!r} on, without dots")
            module = node.module or ""
            if room_of(module) == package:
                for alias in node.names:
                    inner = _below(f"{module}.{alias.name}")
                    yield inner if inner in modules else _below(module)


def _below(dotted: str) -> str:
    return dotted.partition(".")[2]


def offences(imports: Mapping[str, list[str]]) -> list[str]:
    """Every import that the ladder does not allow, in words; an empty list if there is none."""
    rooms = dict.fromkeys(map(room_of, imports))
    found = [f"{room}: has no level, give it one in docs/tools/ladder.py" for room in rooms if room not in LEVEL]
    found += [f"{room}: is in docs/tools/ladder.py and not in the package" for room in LEVEL if room not in rooms]
    for module, others in imports.items():
        found += [
            f"{module} imports {other or 'the package'}: {why}" for other in others if (why := _why(module, other))
        ]
    return found


def _why(module: str, other: str) -> str:
    """Why a module may not import another; "" where it may."""
    own, its = room_of(module), room_of(other)
    if not other:
        return "" if own in TAKES_THE_PUBLIC_NAMES else "import from the file that defines it"
    if own == its or own not in LEVEL or its not in LEVEL:
        return ""
    if LEVEL[its] >= LEVEL[own]:
        return f"{its} is on level {LEVEL[its]}, which is not above level {LEVEL[own]} of {own}"
    if its not in ONLY.get(own, LEVEL):
        return f"{own} stays usable without {its}"
    return ""


def between_rooms(imports: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """The rooms that each room imports, in the order of the ladder; the package itself is none."""
    found: dict[str, set[str]] = {room: set() for room in LEVEL}
    for module, others in imports.items():
        found[room_of(module)] |= {room_of(other) for other in others if other} - {room_of(module)}
    return {room: [other for other in LEVEL if other in others] for room, others in found.items()}
