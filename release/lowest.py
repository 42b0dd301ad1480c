"""Print the lowest versions that pyproject.toml allows, as constraints for pip.

python release/lowest.py > lowest.txt
pip install -c lowest.txt -e ".[test]"
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


def lowest(text: str) -> Iterator[str]:
    """Yield "name==version" for each bound ">=" among the dependencies and the extras for users."""
    project = text.partition("[project]")[2].partition("[project.scripts]")[0]
    needed, _, extras = project.partition("[project.optional-dependencies]")
    lines = [line for line in extras.splitlines() if line.partition(" ")[0] not in ("docs", "dev", "bench", "test")]
    for name, bound in re.findall(r'"([\w.-]+)(?:\[[\w,]+\])?>=([\d.]+)', "\n".join([needed, *lines])):
        yield f"{name}=={bound}.*" if bound.count(".") < 2 else f"{name}=={bound}"


def main() -> None:
    print("\n".join(lowest(PROJECT.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main()
