"""The device to compute on: a requested one, or the accelerator that torch finds."""

from __future__ import annotations

import torch

LONGEST_REASON = 120
"""Characters of torch's reason that a message shows; one of them lists all that torch could have been built with."""


def find_device(name: str | torch.device | None = None) -> torch.device:
    """Return the device of a name; None: CUDA, MPS or XPU if torch finds one, else the CPU.

    Raises:
        ValueError: the device is not available.
        TypeError: the name is none.

    """
    if name is None:
        if torch.cuda.is_available():
            return torch.device("cuda")
        if torch.backends.mps.is_available():
            return torch.device("mps")
        return torch.device("xpu" if torch.xpu.is_available() else "cpu")
    if not isinstance(name, (str, int, torch.device)):
        raise TypeError(f"a device is a name such as 'cpu' or 'cuda:1', received {type(name).__name__}")
    try:
        # Only an allocation shows that a device exists; torch raises AssertionError if it was built without support.
        return torch.empty(0, dtype=torch.uint8, device=name).device
    except (RuntimeError, AssertionError, ValueError, OverflowError) as error:
        reason = str(error).splitlines()[0].split(". ")[0][:LONGEST_REASON]
        raise ValueError(f"device {str(name)!r} is not available here ({reason}); try 'cpu' or leave it out") from error
