"""The modes of torch in which the package computes, whatever those of its caller are.

Importing this file does not import torch.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_AUTOCAST_DEVICES = ("cpu", "cuda", "mps", "xpu")
_process: int | None = None  # the one that computed last, of this one and those that it was forked from


@contextmanager
def plain_torch() -> Iterator[None]:
    """Compute in this thread as in a fresh one: gradients, no inference mode, no autocast, new tensors on the CPU.

    Public functions that compute with torch are decorated with ``@plain_torch()``, so that they give the same bytes in
    ``torch.inference_mode()``, ``no_grad()``, ``autocast()`` and after ``set_default_device()``, and keep no tensors
    from which torch refuses gradients later. The default dtype belongs to all threads and is not changed: each new
    tensor states its own.
    """
    import torch

    _leave_the_threads_of_another_process()
    with ExitStack() as modes:
        modes.enter_context(torch.inference_mode(mode=False))
        modes.enter_context(torch.enable_grad())
        for kind in _AUTOCAST_DEVICES:
            if torch.is_autocast_enabled(kind):
                modes.enter_context(torch.autocast(kind, enabled=False))
        if torch.get_default_device().type != "cpu":
            modes.enter_context(torch.device("cpu"))
        yield


def _leave_the_threads_of_another_process() -> None:
    """Compute with one thread in a process that was forked after its parent had computed.

    The parent's threads do not survive a fork, and torch would wait for them for ever.
    """
    global _process
    if _process not in (None, os.getpid()):
        import torch

        torch.set_num_threads(1)
    _process = os.getpid()


def plain_tensor(tensor: Tensor) -> Tensor:
    """Return a tensor that gradients may pass: a copy of one made in inference mode, which torch keeps out of them."""
    return tensor.clone() if tensor.is_inference() else tensor
