"""What mkdocs adds to the site: a page, a notebook and a file for each example, and the index."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2])]  # neither is installed with mkdocs
notebooks, reference_index = (importlib.import_module(name) for name in ("notebooks", "reference_index"))


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


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Fill in the index."""
    return reference_index.filled(markdown) if page.file.src_uri == "reference-index.md" else markdown
