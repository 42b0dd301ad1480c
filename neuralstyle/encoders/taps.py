"""Taps: what the modules inside a network put out, seen on its way through."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from typing import Any

from torch import Tensor, nn


class _Enough(Exception):  # noqa: N818  nothing is wrong: all that was wanted has been seen
    pass


def module_path(name: str) -> str:
    """The module behind the name of an output: "layer1.0.relu" for "layer1.0.relu:2"."""
    return name.partition(":")[0]


def watch(network: nn.Module, image: Tensor, paths: Iterable[str], note: Callable[[str, Tensor], bool]) -> None:
    """Run a network and look at what some of its modules put out, before a later operation can overwrite it.

    Args:
        network: whose modules are watched.
        image: what it is given.
        paths: of the modules inside it, "layer1.0.relu".
        note: called with the name of an output and the tensor. The first run of a module has its path for a name, the
            following ones "layer1.0.relu:1", "layer1.0.relu:2" and so on. Returning True leaves the network there.

    """
    runs: Counter[str] = Counter()

    def hook_of(path: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            name = f"{path}:{runs[path]}" if runs[path] else path
            runs[path] += 1
            if isinstance(output, Tensor) and note(name, output):
                raise _Enough

        return hook

    with ExitStack() as stack:
        for path in paths:
            stack.callback(network.get_submodule(path).register_forward_hook(hook_of(path)).remove)
        with suppress(_Enough):
            network(image)
