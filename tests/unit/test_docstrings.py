"""One dialect of docstrings and messages in the whole package."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "neuralstyle"
# What a docstring may not hold outside formulas and fenced examples, and what to write instead.
INSTEAD = {
    r"^ *Examples:": '"Example:" and a fenced block',
    r">>> ": "a fenced block",
    r"(?<!`)`[^`\n]+`(?![`_])": "double backticks",
    r"\[0,1\]|\((?:\d+|\w'?),(?:\w'?)[,)]": "spaces after the commas of shapes and ranges",
    r"the near one is suggested": "the closest match is suggested",
    r"^ {4,12}\*{0,2}[a-z_]+: (?!True |False |None )[A-Z][a-z]+ ": "lower case after the name of an argument",
}


def faults(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            prose = re.sub(r"```.*?```|\$\$.*?\$\$|\$[^$\n]*\$", "", node.value.value.strip(), flags=re.S)
            if not prose.partition("\n\n")[0].endswith((".", ":")):
                yield f"{node.lineno}: write a period at the end of the first paragraph"
            for pattern, instead in INSTEAD.items():
                if found := re.search(pattern, prose, flags=re.M):
                    yield f"{node.lineno}: {found[0].strip()!r}; write {instead}"
        if isinstance(node, ast.Raise) and node.exc is not None:
            for text in ast.walk(node.exc):
                if isinstance(text, ast.Constant) and re.search(r"\bgot\b|\bmust be\b", str(text.value)):
                    yield f"{node.lineno}: {text.value!r}; write '... is X, received Y'"


def test_docstrings_and_messages_are_in_one_dialect() -> None:
    files = {path.relative_to(PACKAGE).as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}
    texts = {name: path.read_text(encoding="utf-8") for name, path in files.items()}
    assert texts
    assert [f"{name}:{fault}" for name, text in texts.items() for fault in faults(text)] == []


def test_each_fault_is_found() -> None:
    lines = [
        "Load (B,3,H,W) in [0,1]",
        "",
        "    Args:",
        "        path: The `file`.",
        "    Examples:",
        "        >>> load()",
    ]
    docstring = "\n".join(lines)
    found = list(faults(f'def f():\n    """{docstring}"""\n    raise ValueError(f"size must be 3, got {{x}}")\n'))
    assert len(found) == 7
    right = [
        "Load (B, 3, H, W) in [0, 1].",
        "",
        "Args:",
        "    path: the ``file``, or None.",
        "    x: None does `this`_.",
    ]
    assert list(faults('"""' + "\n".join(right) + '"""\nraise ValueError("size is 3, received 4")\n')) == []
