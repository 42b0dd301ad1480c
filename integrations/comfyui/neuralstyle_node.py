"""A node for ComfyUI that paints pictures in the style of others. It can be imported without ComfyUI.

ComfyUI's pictures are float tensors (B, H, W, C) with values in [0, 1], where C is 3, or 4 with opacity; its masks are
float tensors (B, H, W) or (H, W). The package's are (1, C, H, W) and (1, 1, H, W).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

try:
    from neuralstyle import DEFAULT_LOSSES, Progress, Style, stylize, with_style_loss
    from neuralstyle.recipes import DEFAULT_STYLE_LOSS, SCHEDULES, STYLE_LOSSES
except ModuleNotFoundError as error:
    if error.name != "neuralstyle":
        raise
    raise ImportError(
        "neuralstyle is not installed for ComfyUI's Python: python -m pip install neuralstyle-torch"
    ) from None

COLORS = ("style", "luminance", "match", "match-pca", "match-cholesky", "histogram")
MAX_SIDE = 16384


def pictures(images: Any, name: str) -> list[Tensor]:
    """The pictures of a batch (B, H, W, C), or of one picture (H, W, C), each (1, C, H, W) with values in [0, 1].

    Raises:
        ValueError: another shape, an empty batch, or another number of channels than 1, 3 or 4.

    """
    batch = images[None] if isinstance(images, Tensor) and images.ndim == 3 else images
    if not isinstance(batch, Tensor) or batch.ndim != 4 or not len(batch) or batch.shape[3] not in (1, 3, 4):
        raise ValueError(f"{name} is a batch of pictures (B, H, W, C) with C = 1, 3 or 4, received {_shape(images)}")
    # What upscalers make may lie a little outside; NaN stays NaN and is refused by the library.
    return list(batch.movedim(3, 1).float().clamp(0, 1).split(1))


def masks(mask: Any, name: str, count: int) -> list[Tensor | None]:
    """The masks of a batch (B, H, W), or of one mask (H, W), for ``count`` pictures; one mask serves all pictures.

    Raises:
        ValueError: another shape, or neither one mask nor one for each picture.

    """
    if mask is None:
        return [None] * count
    batch = mask[None] if isinstance(mask, Tensor) and mask.ndim == 2 else mask
    if not isinstance(batch, Tensor) or batch.ndim != 3:
        raise ValueError(f"{name} is a batch of masks (B, H, W), received {_shape(mask)}")
    if len(batch) not in (1, count):
        raise ValueError(f"{name} holds {len(batch)} masks for {count} pictures; give one, or one for each")
    several = list(batch[:, None].float().clamp(0, 1).split(1))
    return [*several] * (count // len(several))


def _shape(value: Any) -> str:
    return f"the shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__


def to_batch(results: list[Image.Image]) -> Tensor:
    """Results of one size as a batch (B, H, W, C): with opacity if one of them has it."""
    mode = "RGBA" if any(image.mode == "RGBA" for image in results) else "RGB"
    return torch.stack([torch.from_numpy(np.array(image.convert(mode))).float() / 255 for image in results])


class Watch:
    """A callback that moves ComfyUI's progress bar and stops when its user cancels; without ComfyUI it does neither.

    Args:
        count: number of pictures.

    """

    def __init__(self, count: int) -> None:
        self.count, self.done = count, 0
        self.bar: Any = None
        self.check: Callable[[], object] = lambda: None
        self.device: Any = None
        try:
            from comfy import model_management, utils
        except ImportError:
            return
        self.bar = utils.ProgressBar(count)
        self.check = model_management.throw_exception_if_processing_interrupted
        self.device = model_management.get_torch_device()

    def __call__(self, progress: Progress) -> None:
        """Report an evaluation.

        Raises:
            Exception: ComfyUI's own, if the work was cancelled.

        """
        self.check()
        if self.bar is not None:
            self.bar.update_absolute(self.done * progress.total + progress.iteration, self.count * progress.total)


class NeuralStyle:
    """Paints each picture of a batch in the style of one painting, or of several that are blended."""

    CATEGORY = "image/neuralstyle"
    DESCRIPTION = "Paint pictures in the style of others. Several styles are blended."
    FUNCTION = "paint"
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("image",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802
        """The sockets and dials, as ComfyUI asks for them."""
        region = "where on the content the style goes; white: here"
        mask = "the part of the style that counts; white: this"
        return {
            "required": {
                "content": ("IMAGE", {"tooltip": "the photographs; each is painted by itself"}),
                "style": ("IMAGE", {"tooltip": "the painting; several are blended"}),
                "strength": (
                    "FLOAT",
                    {
                        "default": 0.5,
                        "min": 0.0,
                        "max": 1.0,
                        "step": 0.05,
                        "tooltip": "0: the photograph, 1: all style",
                    },
                ),
                "size": (
                    "INT",
                    {"default": 512, "min": 0, "max": MAX_SIDE, "tooltip": "longest side in pixels; 0: the content's"},
                ),
                "schedule": (list(SCHEDULES), {"default": "standard", "tooltip": "speed or quality"}),
                "color": (list(COLORS), {"default": "style", "tooltip": "whose colours; all but style: the content's"}),
                "style_loss": (
                    list(STYLE_LOSSES),
                    {"default": DEFAULT_STYLE_LOSS, "tooltip": "how styles are compared"},
                ),
                "seed": ("INT", {"default": 0, "min": 0, "max": 2**64 - 1, "tooltip": "other noise"}),
            },
            "optional": {"region": ("MASK", {"tooltip": region}), "style_mask": ("MASK", {"tooltip": mask})},
        }

    def paint(
        self,
        content: Any,
        style: Any,
        strength: float = 0.5,
        size: int = 512,
        schedule: Any = "standard",
        color: Any = "style",
        style_loss: str = DEFAULT_STYLE_LOSS,
        seed: int = 0,
        region: Any = None,
        style_mask: Any = None,
    ) -> tuple[Tensor]:
        """Paint a batch, (B, H, W, C); the result is one too, with opacity if the content is transparent somewhere."""
        photographs, paintings = pictures(content, "content"), pictures(style, "style")
        regions = masks(region, "region", len(photographs))
        shown = masks(style_mask, "style_mask", len(paintings))
        losses = with_style_loss(DEFAULT_LOSSES, style_loss)
        watch = Watch(len(photographs))
        results = []
        for photograph, where in zip(photographs, regions, strict=True):
            watch.check()
            results.append(
                stylize(
                    photograph,
                    [Style(image, mask=mask, region=where) for image, mask in zip(paintings, shown, strict=True)],
                    losses=losses,
                    size=size or "original",
                    schedule=schedule,
                    strength=strength,
                    color=color,
                    seed=seed,
                    device=watch.device,
                    callback=watch,
                    progress=False,
                )
            )
            watch.done += 1
        if watch.bar is not None:
            watch.bar.update_absolute(1, 1)  # an optimiser that converges makes fewer evaluations
        return (to_batch(results),)


NODE_CLASS_MAPPINGS: dict[str, type] = {"NeuralStyle": NeuralStyle}
NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {"NeuralStyle": "Neural Style (neuralstyle)"}
