"""The pairs of L-BFGS, and the product of its matrix H with a vector."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

Pair = tuple[Tensor, Tensor, float]
"""s = change of the picture, y = change of its gradient, and their dot product, the curvature."""


class Pairs(Protocol):
    """The last pairs of a minimisation."""

    def __len__(self) -> int: ...

    def append(self, s: Tensor, y: Tensor, curvature: float) -> None:
        """Keep a pair, in place of the oldest if there are as many as the history holds."""

    def clear(self) -> None:
        """Forget all pairs."""

    def listed(self) -> list[Pair]:
        """Return the pairs, the oldest first; a later step may change their tensors in place."""

    def inverse_hessian(self, vector: Tensor) -> Tensor:
        """Return H times a vector; there is a pair."""


class ListedPairs:
    """Each pair in tensors of its own, on the device, in the machine's memory or in files.

    Args:
        history: number of pairs to keep.
        store: as in ``LBFGS``.

    """

    def __init__(self, history: int, store: str | os.PathLike[str]) -> None:
        self._history, self._store = history, store
        self._pairs: list[Pair] = []

    def __len__(self) -> int:
        return len(self._pairs)

    def append(self, s: Tensor, y: Tensor, curvature: float) -> None:
        """Keep a pair, in place of the oldest if there are as many as the history holds."""
        self._pairs = [*self._pairs, (self._stored(s), self._stored(y), curvature)][-self._history :]

    def clear(self) -> None:
        """Forget all pairs."""
        self._pairs = []

    def listed(self) -> list[Pair]:
        """Return the pairs, the oldest first."""
        return self._pairs

    def inverse_hessian(self, vector: Tensor) -> Tensor:
        """Return H times a vector, by the two-loop recursion. Reads no number, since each read waits for the device."""
        result = vector.clone()
        factors: list[Tensor] = []
        for s, y, curvature in reversed(self._pairs):
            factors.append(_wide(dot(s.to(result.device), result)) / curvature)
            result.addcmul_(y.to(result.device), factors[-1].to(result.dtype), value=-1)
        _, y, curvature = self._pairs[-1]
        square = dot(y, y).to(result.device)
        result.mul_((curvature / _wide(square)).to(result.dtype))
        for (s, y, curvature), factor in zip(self._pairs, reversed(factors), strict=True):
            correction = factor - _wide(dot(y.to(result.device), result)) / curvature
            result.addcmul_(s.to(result.device), correction.to(result.dtype))
        return result

    def _stored(self, tensor: Tensor) -> Tensor:
        """Return a copy of the tensor in the store; with "device", the tensor itself."""
        if self._store == "device":
            return tensor
        if self._store == "cpu":
            return tensor.cpu()
        with tempfile.NamedTemporaryFile(dir=self._store, prefix="neuralstyle-") as file:
            if hasattr(os, "posix_fallocate"):  # a full disk is an error here; later it would kill the program
                os.posix_fallocate(file.fileno(), 0, tensor.numel() * tensor.element_size())
            # The mapping outlives the file's name, so no file remains, even after a crash.
            mapped = torch.from_file(file.name, shared=True, size=tensor.numel(), dtype=tensor.dtype)
        return mapped.copy_(tensor.flatten()).view(tensor.shape)


class StackedPairs:
    r"""All pairs in one tensor, for accelerators: a product with H takes a few launches instead of several hundred.

    The two-loop recursion only adds multiples of s and y to the vector. So the dot products of the pairs with each
    other, kept from step to step, and with the vector give all its numbers: one product of matrices on the device, one
    reading, the recursion on the processor, and one product back.

    Args:
        history: number of pairs to keep.
        like: a picture, of whose kind the pairs are.

    Paper: Chen, Wang and Zhou, NIPS 2014, Large-scale L-BFGS using MapReduce (the vector-free recursion).
    """

    def __init__(self, history: int, like: Tensor) -> None:
        self._history, self._count = history, 0
        self._shape = like.shape
        self._rows = like.new_zeros((2 * history, like.numel()))  # s in the first half, y in the second
        self._dots = np.zeros((2 * history, 2 * history))
        self._curvatures = [0.0] * history
        self._unread: list[int] = []  # rows whose dot products are still on the device

    def __len__(self) -> int:
        return min(self._count, self._history)

    def append(self, s: Tensor, y: Tensor, curvature: float) -> None:
        """Keep a pair, in place of the oldest if there are as many as the history holds."""
        place = self._count % self._history
        for row, vector in ((place, s), (self._history + place, y)):
            self._rows[row].copy_(vector.flatten())
            self._unread.append(row)
        self._curvatures[place] = curvature
        self._count += 1

    def clear(self) -> None:
        """Forget all pairs."""
        self._count = 0
        self._unread.clear()

    def listed(self) -> list[Pair]:
        """Return the pairs, the oldest first; a later step may change their tensors in place."""
        return [
            (
                self._rows[place].view(self._shape),
                self._rows[self._history + place].view(self._shape),
                self._curvatures[place],
            )
            for place in self._places()
        ]

    def inverse_hessian(self, vector: Tensor) -> Tensor:
        """Return H times a vector."""
        places, y_of, dots = list(self._places()), self._history, self._dots
        columns = torch.stack([vector.flatten(), *(self._rows[row] for row in self._unread)], 1)
        of_vector, *of_unread = (self._rows @ columns).T.cpu().double().numpy()
        for row, found in zip(self._unread, of_unread, strict=True):
            dots[row, :] = dots[:, row] = found
        for place in places:
            dots[place, y_of + place] = dots[y_of + place, place] = self._curvatures[place]
        self._unread.clear()
        weights = np.zeros(2 * self._history)  # the result is scale * vector + weights @ rows
        factors: dict[int, float] = {}
        for k in reversed(places):
            factors[k] = (of_vector[k] + dots[k] @ weights) / dots[k, y_of + k]
            weights[y_of + k] -= factors[k]
        newest = places[-1]
        scale = float(dots[newest, y_of + newest] / dots[y_of + newest, y_of + newest])
        weights *= scale
        for k in places:
            correction = (scale * of_vector[y_of + k] + dots[y_of + k] @ weights) / dots[k, y_of + k]
            weights[k] += factors[k] - correction
        there = torch.from_numpy(weights).to(self._rows.dtype).to(self._rows.device, non_blocking=True)
        combined = there @ self._rows
        return torch.add(combined, vector.flatten(), alpha=scale).view(self._shape)

    def _places(self) -> Iterator[int]:
        """The rows of the pairs, the oldest first."""
        return (number % self._history for number in range(self._count - len(self), self._count))


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Return the dot product of two pictures."""
    return torch.dot(a.flatten(), b.flatten())


def _wide(number: Tensor) -> Tensor:
    """Return a number in float64, like Python's floats, if the device has it."""
    return number.double() if number.device.type in ("cpu", "cuda") else number
