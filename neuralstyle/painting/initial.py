"""The picture that painting starts from. Importing this file does not import torch."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from neuralstyle._errors import brief, is_whole, is_word, number, unknown
from neuralstyle._words import NOISE_KINDS, NoiseKind

if TYPE_CHECKING:
    from torch import Tensor

    from neuralstyle.images import Picture
    from neuralstyle.styles import Style

Start: TypeAlias = "str | Picture | Callable[[Tensor], Tensor]"
"""A start without noise: "content", "style", a picture, or a function that takes the content, (1, 3, H, W) in [0, 1],
and returns a picture."""


@dataclass(frozen=True, eq=False)
class Noise:
    """Noise to start from, alone or blended with a picture: ``(1 - blend) * over + blend * noise``.

    Args:
        kind: "uniform", "gaussian" (around grey) or "style" (the first style's colours); see ``NoiseKind``.
        blend: share of the noise in [0, 1]; 1 is noise alone.
        over: the picture to blend with: "content", "style", a picture, or a function from the content to a picture.

    Raises:
        ValueError: an unknown kind, a ``blend`` outside [0, 1], or noise over noise.

    Example:
        ```python
        from neuralstyle import Noise, samples, stylize

        start = Noise("gaussian", blend=0.3)
        image = stylize(samples.photo(), samples.painting("swirl"), size=64, iterations=2, init=start, seed=7)
        ```

    """

    kind: NoiseKind = "uniform"
    blend: float = 1.0
    over: Start = "content"

    def __post_init__(self) -> None:
        if not is_word(self.kind, NOISE_KINDS):
            raise unknown("kind of noise", self.kind, NOISE_KINDS)
        object.__setattr__(self, "blend", number("the blend of Noise", self.blend, least=0, most=1))
        if isinstance(self.over, Noise) or (isinstance(self.over, str) and self.over == "noise"):
            raise ValueError(
                f"noise is mixed into 'content', 'style', a picture or a function, received over={self.over!r}; give "
                "one of these, or blend=1 for noise alone"
            )


Init: TypeAlias = "Start | Noise"
"""A ``Start``, a ``Noise``, or "noise", which means ``Noise()``."""

INITS = ("content", "noise", "style")


def initial_picture(
    init: Init, shape: tuple[int, int], content: Tensor | None, styles: Sequence[Style], *, seed: int = 0
) -> Tensor:
    """Return the start, (1, 3, height, width) in [0, 1].

    A start of one colour gets noise of one grey level of 255: where a picture is alike everywhere its gradient is so
    too, and it would stay as it is.

    Args:
        init: the start, as in ``stylize``.
        shape: (height, width); pictures are resized to it.
        content: (1, 3, H, W) in [0, 1], or None.
        styles: the styles; "style" and ``Noise("style")`` use the first.
        seed: seed of the noise, a whole number of at most 64 bits. Noise is drawn on the CPU, so a seed means the same
            on every device.

    Raises:
        ValueError: an unknown name that is not a file either, a missing content or style, or a bad seed.

    """
    from neuralstyle.images import resize_image

    if not is_whole(seed) or not -(2**63) <= seed < 2**64:
        raise ValueError(f"seed is a whole number of at most 64 bits, received {brief(seed)}")
    if isinstance(init, str) and init == "noise":
        init = Noise()
    if not isinstance(init, Noise):
        return _not_alike(resize_image(_picture(init, content, styles), shape), seed)
    if init.blend == 1:
        return _noise(init.kind, shape, styles, seed)
    picture = resize_image(_picture(init.over, content, styles), shape)
    return picture.lerp(_noise(init.kind, shape, styles, seed).to(picture), init.blend) if init.blend else picture


def _not_alike(picture: Tensor, seed: int) -> Tensor:
    """The picture, with faint noise if it is of one colour."""
    if (picture.amax((2, 3)) > picture.amin((2, 3))).any():
        return picture
    noise = _noise("gaussian", (picture.shape[2], picture.shape[3]), (), seed) - 0.5
    return (picture + noise.to(picture) * (4 / 255)).clamp(0, 1)


def _picture(start: Start, content: Tensor | None, styles: Sequence[Style]) -> Tensor:
    import torch

    from neuralstyle.images import load_image

    if isinstance(start, str) and start == "content" and content is not None:
        return content
    if isinstance(start, str) and start == "style" and styles:
        return load_image(styles[0].image)
    if isinstance(start, str) and not os.path.exists(start):  # noqa: PTH110 - Path.exists raises for long names
        known = [name for name in INITS if name == "noise" or (styles if name == "style" else content is not None)]
        raise unknown("init (nor is it a file)", start, known)
    if callable(start):
        if content is None:
            raise ValueError("init is a function of the content, and there is no content; give a picture or 'noise'")
        with torch.no_grad():
            return load_image(start(content.clone()))  # the function may change its argument in place
    return load_image(start)


def _noise(kind: NoiseKind, shape: tuple[int, int], styles: Sequence[Style], seed: int) -> Tensor:
    import torch

    from neuralstyle.images import load_image

    generator = torch.Generator().manual_seed(int(seed))
    if kind == "uniform":
        return torch.rand(1, 3, *shape, generator=generator, dtype=torch.float32)
    normal = torch.randn(1, 3, *shape, generator=generator, dtype=torch.float32)
    if kind == "gaussian":
        return (0.5 + 0.25 * normal).clamp(0, 1)
    if not styles:
        raise ValueError("Noise('style') takes the colours of a style, and there is no style; use Noise('uniform')")
    # In double precision: the covariance of a grey picture is singular.
    colors = load_image(styles[0].image).double().cpu().flatten(2)[0]
    root = torch.linalg.cholesky(torch.cov(colors) + 1e-8 * torch.eye(3, dtype=torch.float64))
    drawn = torch.einsum("ij,bjhw->bihw", root, normal.double()) + colors.mean(1).view(1, 3, 1, 1)
    return drawn.clamp(0, 1).float()
