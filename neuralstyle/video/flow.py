"""Optical flow: where each pixel of one frame is in another."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from neuralstyle._errors import whole_number
from neuralstyle.images import resize_image
from neuralstyle.video.warping import warp

Flow: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""(frame, other), both (1, 3, H, W) in [0, 1] -> (1, 2, H, W): the offset in pixels, x then y, at which each pixel of
the frame is found in the other."""

COARSEST_SIDE = 16
"""Shorter side in pixels of the smallest level of a pyramid."""


def default_flow() -> Flow:
    """Return ``DISFlow()`` if OpenCV is installed, else ``PyramidFlow()``."""
    return DISFlow() if importlib.util.find_spec("cv2") is not None else PyramidFlow()


@dataclass(frozen=True)
class DISFlow:
    """Optical flow by dense inverse search, from OpenCV (``pip install 'neuralstyle-torch[video]'``).

    Raises:
        ImportError: at the call, if OpenCV is not installed.

    Example:
        ```python
        import importlib.util
        import torch
        from neuralstyle.images import resize_image
        from neuralstyle.video import DISFlow

        if importlib.util.find_spec("cv2"):
            frame = resize_image(torch.rand(1, 3, 16, 24, generator=torch.Generator().manual_seed(0)), (64, 96))
            moved = DISFlow()(frame, frame.roll(3, dims=3))
            assert abs(moved[0, 0].median() - 3) < 0.5
        ```

    Paper: Kroeger et al. 2016, arXiv 1603.03590.

    """

    def __call__(self, frame: Tensor, other: Tensor) -> Tensor:
        """Return the flow from one frame to another."""
        try:
            import cv2
        except ImportError as error:
            raise ImportError("DISFlow needs OpenCV; run 'pip install neuralstyle-torch[video]'") from error
        module: Any = cv2
        search = module.DISOpticalFlow_create(module.DISOPTICAL_FLOW_PRESET_MEDIUM)
        search.setFinestScale(0)
        found = search.calc(_levels_of_grey(frame), _levels_of_grey(other), None)
        return torch.from_numpy(np.ascontiguousarray(found)).permute(2, 0, 1)[None].to(frame)


@dataclass(frozen=True)
class PyramidFlow:
    r"""Optical flow by least squares in windows, from coarse to fine; needs nothing but torch.

    At each pixel and each level the offset d is improved by the solution of

    $$
    \Big(\sum_w \nabla I \nabla I^T + \epsilon\Big)\, \Delta d = -\sum_w \nabla I\, (I'(x + d) - I(x))
    $$

    over a window w, which blurs the edges of what moves more than ``DISFlow`` does.

    Args:
        window: side of the window in pixels, odd.
        steps: improvements at each level.

    Raises:
        ValueError: a number out of its range.

    Example:
        ```python
        import torch
        from neuralstyle.images import resize_image
        from neuralstyle.video import PyramidFlow

        frame = resize_image(torch.rand(1, 3, 16, 24, generator=torch.Generator().manual_seed(0)), (64, 96))
        moved = PyramidFlow()(frame, frame.roll(3, dims=3))
        assert abs(moved[0, 0].median() - 3) < 0.5
        ```

    Paper: Lucas and Kanade 1981; with a pyramid as in Bouguet 2001, at every pixel.

    """

    window: int = 11
    steps: int = 4

    def __post_init__(self) -> None:
        whole_number("the window of PyramidFlow", self.window, 3, 99)
        whole_number("the steps of PyramidFlow", self.steps, 1, 99)

    def __call__(self, frame: Tensor, other: Tensor) -> Tensor:
        """Return the flow from one frame to another."""
        ours, theirs = _grey(frame), _grey(other)
        flow = frame.new_zeros(1, 2, 1, 1)
        for height, width in _pyramid(frame.shape[2], frame.shape[3]):
            grow = frame.new_tensor([width / flow.shape[3], height / flow.shape[2]]).view(1, 2, 1, 1)
            flow = F.interpolate(flow, (height, width), mode="bilinear", align_corners=False) * grow
            a, b = resize_image(ours, (height, width)), resize_image(theirs, (height, width))
            across, down = _slopes(a)
            xx, xy, yy = (self._sum(product) for product in (across * across, across * down, down * down))
            xx, yy = xx + 1e-4, yy + 1e-4
            for _ in range(self.steps):
                change = warp(b, flow) - a
                x, y = self._sum(across * change), self._sum(down * change)
                step = torch.cat([xy * y - yy * x, xy * x - xx * y], 1) / (xx * yy - xy * xy)
                flow = self._mean(flow + step.clamp(-1, 1))
        return flow

    def _sum(self, values: Tensor) -> Tensor:
        return F.avg_pool2d(values, self.window, 1, self.window // 2, count_include_pad=False)

    def _mean(self, flow: Tensor) -> Tensor:
        return F.avg_pool2d(flow, 3, 1, 1, count_include_pad=False)


def _pyramid(height: int, width: int) -> list[tuple[int, int]]:
    """Sizes from coarse to fine, each half of the next."""
    sizes = [(height, width)]
    while min(sizes[0]) >= 2 * COARSEST_SIDE:
        sizes.insert(0, (sizes[0][0] // 2, sizes[0][1] // 2))
    return sizes


def _slopes(image: Tensor) -> tuple[Tensor, Tensor]:
    """Central differences along x and y."""
    wide = F.pad(image, (1, 1, 1, 1), mode="replicate")
    return (wide[..., 1:-1, 2:] - wide[..., 1:-1, :-2]) / 2, (wide[..., 2:, 1:-1] - wide[..., :-2, 1:-1]) / 2


def _grey(frame: Tensor) -> Tensor:
    weights = frame.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    return (frame * weights).sum(1, keepdim=True)


def _levels_of_grey(frame: Tensor) -> Any:
    return (_grey(frame)[0, 0] * 255).round().byte().cpu().numpy()
