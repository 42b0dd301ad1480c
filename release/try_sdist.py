"""Install the source distribution in a fresh environment, and run its tests from the unpacked folder.

    python release/try_sdist.py dist
    python release/try_sdist.py dist --python .venv/bin/python tests/unit/test_losses.py

Tests that are named are run; without a name the quick ones.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="the folder with the source distribution")
    parser.add_argument("tests", nargs="*", help="files or folders of tests in it")
    parser.add_argument("--python", type=Path, help="the Python of an environment that has all but this package")
    options = parser.parse_intermixed_args()
    archives = sorted(options.folder.resolve().glob("neuralstyle_torch-*.tar.gz"))
    if len(archives) != 1:
        found = ", ".join(archive.name for archive in archives) or "none"
        sys.exit(f"{options.folder} has to hold one source distribution, and holds {found}; see release/build.py")
    archive = archives[0]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with tempfile.TemporaryDirectory() as work:
        source = Path(work, "source")
        source.mkdir()
        subprocess.run(["tar", "xzf", archive, "-C", source, "--strip-components=1"], check=True)
        if options.python is None:
            subprocess.run([sys.executable, "-m", "venv", Path(work, "environment")], check=True)
            python = Path(work, "environment", "Scripts" if os.name == "nt" else "bin", "python")
            given = [f"neuralstyle-torch[test] @ {archive.as_uri()}"]
        else:
            python = options.python.absolute()
            given = ["--no-deps", "--force-reinstall", str(archive)]
        subprocess.run([python, "-m", "pip", "install", "-q", *given], check=True, cwd=work, env=environment)
        # pytest itself puts the folder of the tests on the path, and not the folder of the sources.
        command = [python.parent / "pytest", "-q", *(options.tests or ["tests/unit"])]
        sys.exit(subprocess.run(command, cwd=source, env=environment).returncode)


if __name__ == "__main__":
    main()
