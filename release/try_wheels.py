"""Install the wheels for this system in a fresh environment without a compiler, and see how runs compute.

    python release/try_wheels.py dist

These are the steps of the Dockerfile: the versions of constraints.txt, and no compiler where the program runs. With the
compiled library a run computes by it and has one OpenMP runtime. The pure wheel paints, and says once that it is
slower.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

ONE_EVALUATION = """
import json, torch, neuralstyle
from neuralstyle.machine.openmp import openmp_runtimes
encoder = neuralstyle.FeatureExtractor()
x = torch.rand(1, 3, 128, 128, requires_grad=True)
encoder(x, ["relu3_1"])["relu3_1"].sum().backward()
print(json.dumps(openmp_runtimes()))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="the folder with the wheels")
    parser.add_argument(
        "--python",
        type=lambda name: Path(name).absolute(),
        help="the Python of an environment that has what the wheels need",
    )
    options = parser.parse_args()
    wheels = list(fitting(options.folder))
    expect(len(wheels) > 0, f"{options.folder} holds no wheel for this system")
    with tempfile.TemporaryDirectory() as work:
        python = options.python or make_environment(Path(work))
        bounds = ["-c", str(ROOT / "constraints.txt")]
        if options.python is None:
            subprocess.run([python, "-m", "pip", "install", "-q", *bounds, wheels[0]], check=True, cwd=work)
        for wheel in wheels:
            again = ["--no-deps", "--force-reinstall", str(wheel)]
            subprocess.run([python, "-m", "pip", "install", "-q", *again], check=True, cwd=work)
            examine(python, work, pure=wheel.name.endswith("-none-any.whl"))
            print(f"{wheel.name}: as it should be")


def fitting(folder: Path) -> Iterator[Path]:
    """Yield the wheels for this system."""
    system = {"linux": "linux", "darwin": "macosx"}.get(sys.platform, sys.platform)
    for wheel in sorted(folder.resolve().glob("*.whl")):
        tag = wheel.stem.rpartition("-")[2]
        if tag == "any" or (system in tag and tag.endswith(platform.machine())):
            yield wheel


def examine(python: Path, work: str, *, pure: bool) -> None:
    """Look at what is installed, and paint."""
    facts = json.loads(ask(python, work, "-m", "neuralstyle", "info", "--json").stdout)
    print(json.dumps({name: facts[name] for name in ("neuralstyle", "kernel", "openmp")}, indent=1))
    expect(facts["kernel"]["runs"] == (not pure), "the fast convolutions do not run as this wheel should have them")
    expect(facts["weights"]["vgg19"]["intact"], "the weights are not there")
    if not pure:
        runtimes = json.loads(ask(python, work, "-c", ONE_EVALUATION).stdout)
        expect(runtimes is None or len(runtimes) == 1, f"there is not one OpenMP runtime: {runtimes}")
    words = "-m neuralstyle demo -o demo.png --size 128 --schedule preview --overwrite"
    said = ask(python, work, *words.split()).stderr
    expect(Path(work, "demo.png").stat().st_size > 0, "the demo left no picture")
    expect(said.count("the fast convolutions are missing") == pure, f"a slower run does not say so once: {said}")


def make_environment(folder: Path) -> Path:
    subprocess.run([sys.executable, "-m", "venv", folder / "environment"], check=True)
    return folder / "environment" / ("Scripts" if os.name == "nt" else "bin") / "python"


def ask(python: Path, folder: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder without sources, and with no compiler on the path."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "CC")}
    environment["PATH"] = str(Path(python).parent)
    done = subprocess.run([python, *words], capture_output=True, text=True, cwd=folder, env=environment)
    expect(done.returncode == 0, done.stderr)
    return done


def expect(fact: bool, otherwise: str) -> None:
    if not fact:
        raise SystemExit(otherwise)


if __name__ == "__main__":
    main()
