"""Evaluations recorded as CUDA graphs: a small picture's hundreds of operations become one launch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable

import torch
from torch import Tensor

from neuralstyle._errors import is_ours
from neuralstyle.encoders.base import Encoder
from neuralstyle.encoders.extractor import FeatureExtractor
from neuralstyle.encoders.precision import InPrecision
from neuralstyle.losses import LossSum

Compute = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Picture -> (values of the terms, gradient), without a number that the processor has to wait for."""

MOST_PIXELS = 1024 * 1024
"""Pixels up to which an evaluation is recorded. A larger picture keeps the device busy, and a record has its memory."""

RECORDED_AFTER = 3
"""Evaluations of one size before the next is recorded: they load kernels and fill caches."""

_log = logging.getLogger(__name__)


def can_be_recorded(encoder: Encoder, losses: LossSum) -> bool:
    """Tell whether an evaluation depends on the picture alone.

    People's own losses and encoders may count, draw or read numbers in Python, which a recording would not repeat.
    """
    inside = encoder.encoder if isinstance(encoder, InPrecision) and not encoder.compiled else encoder
    return isinstance(inside, FeatureExtractor) and is_ours(inside) and all(is_ours(term.loss) for term in losses)


class Recorder:
    """Records what is computed again and again for pictures of one size on CUDA, and repeats it.

    Operations are recorded with their addresses, so a record holds its own picture, features and results. Only that of
    the last size is kept. What Python does beside them is not repeated: record only what depends on the picture alone.
    Where recording fails, as without memory for it, everything is computed as before.
    """

    def __init__(self) -> None:
        self._key: Hashable = None
        self._seen = 0
        self._record: _Record | None = None
        self._works = True

    def __call__(self, compute: Compute, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return what ``compute`` returns for the picture."""
        if not self._works or image.device.type != "cuda" or image.numel() > 3 * MOST_PIXELS:
            return compute(image)
        key = (image.shape, image.dtype, image.device)
        if key != self._key:
            self._key, self._seen, self._record = key, 0, None
        self._seen += 1
        if self._seen <= RECORDED_AFTER:
            return compute(image)
        if self._record is None:
            try:
                self._record = _Record(compute, image)
            except RuntimeError as error:
                _log.debug("an evaluation cannot be recorded: %s", error)
                self._works = False
                torch.cuda.synchronize(image.device)
                return compute(image)
        return self._record.repeat(image)


class _Record:
    """A CUDA graph with its picture and results."""

    def __init__(self, compute: Compute, image: Tensor) -> None:
        self._image = image.detach().clone()
        self._graph = torch.cuda.CUDAGraph()
        before = torch.cuda.current_stream(image.device)
        stream: torch.cuda.Stream = torch.cuda.Stream(image.device)  # type: ignore[no-untyped-call]
        stream.wait_stream(before)
        with torch.cuda.stream(stream):  # once more there, as libraries prepare themselves for each stream
            compute(self._image)
        before.wait_stream(stream)
        with torch.cuda.graph(self._graph, stream=stream, capture_error_mode="thread_local"):
            self._values, self._gradient = compute(self._image)

    def repeat(self, image: Tensor) -> tuple[Tensor, Tensor]:
        self._image.copy_(image)
        self._graph.replay()
        return self._values.clone(), self._gradient.clone()
