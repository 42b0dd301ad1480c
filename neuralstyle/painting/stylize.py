"""Painting: style transfer, texture synthesis and content reconstruction, wired from the parts."""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch
from PIL import Image
from typing_extensions import Unpack

from neuralstyle.color.control import Color
from neuralstyle.encoders.base import Encoder
from neuralstyle.encoders.precision import Precision
from neuralstyle.images import Picture, Size, check_size, fit_size, load_image, longest_side
from neuralstyle.losses import ContentLoss, Loss, LossSum
from neuralstyle.losses.base import as_sum
from neuralstyle.objective.tiling import TileSize
from neuralstyle.optimizers.base import Optimizer
from neuralstyle.optimizers.minimize import Keep
from neuralstyle.painting.initial import Init, Noise
from neuralstyle.painting.paint import Options, paint
from neuralstyle.painting.progress import Callback
from neuralstyle.recipes import DEFAULT_LOSSES, TEXTURE_LOSSES, at_strength, compact_serves
from neuralstyle.schedule import Schedule, find_schedule
from neuralstyle.styles import Style, as_styles


def stylize(
    content: Picture,
    style: Picture | Style | Sequence[Picture | Style],
    *,
    losses: Loss | LossSum | None = None,
    size: Size = 512,
    iterations: int | None = None,
    optimizer: Optimizer | None = None,
    init: Init = "content",
    encoder: Encoder | str | None = None,
    tile: TileSize = None,
    seed: int = 0,
    device: str | torch.device | None = None,
    callback: Callback | Sequence[Callback] | None = None,
    progress: bool = True,
    noise: Noise = "uniform",
    noise_blend: float = 0.0,
    result: Keep = "best",
    state: str | os.PathLike[str] | None = None,
    state_interval: float = 60.0,
    precision: Precision | None = None,
    compile: bool = False,
    content_weight: float = 1.0,
    style_weight: float = 1.0,
    color: Color = "style",
    schedule: Schedule | str = "standard",
    strength: float = 0.5,
) -> Image.Image:
    r"""Paint the content in the style.

    Minimises $\alpha L_\text{content} + \beta L_\text{style}$ over the pixels of the result, from coarse to
    fine.

    Args:
        content: the photograph: a path, PIL image, numpy array, or tensor (3, H, W) or (1, 3, H, W) in [0, 1].
        style: the painting, of the same kinds; a ``Style``, with a weight, scale, mask or region; or a list of these.
        losses: what is minimised; None: ``DEFAULT_LOSSES``.
        size: longest side of the result in pixels, at least 16, or ``Width(800)``, or ``Pixels(1_000_000)``; the
            aspect is the content's.
        iterations: evaluations of loss and gradient by which the finest scale ends; what comes before follows the
            schedule. None: the schedule's own number.
        optimizer: ``LBFGS()``, ``Adam()`` or a function (image tensor) -> ``torch.optim.Optimizer``; None: ``LBFGS()``.
        init: where to start: "content", "noise", "style", a picture, or a function from the content to one.
        noise: its kind: "uniform", "gaussian" (around grey) or "style" (the style's colours).
        noise_blend: share of noise in the start, from 0 to 1; the rest is ``init``.
        encoder: a ``FeatureExtractor``, or a network's name, to look through from beginning to end; None: what the
            schedule says, and for the rest ``default_encoder()``, VGG-19.
        tile: longest side in pixels of the pieces in which the picture is looked at, to bound the memory; the result
            is the same to rounding. None: the whole at once. "auto": what the free memory allows.
        seed: of the noise. On the CPU the same seed on the same machine gives the same picture, to the byte.
        device: for example "cpu" or "cuda:1"; None: the accelerator that torch finds, else the CPU. The encoder
            is moved there.
        callback: called with a ``Progress`` after each evaluation; or several. Returning False, or raising
            StopIteration, stops, and what ``result`` says of the pictures so far is the result.
        progress: show a progress bar, on the terminal or in a notebook.
        result: "best", the picture with the lowest loss; "last", where the last step ended; "average", the running
            average of the steps' pictures, with a decay of 0.99. The same is handed from one scale to the next.
        state: a file in which the state of the run is kept. If it exists, the run continues from there, and ends with
            the same bytes as one that was never stopped.
        state_interval: seconds between two states in the file, at least; a shorter way back costs time for writing.
        precision: of the network's convolutions, see ``InPrecision``: "float32"; "tf32" or "bfloat16", faster on GPUs
            that have them, with all else in float32; None: as torch is set.
        compile: whether ``torch.compile`` makes one program of the network, see ``InPrecision``; for long runs on GPUs.
        content_weight: multiplies every loss that compares with the content ($\alpha$).
        style_weight: multiplies every loss that compares with the style ($\beta$).
        color: whose colours the result has. "style": the painting's. The content's are kept by "luminance" (afterwards:
            the result's lightness with the content's chroma, in OkLab), "match" (beforehand: the painting's mean and
            covariance of colour are made the content's) or "histogram" (beforehand, channel by channel).
        schedule: "standard", from coarse to fine through the compact encoder and to the end through VGG-19; "draft",
            through the compact encoder alone; "fine", through VGG-19 alone, at length; "single", all at the final
            size; or a function (size, iterations) -> list of ``Scale``. With an encoder of your own, or losses at
            layers that "compact19" does not have, "standard" is ``coarse_to_fine`` and "draft" a third of that.
        strength: one dial for the balance, from 0, nearly the photograph, over 0.5, the default, to 1, nearly all
            style: multiplies $\alpha$ by $10^{1 - 2s}$ and $\beta$ by $10^{2s - 1}$, on top of their weights.

    Returns:
        An 8-bit RGB picture.

    Raises:
        ValueError: bad input, named in the message, before any long work.
        FileNotFoundError: a picture that does not exist.
        FloatingPointError: a loss is not finite; the message names it. This and any other exception during the work
            (KeyboardInterrupt too) carries the best picture so far as its attribute ``image``.

    Example:
        ```python
        from neuralstyle import samples, stylize

        image = stylize(samples.photo(), samples.painting("swirl"), size=64, iterations=2)
        assert max(image.size) == 64
        ```

    Papers: Gatys, Ecker and Bethge, arXiv 1508.06576. Departures: coarse to fine (arXiv 1611.07865), a start at the
    content, L2 pooling, pixels bounded to their range, the content at relu2_1 and as a mean over positions, Gram
    matrices compared relative to the style's own and mostly at relu4_1, and a little total variation; ``gatys()``
    gives the paper's own settings.
    """
    start = load_image(content)
    styles = as_styles(style)
    terms = as_sum(DEFAULT_LOSSES if losses is None else losses)
    stages = find_schedule(schedule, compact=compact_serves(terms, encoder))
    scales = stages(longest_side(size, *start.shape[2:]), iterations)
    content_factor, style_factor = at_strength(strength)
    return paint(
        terms.scaled("content", content_weight * content_factor).scaled("style", style_weight * style_factor),
        start,
        styles,
        [(fit_size(start.shape[2], start.shape[3], scale.size), scale) for scale in scales],
        optimizer=optimizer,
        init=init,
        noise=noise,
        noise_blend=noise_blend,
        encoder=encoder,
        tile=tile,
        seed=seed,
        device=device,
        callback=callback,
        progress=progress,
        result=result,
        state=state,
        state_interval=state_interval,
        precision=precision,
        compile=compile,
        color=color,
    )


