"""RandomFilters: an untrained encoder for measuring pictures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuralstyle._errors import whole_number
from neuralstyle.encoders import Layer
from neuralstyle.encoders.base import check_image, check_names
from neuralstyle.machine.surroundings import plain_torch

STRIDE_OF_SIDE = {3: 1, 7: 1, 11: 1, 22: 2, 44: 4, 88: 8}
"""Side of the filters in pixels -> side of the cells over which the picture is averaged for them, in pixels."""

# The model of photographs that scales the filters.
CHANNEL_CORRELATION = 0.9  # between two colour channels
CORRELATION_LENGTH = 32.0  # pixels over which the correlation of brightness falls to 1 / e
BRIGHTNESS_DEVIATION = 0.25


class RandomFilters(nn.Module):
    r"""One layer of random filters of several sizes, each followed by a ReLU: an encoder for measuring pictures.

    With $k_i$ a filter drawn from the normal distribution and x the picture in [0, 1],

    $$
    F_i = \max\left(0,\; k_i * (x - \tfrac12) / \sigma_i\right)
    $$

    Layers are named by the side of their filters in pixels: "filters3", "filters7", "filters11", "filters22",
    "filters44" and "filters88"; the last three have 11 x 11 taps on the picture averaged over cells of 2, 4 and 8
    pixels. Every second filter sums to 0 in each colour channel, and so responds to texture without brightness and
    colour. $\sigma_i$ is the standard deviation of the filter's response to a model of photographs (correlation
    $e^{-d/32}$ at a distance of d pixels, 0.9 between colour channels, standard deviation 0.25), so that filters of all
    sizes and frequencies have equal weight.

    It is an ``Encoder``; its features are (B, C, H // stride, W // stride).

    Args:
        filters: number of filters of each size, at least 2.
        seed: seed of the random filters, at least 0.

    Raises:
        ValueError: fewer than 2 filters, or a seed below 0.

    Example:
        ```python
        import torch
        from neuralstyle.metrics import RandomFilters

        encoder = RandomFilters()
        features = encoder(torch.rand(1, 3, 64, 96), ["filters3", "filters44"])
        assert features["filters44"].shape == (1, 64, 16, 24)
        ```

    Paper: after Ustyuzhaninov, Brendel, Gatys and Bethge, arXiv 1606.00021: a single layer of random filters of several
    sizes, without pooling, describes textures well. Departures: the large filters are applied to an averaged picture,
    half of the filters have mean 0, and responses are scaled.

    """

    name = "random filters"

    @plain_torch()
    def __init__(self, filters: int = 64, seed: int = 0) -> None:
        super().__init__()
        whole_number("filters of RandomFilters", filters, 2)
        whole_number("seed of RandomFilters", seed, 0)
        generator = torch.Generator().manual_seed(seed)
        self._layers = {"image": Layer("image", "image", 3, 1, 0)}
        for size, stride in STRIDE_OF_SIDE.items():
            taps = size // stride
            drawn = torch.randn(filters, 3, taps, taps, generator=generator, dtype=torch.float64)
            drawn[::2] -= drawn[::2].mean((2, 3), keepdim=True)
            kernel = drawn / (BRIGHTNESS_DEVIATION * _response(drawn, stride))
            name = f"filters{size}"
            self.register_buffer(name, kernel.float())
            self._layers[name] = Layer(name, "module", filters, stride, taps // 2 * stride)

    @property
    def layers(self) -> Mapping[str, Layer]:
        """All layers by name, the smallest filters first."""
        return self._layers

    def forward(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Return the features of a picture by layer name.

        Args:
            image: (B, 3, H, W) in [0, 1].
            layers: names of layers.

        Returns:
            For each name its features, (B, C, H // stride, W // stride).

        Raises:
            ValueError: an unknown layer, or a picture that is too small for it.

        """
        wanted = check_names(layers, self._layers, self.name)
        check_image(image, self.filters3.dtype, [self._layers[name] for name in wanted])  # type: ignore[arg-type]
        return {name: self._filtered(image, name) for name in wanted}

    def _filtered(self, image: Tensor, name: str) -> Tensor:
        if name == "image":
            return image
        kernel = self.get_buffer(name).to(image.device)
        cells = F.avg_pool2d(image - 0.5, self._layers[name].stride)
        rim = kernel.shape[3] // 2
        return F.conv2d(F.pad(cells, (rim, rim, rim, rim), mode="replicate"), kernel).relu_()


def texture_layers(encoder: RandomFilters) -> tuple[str, ...]:
    """Return the names of all layers but "image", the picture itself."""
    return tuple(name for name in encoder.layers if name != "image")


def _response(kernel: Tensor, stride: int) -> Tensor:
    """Return the standard deviation of responses to the model at deviation 1: (N, 3, taps, taps) -> (N, 1, 1, 1)."""
    taps = kernel.shape[3]
    places = torch.cartesian_prod(*2 * [torch.arange(taps, dtype=torch.float64) * stride])
    near = torch.exp(-torch.cdist(places, places) / CORRELATION_LENGTH)
    colours = torch.full((3, 3), CHANNEL_CORRELATION, dtype=torch.float64).fill_diagonal_(1)
    flat = kernel.flatten(2)
    return torch.einsum("nap,pq,ab,nbq->n", flat, near, colours, flat).sqrt().view(-1, 1, 1, 1)
