"""Files of weights: tensors by name, read without running anything that the file says."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors in a file of weights, by name: safetensors by its suffix, else what ``torch.save`` wrote.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file that is damaged, or holds anything but tensors by name.

    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file of weights at {path}")
    if path.suffix.lower() == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except SafetensorError as error:
            raise ValueError(f"{path} is no safetensors file, or a damaged one ({error})") from error
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
