"""The weights of the positions of each part of an objective."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from neuralstyle.objective.features import FeatureSource
from neuralstyle.objective.parts import Part, positions, reach_of, size_of
from neuralstyle.objective.regions import position_weights, weights_everywhere


class PositionWeights:
    """Each part's region at its layer, as weights of positions (None: all are 1) and their sum.

    The weights for the last size are cached, since successive pictures have the same size.
    """

    def __init__(self, source: FeatureSource, parts: Sequence[Part], opacity: Tensor | None = None) -> None:
        def compute(
            size: tuple[int, int], dtype: torch.dtype, device: torch.device
        ) -> tuple[list[Tensor | None], list[float]]:
            like = torch.empty(0, dtype=dtype, device=device)
            pixels = {part.region: part.region.pixels(size, like) for part in parts if part.region}
            whole: dict[int, Tensor | None] = {}  # by stride: the weights everywhere, which many parts share
            weights: list[Tensor | None] = []
            counts: list[float] = []
            for part in parts:
                layer, region = source.layers[part.layers[0]], part.region
                if region is None:
                    if layer.stride not in whole:
                        whole[layer.stride] = weights_everywhere(size, layer.stride, like, opacity)
                    weight = whole[layer.stride]
                else:
                    reach = reach_of(part.loss, layer)
                    weight = position_weights(
                        pixels[region], layer.stride, reach, region.edges, step=source.step, wraps=region.wraps
                    )
                weights.append(weight)
                counts.append(positions(weight, size, layer.stride))
            return weights, counts

        self._compute = lru_cache(1)(compute)

    def __call__(self, image: Tensor) -> tuple[list[Tensor | None], list[float]]:
        """Weights and sums, part by part, for pictures of this size, dtype and device."""
        return self._compute(size_of(image), image.dtype, image.device)