def synthesize_texture(
    style: Picture | Style | Sequence[Picture | Style],
    *,
    losses: Loss | LossSum | None = None,
    size: int | tuple[int, int] = 512,
    iterations: int | None = None,
    schedule: Schedule | str = "standard",
    **options: Unpack[Options],
) -> Image.Image:
    """Paint a texture: the style alone, from noise.

    Args:
        style: the texture's source, as in ``stylize``.
        losses: what is minimised; None: ``TEXTURE_LOSSES``. Fewer layers give smaller structures.
        size: of the result in pixels: the side of a square, or (height, width).
        iterations: evaluations at the finest scale; None: the schedule's own number.
        schedule: as in ``stylize``.
        **options: as in ``stylize``; ``init`` is "noise" unless told otherwise.

    Raises:
        ValueError: bad input, or losses that compare with the content.

    Example:
        ```python
        from neuralstyle import GramStyleLoss, samples, synthesize_texture

        image = synthesize_texture(
            samples.painting("mosaic"), losses=GramStyleLoss(("relu1_1", "relu2_1")), size=64, iterations=2
        )
        assert image.size == (64, 64)
        ```

    Papers: Gatys, Ecker and Bethge, arXiv 1505.07376 (texture synthesis) and 1508.06576 (style reconstructions).

    """
    height, width = size if isinstance(size, tuple) else (size, size)
    longest = max(check_size(height), check_size(width))
    terms = as_sum(TEXTURE_LOSSES if losses is None else losses)
    stages = find_schedule(schedule, compact=compact_serves(terms, options.get("encoder")))
    scales = stages(longest, iterations)
    shapes = [(round(height * scale.size / longest), round(width * scale.size / longest)) for scale in scales]
    options.setdefault("init", "noise")
    return paint(terms, None, as_styles(style), list(zip(shapes, scales, strict=True)), **options)


def reconstruct_content(
    content: Picture,
    layer: str = "relu4_2",
    *,
    losses: Loss | LossSum | None = None,
    size: Size = 512,
    iterations: int | None = None,
    schedule: Schedule | str = "single",
    **options: Unpack[Options],
) -> Image.Image:
    """Paint what a layer remembers of a picture: the content alone, from noise.

    Shallow layers give the picture back nearly pixel by pixel; deep ones keep what is where and lose the rest.

    Args:
        content: the picture, as in ``stylize``.
        layer: the layer whose features are matched.
        losses: what is minimised, instead of ``ContentLoss(layer)``.
        size: of the result, as in ``stylize``.
        iterations: evaluations at the finest scale; None: the schedule's own number.
        schedule: as in ``stylize``.
        **options: as in ``stylize``; ``init`` is "noise" unless told otherwise.

    Raises:
        ValueError: bad input, an unknown layer, or losses that compare with a style.

    Example:
        ```python
        from neuralstyle import reconstruct_content, samples

        image = reconstruct_content(samples.photo(), "relu2_2", size=64, iterations=2)
        assert max(image.size) == 64
        ```

    Papers: Mahendran and Vedaldi, arXiv 1412.0035; Gatys, Ecker and Bethge, arXiv 1508.06576 (content
    reconstructions).

    """
    target = load_image(content)
    terms = as_sum(ContentLoss(layer) if losses is None else losses)
    stages = find_schedule(schedule, compact=compact_serves(terms, options.get("encoder")))
    scales = stages(longest_side(size, *target.shape[2:]), iterations)
    shapes = [fit_size(target.shape[2], target.shape[3], scale.size) for scale in scales]
    options.setdefault("init", "noise")
    return paint(terms, target, [], list(zip(shapes, scales, strict=True)), **options)
