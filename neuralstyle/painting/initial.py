"""The picture that the work starts from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor

from neuralstyle._errors import unknown
from neuralstyle.images import Picture, load_image, resize_image
from neuralstyle.styles import Style

Init: TypeAlias = "str | Picture | Callable[[Tensor], Tensor]"
"""A name of ``INITS``, a picture, or a function from the content, (1, 3, H, W) in [0, 1], to a picture of its size."""

Noise = Literal["uniform", "gaussian", "style"]
"""Kinds of noise, each drawn for every pixel on its own.

"uniform": every value from 0 to 1 alike. "gaussian": around middle grey, with a standard deviation of 0.25. "style":
with the mean and covariance of the first style's colours. All are clipped to [0, 1].
"""

INITS = ("content", "noise", "style")
NOISES: tuple[Noise, ...] = get_args(Noise)


def initial_picture(
    init: Init,
    shape: tuple[int, int],
    content: Tensor | None,
    styles: Sequence[Style],
    *,
    noise: Noise = "uniform",
    noise_blend: float = 0.0,
    seed: int = 0,
) -> Tensor:
    """The start, (1, 3, height, width) in [0, 1]: ``(1 - noise_blend) * picture + noise_blend * noise``.

    Raises:
        ValueError: an unknown name that is no file either, or an option out of its range.

    """
    if noise not in NOISES:
        raise unknown("noise", noise, NOISES)
    if isinstance(noise_blend, (bool, str)) or not 0 <= noise_blend <= 1:
        raise ValueError(f"noise_blend is a share from 0 (the picture alone) to 1 (noise alone), got {noise_blend!r}")
    if isinstance(seed, bool) or not isinstance(seed, int) or not -(2**63) <= seed < 2**64:
        raise ValueError(f"seed is a whole number of at most 64 bits, received {seed!r}")
    if isinstance(init, str) and init == "noise":
        return _noise(noise, shape, styles, seed)
    picture = resize_image(_picture(init, content, styles), shape)
    return torch.lerp(picture, _noise(noise, shape, styles, seed).to(picture), noise_blend) if noise_blend else picture


def _picture(init: Init, content: Tensor | None, styles: Sequence[Style]) -> Tensor:
    if isinstance(init, str) and init == "content" and content is not None:
        return content
    if isinstance(init, str) and init == "style" and styles:
        return load_image(styles[0].image)
    if isinstance(init, str) and not Path(init).exists():
        known = [name for name in INITS if name == "noise" or (styles if name == "style" else content is not None)]
        raise unknown("init (nor is it a file)", init, known)
    if callable(init):
        if content is None:
            raise ValueError("init is a function of the content, and there is no content; give a picture or 'noise'")
        with torch.no_grad():
            return load_image(init(content.clone()))  # which it may write on
    return load_image(init)


def _noise(kind: Noise, shape: tuple[int, int], styles: Sequence[Style], seed: int) -> Tensor:
    # Drawn on the CPU, so that a seed means the same on every device.
    generator = torch.Generator().manual_seed(seed)
    if kind == "uniform":
        return torch.rand(1, 3, *shape, generator=generator)
    normal = torch.randn(1, 3, *shape, generator=generator)
    if kind == "gaussian":
        return (0.5 + 0.25 * normal).clamp(0, 1)
    if not styles:
        raise ValueError("noise='style' takes the colours of a style, and there is no style; use 'uniform'")
    # In double precision: the covariance of a grey picture is singular.
    colors = load_image(styles[0].image).double().cpu().flatten(2)[0]
    root = torch.linalg.cholesky(torch.cov(colors) + 1e-8 * torch.eye(3, dtype=torch.float64))
    drawn = torch.einsum("ij,bjhw->bihw", root, normal.double()) + colors.mean(1).view(1, 3, 1, 1)
    return drawn.clamp(0, 1).float()
