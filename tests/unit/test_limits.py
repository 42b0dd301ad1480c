"""How long files and functions of the package may be, and how tangled."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "neuralstyle"
LINES_OF_A_FILE = 400
LINES_OF_A_FUNCTION = 60  # without its docstring


def long_files(folder: Path) -> list[str]:
    counts = {path: len(path.read_text().splitlines()) for path in sorted(folder.rglob("*.py"))}
    return [f"{path.name}: {count} lines" for path, count in counts.items() if count > LINES_OF_A_FILE]


def long_functions(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert node.end_lineno is not None
            first = node.body[0]
            text = first if ast.get_docstring(node, clean=False) is not None else None
            docstring = 0 if text is None or text.end_lineno is None else text.end_lineno - text.lineno + 1
            count = node.end_lineno - node.lineno + 1 - docstring
            if count > LINES_OF_A_FUNCTION:
                yield f"{node.name}: {count} lines"


def test_no_file_is_too_long_to_read_whole() -> None:
    assert long_files(PACKAGE) == []


def test_no_function_is_too_long_to_read_whole() -> None:
    found = {path.name: list(long_functions(path.read_text())) for path in sorted(PACKAGE.rglob("*.py"))}
    assert {name: functions for name, functions in found.items() if functions} == {}


def test_what_is_too_long_is_named(tmp_path: Path) -> None:
    body = "    x = 1\n" * (LINES_OF_A_FUNCTION - 1)
    docstring = '    """One.\n\n    Two.\n    """\n'
    assert list(long_functions(f"def just():\n{docstring}{body}")) == []
    assert list(
        long_functions(f"class A:\n    async def longer(self):\n{body.replace('    ', '        ')}        y = 2\n")
    ) == [f"longer: {LINES_OF_A_FUNCTION + 1} lines"]
    (tmp_path / "just.py").write_text("x = 1\n" * LINES_OF_A_FILE)
    (tmp_path / "longer.py").write_text("x = 1\n" * (LINES_OF_A_FILE + 1))
    assert long_files(tmp_path) == [f"longer.py: {LINES_OF_A_FILE + 1} lines"]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="the standard library reads TOML from Python 3.11 on")
def test_the_linter_refuses_tangled_functions_without_exceptions() -> None:
    if sys.version_info >= (3, 11):
        import tomllib

        lint = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
        rules = {"C90", "PLR0912", "PLR0915"}
        assert rules <= set(lint["select"])
        assert not rules & {
            rule for ignored in (lint["ignore"], *lint["per-file-ignores"].values()) for rule in ignored
        }
        assert lint["mccabe"]["max-complexity"] == 15
    allowed = [
        f"{path.name}:{number}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if "noqa" in line and any(code in line for code in ("C901", "PLR0912", "PLR0915", "noqa\n"))
    ]
    assert allowed == []
