"""The peak memory of a piece of work, measured by running it."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def peak_memory(device: torch.device, work: Callable[[], object]) -> int:
    """Run a piece of work, and return its peak memory in bytes, beyond the memory in use before.

    On CUDA this is the allocator's count, which includes the workspaces of its libraries. Elsewhere it is the memory of
    all tensors that torch's operations make, with those saved for the backward pass, from their creation until nothing
    refers to them. The temporary memory inside a single operation is not counted.
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
    """Counts the bytes of storages that operations make while it is active, until they are freed."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now: int = 0
        self.peak: int = 0
        self.known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        inputs = {_address(leaf) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)}
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            # A view or an operation in place returns existing memory.
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
    """The owner of a tensor's memory: its storage, or in a library's own format (oneDNN) the tensor itself."""
    return tensor if tensor.is_mkldnn else tensor.untyped_storage()


def _address(tensor: torch.Tensor) -> int:
    return int(_memory(tensor)._cdata)


def _size(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size() if tensor.is_mkldnn else tensor.untyped_storage().nbytes()
