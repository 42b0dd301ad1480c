"""Notebooks and pages from examples in percent cells (jupytext's format): the examples are their only source."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).parents[2] / "examples"
MARK = re.compile(r"^# %%(?P<markdown> \[markdown\])?$", re.M)


@dataclass(frozen=True)
class Cell:
    """The text of a cell; that of Markdown has lost its comment signs."""

    is_markdown: bool
    text: str


def cells(source: str) -> list[Cell]:
    """The cells of an example; what stands before the first one is jupytext's header."""
    marks = list(MARK.finditer(source))
    ends = [mark.start() for mark in marks[1:]] + [len(source)]
    found = []
    for mark, end in zip(marks, ends, strict=True):
        text = source[mark.end() : end].strip("\n")
        is_markdown = bool(mark["markdown"])
        if is_markdown:
            text = re.sub(r"^# ?", "", text, flags=re.M)
        found.append(Cell(is_markdown, text))
    return found


def title(source: str) -> str:
    """The first heading."""
    heading = re.search(r"^# # (.+)$", source, flags=re.M)
    if heading is None:
        raise ValueError("an example begins with a heading: '# # A title'")
    return heading[1]


def notebook(source: str) -> dict[str, Any]:
    """The example as a notebook without results, in nbformat 4.5."""
    built = []
    for number, cell in enumerate(cells(source)):
        kind: dict[str, Any] = {"cell_type": "markdown"}
        if not cell.is_markdown:
            kind = {"cell_type": "code", "execution_count": None, "outputs": []}
        built.append({**kind, "id": f"cell-{number}", "metadata": {}, "source": cell.text.splitlines(keepends=True)})
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return {"cells": built, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def notebook_text(source: str) -> str:
    """The notebook as the text of its file."""
    return json.dumps(notebook(source), indent=1, ensure_ascii=False) + "\n"


def page(source: str, name: str) -> str:
    """The example as a page in Markdown, with links to its notebook and its file."""
    parts = [cell.text if cell.is_markdown else f"```python\n{cell.text}\n```" for cell in cells(source)]
    heading, *rest = parts[0].split("\n", 1)
    files = f"[Notebook]({name}.ipynb){{ download }} · [Python file]({name}.py){{ download }}"
    return "\n\n".join([heading, files, *(text.strip() for text in rest), *parts[1:]]) + "\n"


def examples() -> list[Path]:
    """The files of the examples, by name."""
    return sorted(EXAMPLES.glob("*.py"))
