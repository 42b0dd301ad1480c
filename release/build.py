"""Build the distributions of a release: the source distribution, the wheel of this system, and the pure wheel.

    python release/build.py dist

On Linux auditwheel gives the wheel its manylinux tag. The compiled library needs nothing but libc, since it runs on the
threads of torch's own OpenMP runtime, so no library is copied into the wheel. On Windows there is the pure wheel alone.
The wheels are built from the source distribution, not from the clone. Needs build; on Linux auditwheel and patchelf.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def run(*words: str | Path, **more: str) -> None:
    subprocess.run([sys.executable, "-m", *map(str, words)], check=True, env=os.environ | more)


def only(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="the folder for the distributions")
    parser.add_argument("--here", action="store_true", help="build with the packages of this environment")
    options = parser.parse_args()
    folder = options.folder.resolve()
    apart = ["--no-isolation"] if options.here else []
    run("build", "--sdist", *apart, "-o", folder, ROOT)
    with tempfile.TemporaryDirectory() as work:
        source, built = Path(work, "source"), Path(work, "built")
        newest = max(folder.glob("*.tar.gz"), key=lambda path: path.stat().st_mtime)
        source.mkdir()
        subprocess.run(["tar", "xzf", newest, "-C", source, "--strip-components=1"], check=True)
        run("build", "--wheel", *apart, "-o", folder, source, NEURALSTYLE_PURE="1")
        if sys.platform == "win32":
            return
        run("build", "--wheel", *apart, "-o", built, source, NEURALSTYLE_REQUIRE_KERNEL="1")
        wheel = only(built, "*.whl")
        if sys.platform == "linux":
            run("auditwheel", "repair", "-w", folder, wheel)
        else:
            wheel.replace(folder / wheel.name)
    for path in sorted(folder.iterdir()):
        print(path.name)


if __name__ == "__main__":
    main()
