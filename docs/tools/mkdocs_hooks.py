"""What mkdocs adds to the site: a page, a notebook and a file for each example."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import notebooks
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files


def on_files(files: Files, config: MkDocsConfig, **_: Any) -> Files:
    """Add them to the folder examples/ of the site."""
    for example in notebooks.examples():
        source, name = example.read_text(encoding="utf-8"), example.stem
        made = {
            f"{name}.md": notebooks.page(source, name),
            f"{name}.ipynb": notebooks.notebook_text(source),
            f"{name}.py": source,
        }
        for file, text in made.items():
            files.append(File.generated(config, f"examples/{file}", content=text))
    return files
