"""RandomFilters: an encoder that nobody has trained, and nobody paints with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuralstyle.encoders import Layer
from neuralstyle.encoders.base import check_image, check_names

SIZES = {3: 1, 7: 1, 11: 1, 22: 2, 44: 4, 88: 8}
"""Side of the filters in pixels, and the cells over which the picture is averaged for them."""

CORRELATION = 0.9  # of two colour channels in the model of a photograph
LENGTH = 32.0  # pixels over which its brightness keeps 1 / e of its correlation
CONTRAST = 0.25  # its standard deviation


class RandomFilters(nn.Module):
    r"""One layer of random filters of several sizes, each followed by a ReLU: an encoder to judge pictures with.

    With $k_i$ a filter drawn from the normal distribution and x the picture in [0, 1],

    $$
    F_i = \max\left(0,\; k_i * (x - \tfrac12) / \sigma_i\right)
    $$

    Layers are called by the side of their filters in pixels: "filters3", "filters7", "filters11", "filters22",
    "filters44" and "filters88"; the last three have 11 x 11 taps on the picture averaged over cells of 2, 4 and 8.
    Every second filter sums to 0 in each colour channel, and sees texture without brightness and colour. $\sigma_i$ is
    the filter's response to a model of photographs (brightness of correlation $e^{-d/32}$ at a distance of d pixels,
    0.9 between colour channels, standard deviation 0.25), so that all sizes and frequencies have a say.

    It takes the place of ``FeatureExtractor`` wherever an encoder is taken, and has (B, C, H // stride, W // stride)
    features.

    Args:
        filters: how many of each size, at least 2.
        seed: of the draw.

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

    Paper: after Ustyuzhaninov, Brendel, Gatys and Bethge, arXiv 1606.00021: textures are described well by a single
    layer of random filters of several sizes, without pooling. Departures: the large filters see an averaged picture,
    half of the filters are free of their mean, and responses are scaled.

    """

    name = "random filters"

    def __init__(self, filters: int = 64, seed: int = 0) -> None:
        super().__init__()
        for name, value, least in (("filters", filters, 2), ("seed", seed, 0)):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(f"{name} of RandomFilters is a whole number of at least {least}, received {value!r}")
        generator = torch.Generator().manual_seed(seed)
        self._layers = {"image": Layer("image", "image", 3, 1, 0)}
        for size, stride in SIZES.items():
            taps = size // stride
            drawn = torch.randn(filters, 3, taps, taps, generator=generator, dtype=torch.float64)
            drawn[::2] -= drawn[::2].mean((2, 3), keepdim=True)
            kernel = drawn / (CONTRAST * _response(drawn, stride))
            name = f"filters{size}"
            self.register_buffer(name, kernel.float())
            self._layers[name] = Layer(name, "module", filters, stride, taps // 2 * stride)

    @property
    def layers(self) -> Mapping[str, Layer]:
        """Every layer by name, the small filters first."""
        return self._layers

    def forward(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Features (B, C, H // stride, W // stride) of a picture (B, 3, H, W) in [0, 1], by the names asked for.

        Raises:
            ValueError: an unknown layer, or a picture that is too small for it.

        """
        wanted = check_names(layers, self._layers, self.name)
        check_image(image, self.filters3.dtype, [self._layers[name] for name in wanted])  # type: ignore[arg-type]
        return {name: self._see(image, name) for name in wanted}

    def _see(self, image: Tensor, name: str) -> Tensor:
        if name == "image":
            return image
        kernel = self.get_buffer(name)
        cells = F.avg_pool2d(image - 0.5, self._layers[name].stride)
        rim = kernel.shape[3] // 2
        return F.conv2d(F.pad(cells, (rim, rim, rim, rim), mode="replicate"), kernel).relu_()


def texture_layers(encoder: RandomFilters) -> tuple[str, ...]:
    """All layers but the picture itself."""
    return tuple(name for name in encoder.layers if name != "image")


def _response(kernel: Tensor, stride: int) -> Tensor:
    """Standard deviation of each filter's response (N, 3, taps, taps) to the model at contrast 1: (N, 1, 1, 1)."""
    taps = kernel.shape[3]
    places = torch.cartesian_prod(*2 * [torch.arange(taps, dtype=torch.float64) * stride])
    near = torch.exp(-torch.cdist(places, places) / LENGTH)
    colours = torch.full((3, 3), CORRELATION, dtype=torch.float64).fill_diagonal_(1)
    flat = kernel.flatten(2)
    return torch.einsum("nap,pq,ab,nbq->n", flat, near, colours, flat).sqrt().view(-1, 1, 1, 1)
