"""Check that this commit can be released, and its distributions if their folder is given.

    python release/check.py 0.1.0
    python release/check.py 0.1.0 dist

Each line that is printed is something to do; see RELEASE.md. The exit code is 0 if there is none, else 1. What takes
minutes is not done here, but named at the end: try_wheels.py, try_sdist.py and try_dockerfile.py.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NAME = "neuralstyle-torch"
TRIALS = ("release/try_wheels.py", "release/try_sdist.py", "release/try_dockerfile.py")
FOREIGN = r"pip install (?:-\S+ )*[\"']?neuralstyle(?![\w-])"  # the bare name is another project


def in_repository(version: str, root: Path = ROOT) -> Iterator[str]:
    """Yield what is left to do in the files of the repository."""
    changes = read(root / "CHANGELOG.md")
    if not re.search(rf"^## {re.escape(version)} \(\d{{4}}-\d\d-\d\d\)$", changes, re.MULTILINE):
        yield f"CHANGELOG.md: give what is new the heading '## {version} (YYYY-MM-DD)'"
    if re.search(r"^## Unreleased\n+\S(?!# )", changes.replace("## Unreleased\n\n## ", ""), re.MULTILINE):
        yield "CHANGELOG.md: 'Unreleased' still tells of something; move it below the version's heading"
    if f"\nversion: {version}\n" not in read(root / "CITATION.cff"):
        yield f"CITATION.cff: write 'version: {version}'"
    if f'\nname = "{NAME}"' not in read(root / "pyproject.toml"):
        yield f"pyproject.toml: the distribution is called {NAME}"
    told = read(root / "RELEASE.md")
    for script in sorted((root / "release").glob("*.py")):
        if f"release/{script.name}" not in told:
            yield f"RELEASE.md: say when to run release/{script.name}"
    for page in (root / "README.md", *sorted((root / "docs").rglob("*.md"))):
        for found in re.finditer(FOREIGN, read(page)):
            yield f"{page.relative_to(root)}: '{found[0]}' installs another project"


def in_git(version: str, root: Path = ROOT) -> Iterator[str]:
    """Yield what is left to do in git."""
    if ask_git(root, "status", "--porcelain"):
        yield "commit what is changed, or remove it"
    tag = f"v{version}"
    if ask_git(root, "tag", "--points-at", "HEAD", "--list", tag) != tag:
        yield f"git tag -a {tag} -m 'Version {version}'"


def in_distributions(version: str, folder: Path) -> Iterator[str]:
    """Yield what is wrong with the distributions."""
    stem = f"{NAME.replace('-', '_')}-{version}"
    for name in (f"{stem}.tar.gz", f"{stem}-py3-none-any.whl"):
        if not (folder / name).is_file():
            yield f"{folder}: there is no {name}; run python release/build.py {folder}"
    for file in sorted(folder.iterdir()):
        if not file.name.startswith((f"{stem}-", f"{stem}.tar.gz")):
            yield f"{file}: of another version"
        if "-linux_" in file.name:
            yield f"{file}: no index takes this platform; auditwheel repair gives it one"
    done = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", *sorted(folder.iterdir())], capture_output=True, text=True
    )
    if done.returncode:
        yield done.stdout + done.stderr


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def ask_git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("version", help="such as 0.1.0")
    parser.add_argument("folder", nargs="?", type=Path, help="the folder with the distributions")
    options = parser.parse_args()
    found = [*in_repository(options.version), *in_git(options.version)]
    if options.folder is not None:
        found += in_distributions(options.version, options.folder)
    print("\n".join(found) or f"{options.version} can be released, once the trials pass: {', '.join(TRIALS)}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
