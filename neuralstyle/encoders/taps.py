"""Running a network with hooks that see the outputs of the modules inside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from typing import Any

from torch import Tensor, nn


class _Enough(Exception):  # noqa: N818 - a signal, not an error
    """Every wanted output has been seen."""


def module_path(name: str) -> str:
    """Return the path of the module with this output: "layer1.0.relu" for "layer1.0.relu:2"."""
    return name.partition(":")[0]


def run_with_hooks(
    network: nn.Module, image: Tensor, paths: Iterable[str], on_output: Callable[[str, Tensor], bool]
) -> None:
    """Run a network, and call ``on_output`` with outputs of its modules before a later operation can overwrite them.

    Args:
        network: the network to run.
        image: its input.
        paths: paths of the modules to observe, such as "layer1.0.relu".
        on_output: called with the name of an output and the tensor. A module's first output has its path as name, the
            next ones "layer1.0.relu:1", "layer1.0.relu:2" and so on. Returns whether to stop.

    """
    runs: Counter[str] = Counter()

    def hook_of(path: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            name = f"{path}:{runs[path]}" if runs[path] else path
            runs[path] += 1
            if isinstance(output, Tensor) and on_output(name, output):
                raise _Enough

        return hook

    with ExitStack() as stack:
        for path in paths:
            stack.callback(network.get_submodule(path).register_forward_hook(hook_of(path)).remove)
        with suppress(_Enough):
            network(image)
