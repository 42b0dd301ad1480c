"""Files of weights: tensors by name, read without running code from the file."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

from torch import Tensor

from neuralstyle.files.pickles import read_state_dict
from neuralstyle.files.schema import check_finite, clip
from neuralstyle.files.tensors import read_all

SUFFIXES = (".safetensors", ".pth", ".pt")


def find_weights(path: Path, network: str) -> Path:
    """Return the file of a network's weights: the path itself, or the file in this folder named after the network.

    "vgg19.pth" and "vgg19-dcbb9e9d.pth" belong to vgg19, "vgg19_bn.pth" to vgg19_bn.

    Raises:
        FileNotFoundError: a folder without such a file.
        ValueError: a folder with several.

    """
    if not path.is_dir():
        return path
    found = [
        file
        for file in sorted(path.iterdir())
        if file.suffix.lower() in SUFFIXES and re.fullmatch(rf"{network}(-.*)?", file.stem, re.IGNORECASE)
    ]
    if not found:
        raise FileNotFoundError(f"the folder {path} holds no weights of {network}, such as {network}.safetensors")
    if len(found) > 1:
        files = ", ".join(map(str, found))
        raise ValueError(f"the folder {path} holds several weights of {network}; give one: {files}")
    return found[0]


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read the tensors in a file of weights, by name: safetensors by its suffix, else a file of ``torch.save``.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file that is damaged, or holds anything but finite tensors by name.

    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file of weights at {path}; check the name and the folder")
    if path.suffix.lower() != ".safetensors":
        found = read_state_dict(path)
    else:
        try:
            found = read_all(path)
        except ValueError as error:
            raise ValueError(
                f"{path} is not a safetensors file, or is damaged ({clip(str(error))}); give a complete one"
            ) from error
    try:
        check_finite(found)
    except ValueError as error:
        raise ValueError(f"{path}: {error}; the training that made it has diverged") from error
    return found


def packaged_tensors(name: str) -> dict[str, Tensor]:
    """Read the tensors, by name, in a safetensors file of the package."""
    with resources.as_file(resources.files("neuralstyle.data") / name) as path:
        return read_all(path)
