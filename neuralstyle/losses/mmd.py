"""Style as a distribution of features, compared by a Gaussian kernel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from neuralstyle._errors import number
from neuralstyle.losses.base import Reference, StatisticLoss
from neuralstyle.losses.gram import STYLE_LAYERS
from neuralstyle.losses.tools.relative import relative
from neuralstyle.losses.tools.sampling import check_count, check_seed, normal
from neuralstyle.losses.tools.squares import squared_distance

FREQUENCIES_PER_CHUNK = 32
WAVES_PER_CHUNK = {"cpu": 2**18, "cuda": 2**24}  # by device; on the CPU a chunk stays in the cache
MIN_DISTANCE_FROM_ZERO = 1e-6  # squared and per frequency, between a style's means and those of zero features


@dataclass(frozen=True)
class MMDLoss(StatisticLoss):
    r"""Maximum mean discrepancy with a Gaussian kernel, by random Fourier features.

    $$
    k(f, g) = \exp\left(-\frac{|f - g|^2}{2 b^2 C}\right) \approx \frac{1}{K} \sum_k \cos(\omega_k^\top (f - g)),
    \qquad \omega_k \sim \mathcal{N}\left(0, \frac{1}{b^2 C}\right)
    $$

    $$
    L_l = \frac{\sum_k |\overline{e^{i \omega_k^\top F}} - \overline{e^{i \omega_k^\top S}}|^2}
    {\sum_k |1 - \overline{e^{i \omega_k^\top S}}|^2}
    $$

    Bars are means over positions, so the tile sets the memory, and masks and regions work. The divisor is the value for
    a result without features, but at least $10^{-6} K$, for a style that has almost none. A polynomial kernel would
    compare Gram matrices; the Gaussian kernel bounds the influence of a single strong feature.

    Args:
        bandwidth: b, the kernel's width as a root mean square over channels; the default is for networks whose mean
            activations are 1 (``normalize=True``). A narrow kernel separates fine differences, but has no gradient at
            large distances: with 1, a result that starts from the content does not reach the style's colours.
        frequencies: K; the error of the approximation falls with its square root.
        seed: seed of the frequencies, which depend on the number of channels alone.

    Raises:
        ValueError: a bandwidth that is not positive, a number of frequencies below 1, or a negative seed.

    Example:
        ```python
        import torch
        from neuralstyle.losses import MMDLoss

        F, S = torch.rand(1, 8, 32, 32), torch.rand(1, 8, 40, 24)
        loss = MMDLoss("relu1_1")
        assert loss(F, S) < 0.05 < loss(2 * F, S)
        ```

    Papers: Li, Wang, Liu and Hou, arXiv 1701.01036 (MMD as a style loss, there with sampled pairs of positions);
    Rahimi and Recht, NIPS 2007 (random features).

    """

    layers: str | Sequence[str] = STYLE_LAYERS
    bandwidth: float = 4.0
    frequencies: int = 256
    layer_weights: Sequence[float] | None = None
    seed: int = 0
    reference: Reference = "style"

    def __post_init__(self) -> None:
        super().__post_init__()
        number("the bandwidth of MMDLoss", self.bandwidth, above=0)
        check_count(self, "frequencies")
        check_seed(self)

    def statistic(self, x: Tensor, weight: Tensor) -> Tensor:
        """Sums of cosines and sines of K projections: (B, C, N), (B, 1, N) -> (B, K, 2)."""
        channels = x.shape[1]
        frequencies = normal(self.frequencies, channels, self.seed, x) / (self.bandwidth * math.sqrt(channels))
        # Waves take far more memory than features, so they are computed in chunks, and again for the gradient.
        waves: list[Tensor] = [
            _Waves.apply(part, x, weight) for part in torch.split(frequencies, FREQUENCIES_PER_CHUNK)
        ]
        return torch.cat(waves, 1)

    def distance(self, actual: Tensor, target: Tensor) -> Tensor:
        """The squared difference, relative to that of zero features, averaged over the batch."""
        zero = torch.cat([target.new_ones(1), target.new_zeros(1)])
        size = (zero - target).square().sum((1, 2)).clamp(min=MIN_DISTANCE_FROM_ZERO * self.frequencies)
        return relative(squared_distance(actual, target, (1, 2)).flatten(), size)


class _Waves(torch.autograd.Function):
    """Sums of cosines and sines under a weight: (K, C), (B, C, N), (B, 1, N) -> (B, K, 2)."""

    @staticmethod
    def forward(ctx: Any, frequencies: Tensor, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(frequencies, x, weight)
        total = x.new_zeros(x.shape[0], len(frequencies), 2)
        for place in _chunks(frequencies, x):
            phase, along = frequencies @ x[:, :, place], weight[:, :, place].transpose(1, 2)
            total[..., :1] += phase.cos() @ along
            total[..., 1:] += phase.sin_() @ along
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor, None]:
        frequencies, x, weight = ctx.saved_tensors
        a, b = gradient[..., :1], gradient[..., 1:]
        if torch.is_grad_enabled():  # a second derivative is wanted
            phase = frequencies @ x
            return None, (frequencies.T @ (b * phase.cos() - a * phase.sin())) * weight, None
        # The same as one wave, |(a, b)| cos(p + arg(b, a)): half the work.
        shift, back = torch.atan2(a, b), torch.empty_like(x)
        slopes = (frequencies * torch.hypot(a, b)).transpose(1, 2)
        for place in _chunks(frequencies, x):
            waves = (frequencies @ x[:, :, place]).add_(shift).cos_()
            torch.mul(slopes @ waves, weight[:, :, place], out=back[:, :, place])
        return None, back, None


def _chunks(frequencies: Tensor, x: Tensor) -> list[slice]:
    """Positions (B, C, N) in chunks."""
    count = max(1, WAVES_PER_CHUNK.get(x.device.type, WAVES_PER_CHUNK["cuda"]) // len(frequencies))
    return [slice(start, start + count) for start in range(0, x.shape[2], count)]
