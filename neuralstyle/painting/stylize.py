"""Style transfer, texture synthesis and content reconstruction: plan, then paint.

The command line reads its defaults from the signature of ``stylize``. Importing this file does not import torch.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from neuralstyle._stopping import interruptible

if TYPE_CHECKING:
    import torch
    from PIL import Image
    from typing_extensions import Unpack

    from neuralstyle._words import Color, Result
    from neuralstyle.encoders.base import Encoder
    from neuralstyle.images import Picture, Size
    from neuralstyle.losses import Loss, LossSum
    from neuralstyle.objective.tiling import TileSize
    from neuralstyle.optimizers.base import Optimizer
    from neuralstyle.painting.initial import Init
    from neuralstyle.painting.options import Options, StateFile
    from neuralstyle.painting.progress import Callback
    from neuralstyle.schedule import Schedule, Stage
    from neuralstyle.styles import Style


@interruptible
def stylize(
    content: Picture,
    style: Picture | Style | Sequence[Picture | Style],
    *,
    losses: Loss | LossSum | None = None,
    size: Size = 512,
    iterations: int | None = None,
    optimizer: Optimizer | str | None = None,
    init: Init = "content",
    encoder: Encoder | str | None = None,
    tile: TileSize = None,
    seed: int = 0,
    device: str | torch.device | None = None,
    callback: Callback | Sequence[Callback] | None = None,
    progress: bool = True,
    schedule: Schedule | Sequence[Stage] | str = "standard",
    strength: float = 0.5,
    color: Color = "style",
    result: Result | None = None,
    seamless: bool = False,
    state: str | os.PathLike[str] | StateFile | None = None,
) -> Image.Image:
    r"""Paint the content in the style.

    Minimises $\alpha L_\text{content} + \beta L_\text{style}$ over the pixels of the result, from coarse to
    fine. The same as ``paint(plan(content, style, ...))``.

    Args:
        content: the photograph: a path, PIL image, numpy array, or tensor (3, H, W) or (1, 3, H, W) in [0, 1]. If it
            has an alpha, so has the result: its colours are painted, and what is transparent has no weight.
        style: the painting, of the same types; a ``Style``, with a weight, scale, mask or region; or a list of these.
            What is transparent in it does not count.
        losses: the losses to minimise; None: ``DEFAULT_LOSSES``. ``losses.scaled("style", 3)`` triples the style's.
        size: longest side of the result in pixels, at least 16; or ``Width(800)``, ``Pixels(1_000_000)``, or
            "original", the content's own. The aspect is the content's.
        iterations: number of evaluations at the final size. The schedule sets those of earlier stages. None: the
            schedule's own number.
        optimizer: "lbfgs", "adam", ``LBFGS(...)``, ``Adam(...)``, another strategy, or a function (image tensor) ->
            ``torch.optim.Optimizer``. None: each stage's own, see ``schedule``.
        init: the start: "content", "style", "noise", a picture, a function from the content to a picture, or a
            ``Noise``, which may be blended with any of these.
        encoder: an ``Encoder`` such as a ``FeatureExtractor``, or a network's name, for every stage without its own.
            None: VGG-19 (``default_encoder()``), after the compact encoder if the schedule uses it.
        tile: longest side of a tile in pixels. Tiles bound the memory; the result is the same to rounding. None: the
            whole picture at once. "auto": chosen from free memory.
        seed: seed of the noise. On the CPU, the same seed on the same machine gives the same bytes.
        device: for example "cpu" or "cuda:1"; None: the accelerator that torch finds, else the CPU. Encoders that are
            modules on another device are copied there.
        callback: one function or several, called with a ``Progress`` after each evaluation. Returning False, or
            raising StopIteration, stops the work; the result is then chosen from the pictures so far.
        progress: show a progress bar, on the terminal or in a notebook.
        schedule: "preview": a quick look, from coarse to fine through the compact encoder. "draft": the same and more
            of it. "standard": the same, then VGG-19. "fine": the same, and six times as long through VGG-19.
            "single": the final size alone, through VGG-19. ``LBFGS()`` paints previews and above 1024 pixels; the
            other stages of the first four are averages of the steps of ``Adam()``, so that no weave comes up in flat
            places. Or a function (size, iterations) -> list of ``Stage``, or such a list. A named schedule leaves the
            compact encoder out, and says so, if you give an encoder or losses at layers that "compact19" lacks.
        strength: balance s from 0 (nearly the photograph) to 1 (nearly all style): multiplies $\alpha$ by
            $10^{1.25 - 2.5s}$ and $\beta$ by $10^{2.5s - 1.25}$. The default, 0.5, leaves both as they are.
        color: whose colours the result has. "style": the painting's. All others keep the content's. "luminance"
            replaces the chroma of the result with the content's, in OkLab. "match" gives the painting the content's
            mean and covariance of colours before painting, "histogram" the content's histogram of each channel too;
            after painting, they return to the result with the chroma that a dark or grey painting lacks, see
            ``follow_color``. "match-pca" and "match-cholesky": see ``match_color``.
        result: "best": the picture with the lowest loss. "last": the picture after the last step. "average": the
            running average of the pictures after each step, with a decay of 0.99. None: each stage's own, or "best"
            where ``optimizer`` takes the place of the stage's. Each stage starts from the result of the stage before.
        seamless: make a picture that repeats: copies of it, side by side, have no seam. At each layer of the encoder a
            border sees the other end. The content's opposite borders are made alike first, see ``periodic_part``.
        state: a file for the state of the run, or a ``StateFile``, which also says how often to write it. If the file
            exists, the run continues from it, and ends with the same bytes as an uninterrupted run.

    Returns:
        An 8-bit RGB picture; RGBA if the content is transparent somewhere.

    Raises:
        ValueError: bad input, named in the message, before any long work.
        FileNotFoundError: a picture that does not exist.
        FloatingPointError: a loss is not finite; the message names it.
        Exception: any exception after the first evaluation, KeyboardInterrupt too, has the result so far as its
            attribute ``image``.

    Example:
        ```python
        from neuralstyle import samples, stylize

        image = stylize(samples.photo(), samples.painting("swirl"), size=64, iterations=2)
        assert max(image.size) == 64
        ```

    Papers: Gatys, Ecker and Bethge, arXiv 1508.06576. Departures: coarse to fine (arXiv 1611.07865), a start at the
    content, L2 pooling, pixels bounded to [0, 1], the content at relu2_1 beside relu4_2 and as a mean over positions,
    optimal transport between Gaussians (``WassersteinLoss``) at three shallow layers instead of Gram matrices at five,
    a small total variation term, one that keeps empty places empty (``GhostLoss``), and a compact encoder for most
    evaluations. ``gatys()`` gives the paper's settings.
    """
    from neuralstyle.painting.paint import paint
    from neuralstyle.painting.plan import plan

    return paint(
        plan(
            content,
            style,
            losses=losses,
            size=size,
            iterations=iterations,
            optimizer=optimizer,
            init=init,
            encoder=encoder,
            tile=tile,
            seed=seed,
            device=device,
            callback=callback,
            progress=progress,
            schedule=schedule,
            strength=strength,
            color=color,
            result=result,
            seamless=seamless,
            state=state,
        )
    )


@interruptible
def synthesize_texture(
    style: Picture | Style | Sequence[Picture | Style],
    *,
    losses: Loss | LossSum | None = None,
    size: int | tuple[int, int] = 512,
    iterations: int | None = None,
    schedule: Schedule | Sequence[Stage] | str = "standard",
    **options: Unpack[Options],
) -> Image.Image:
    """Paint a texture: the style alone, from noise.

    Args:
        style: the texture's source, as in ``stylize``.
        losses: the losses to minimise; None: ``TEXTURE_LOSSES``. Fewer layers give smaller structures.
        size: size of the result in pixels: the side of a square, or (height, width).
        iterations: number of evaluations at the final size; None: the schedule's own number.
        schedule: as in ``stylize``.
        **options: as in ``stylize``; the default of ``init`` is "noise".

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
    from neuralstyle.painting.paint import paint
    from neuralstyle.painting.plan import plan_texture

    return paint(plan_texture(style, size, losses=losses, iterations=iterations, schedule=schedule, **options))


@interruptible
def reconstruct_content(
    content: Picture,
    layer: str = "relu4_2",
    *,
    losses: Loss | LossSum | None = None,
    size: Size = 512,
    iterations: int | None = None,
    schedule: Schedule | Sequence[Stage] | str = "single",
    **options: Unpack[Options],
) -> Image.Image:
    """Reconstruct a picture from the features of one layer: the content alone, from noise.

    Shallow layers recover nearly every pixel. Deep layers keep the arrangement of objects and lose the details.

    Args:
        content: the picture, as in ``stylize``.
        layer: the layer whose features are matched.
        losses: the losses to minimise; None: ``ContentLoss(layer)``.
        size: size of the result, as in ``stylize``.
        iterations: number of evaluations at the final size; None: the schedule's own number.
        schedule: as in ``stylize``.
        **options: as in ``stylize``; the default of ``init`` is "noise".

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
    from neuralstyle.painting.paint import paint
    from neuralstyle.painting.plan import plan_reconstruction

    return paint(
        plan_reconstruction(content, layer, size, losses=losses, iterations=iterations, schedule=schedule, **options)
    )
