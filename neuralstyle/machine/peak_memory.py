"""How much memory a piece of work takes at its peak, measured by doing it."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def peak_memory(device: torch.device, work: Callable[[], object]) -> int:
    """Bytes that a piece of work holds at its peak beyond what is held before it.

    On CUDA they are the allocator's own count, which includes the workspaces of its libraries. Elsewhere they are
    those of all tensors that torch's operations make, the ones saved for the backward pass among them, from their
    making until nothing refers to them; what a single operation uses within itself is not seen.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        torch.cuda.synchronize(device)
        return int(torch.cuda.max_memory_allocated(device)) - before
    living = _Living()
    with living:
        work()
    return living.peak


class _Living(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the storages that operations make while it is active, and takes off those that are let go."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now: int = 0
        self.peak: int = 0
        self.known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        inputs = {_address(leaf) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)}
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            # A view or an operation in place returns memory that was there before.
            if isinstance(leaf, torch.Tensor) and _address(leaf) not in inputs:
                self._note(leaf)
        return result

    def _note(self, tensor: torch.Tensor) -> None:
        address, size = _address(tensor), _size(tensor)
        if address not in self.known:
            self.known.add(address)
            self.now += size
            self.peak = max(self.peak, self.now)
            weakref.finalize(_memory(tensor), self._free, address, size).atexit = False

    def _free(self, address: int, size: int) -> None:
        self.known.discard(address)
        self.now -= size


def _memory(tensor: torch.Tensor) -> torch.UntypedStorage | torch.Tensor:
    """What holds a tensor's numbers: its storage, or, in a library's own format (oneDNN), the tensor itself."""
    return tensor if tensor.is_mkldnn else tensor.untyped_storage()


def _address(tensor: torch.Tensor) -> int:
    return int(_memory(tensor)._cdata)


def _size(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size() if tensor.is_mkldnn else tensor.untyped_storage().nbytes()
