"""Files of weights: tensors by name, read without running code from the file."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import torch
from torch import Tensor

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
        ValueError: a file that is damaged, or holds anything but tensors by name.

    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file of weights at {path}; check the name and the folder")
    if path.suffix.lower() == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except SafetensorError as error:
            raise ValueError(
                f"{path} is not a safetensors file, or is damaged ({error}); give a complete one"
            ) from error
    advice = "save the weights alone, with torch.save(network.state_dict(), path)"
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise ValueError(f"{path} is damaged, or holds more than tensors ({reason} ...); {advice}") from error
    if not isinstance(stored, Mapping):
        raise ValueError(f"{path} holds a {type(stored).__name__} and not tensors by name; {advice}")
    for name, value in stored.items():
        if not isinstance(value, Tensor):
            raise ValueError(f"{path} holds more than tensors: {name!r} is a {type(value).__name__}; {advice}")
    return dict(stored)


def packaged_tensors(name: str) -> dict[str, Tensor]:
    """Read the tensors, by name, in a safetensors file of the package."""
    from safetensors.torch import load

    return load(resources.files("neuralstyle.data").joinpath(name).read_bytes())
