"""The work itself: a picture optimised at one scale after another, watched, and kept whatever happens."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import torch
from PIL import Image
from torch import Tensor

from neuralstyle._errors import unknown
from neuralstyle.color import Color, finish, prepare_style
from neuralstyle.images import MIN_SIDE, Picture, load_image, resize_image, to_pil
from neuralstyle.losses import LossSum
from neuralstyle.losses.base import layer_tuple
from neuralstyle.measurement import Encoder, on_encoder
from neuralstyle.objective import Evaluation, Objective, check_losses
from neuralstyle.optimizers import LBFGS, Optimizer, minimize
from neuralstyle.recipes import default_encoder
from neuralstyle.schedule import Scale
from neuralstyle.styles import Style

INITS = ("content", "noise", "style")


@dataclass(frozen=True, eq=False)
class Progress:
    """Where a run stands after an evaluation; handed to the callback.

    Attributes:
        iteration: evaluations so far, over all scales, from 1.
        total: evaluations in all; an optimiser that converges needs fewer.
        scale: number of the present scale, from 1.
        scales: how many there are.
        size: longest side of the picture at this scale, in pixels.
        loss: the objective at this evaluation.
        terms: each loss's part of it, weighted.
        elapsed: seconds since the start.
        best: the best picture at this scale so far, (1, 3, H, W) in [0, 1].

    """

    iteration: int
    total: int
    scale: int
    scales: int
    size: int
    loss: float
    terms: dict[str, float]
    elapsed: float
    best: Tensor

    def image(self) -> Image.Image:
        """The best picture at this scale so far, as an 8-bit RGB picture; rendered only when called."""
        return to_pil(self.best)


Callback: TypeAlias = Callable[[Progress], bool | None]


def paint(
    losses: LossSum,
    content: Tensor | None,
    styles: Sequence[Style],
    stages: Sequence[tuple[tuple[int, int], Scale]],
    *,
    init: str | Picture,
    optimizer: Optimizer | None = None,
    encoder: Encoder | str | None = None,
    tile: int | None = None,
    seed: int = 0,
    device: str | torch.device | None = None,
    callback: Callback | None = None,
    progress: bool = True,
    color: Color = "style",
) -> Image.Image:
    """Minimise losses over a picture at each stage, ((height, width), scale), in turn.

    Everything that can be checked is checked before the first evaluation. See ``stylize`` for the arguments.
    """
    pictures = [replace(style, image=load_image(style.image)) for style in styles]
    if content is not None:
        pictures = [replace(s, image=prepare_style(load_image(s.image), content, color)) for s in pictures]
    network = _network(encoder, device)
    references = [name for name, given in (("content", content is not None), ("style", styles)) if given]
    check_losses(losses, network, references)
    reference = None if content is None else on_encoder(network, content)
    stages = _feasible(stages, losses, network)
    image = on_encoder(network, _start(init, content, pictures, stages[0][0], seed))

    def render(result: Tensor) -> Image.Image:
        full = resize_image(result, stages[-1][0])
        return to_pil(full if reference is None else finish(full, resize_image(reference, stages[-1][0]), color))

    run = _Run(stages, callback, progress)
    try:
        for shape, scale in stages:
            image = resize_image(image, shape)
            objective = Objective(
                network,
                losses,
                content=None if reference is None else resize_image(reference, shape),
                styles=[_at_scale(style, scale.size) for style in pictures],
                tile=tile,
            )
            run.enter(scale)
            found = minimize(
                LBFGS() if optimizer is None else optimizer,
                image,
                lambda x, objective=objective: run.note(objective.evaluate(x, tile)),  # type: ignore[misc]
                scale.iterations,
                run.watch,
            )
            image = found.image
            if found.stopped:
                break
    except BaseException as error:
        if run.iteration:
            error.image = render(getattr(error, "best", image))  # type: ignore[attr-defined]
        raise
    finally:
        run.close()
    return render(image)


class _Run:
    """Counts evaluations over all stages, and tells the progress bar and the callback."""

    def __init__(
        self, stages: Sequence[tuple[tuple[int, int], Scale]], callback: Callback | None, progress: bool
    ) -> None:
        self.stages = [scale for _, scale in stages]
        self.callback = callback
        self.iteration = 0
        self.stage = 0
        self.started = time.monotonic()
        self.terms: dict[str, float] = {}
        self.progress = progress
        self.bar: Any = None

    def enter(self, scale: Scale) -> None:
        """Begin a stage; what an optimiser that converged has left undone counts as done."""
        if self.bar is None:
            self.bar = self._bar()
        self.bar.update(sum(_work(done) for done in self.stages[: self.stage]) - self.bar.n)
        self.bar.set_description_str(f"{scale.size} px")
        self.stage += 1

    def close(self) -> None:
        """Take the bar down, if it has come up."""
        if self.bar is not None:
            self.bar.close()

    def _bar(self) -> Any:
        from tqdm.auto import tqdm

        # The bar counts pixels, not evaluations: its forecast of the time left then holds across scales.
        return tqdm(
            total=sum(_work(scale) for scale in self.stages),
            disable=not self.progress,
            bar_format="{desc} {percentage:3.0f}% |{bar}| {elapsed} < {remaining}{postfix}",
        )

    def note(self, evaluation: Evaluation) -> tuple[float, Tensor]:
        """Keep the terms of an evaluation for the callback."""
        assert evaluation.gradient is not None
        self.terms = evaluation.terms
        return evaluation.loss, evaluation.gradient

    def watch(self, count: int, loss: float, best: Tensor) -> bool:
        """Report an evaluation; False if the callback wants to stop."""
        self.iteration += 1
        scale = self.stages[self.stage - 1]
        self.bar.set_postfix_str(f"loss {loss:.4g}", refresh=False)
        self.bar.update(_work(scale) // scale.iterations)
        if self.callback is None:
            return True
        progress = Progress(
            iteration=self.iteration,
            total=sum(stage.iterations for stage in self.stages),
            scale=self.stage,
            scales=len(self.stages),
            size=scale.size,
            loss=loss,
            terms=self.terms,
            elapsed=time.monotonic() - self.started,
            best=best,
        )
        try:
            return self.callback(progress) is not False
        except StopIteration:
            return False


def check_size(size: int) -> int:
    """A side of the result in pixels.

    Raises:
        ValueError: not a whole number, or below 16.

    """
    if isinstance(size, bool) or not isinstance(size, int) or size < MIN_SIDE:
        raise ValueError(f"size is a whole number of pixels, at least {MIN_SIDE}, received {size!r}")
    return size


def _work(scale: Scale) -> int:
    return scale.size**2 * scale.iterations


def _network(encoder: Encoder | str | None, device: str | torch.device | None) -> Encoder:
    """The encoder, where it is wanted."""
    network = default_encoder(encoder or "vgg19") if encoder is None or isinstance(encoder, str) else encoder
    if isinstance(network, torch.nn.Module):
        network.to(_device(device))
    return network


def _device(name: str | torch.device | None) -> torch.device:
    if name is None:
        if torch.cuda.is_available():
            return torch.device("cuda")
        if torch.backends.mps.is_available():
            return torch.device("mps")
        return torch.device("xpu" if torch.xpu.is_available() else "cpu")
    try:
        # Only an allocation tells whether a device is there; torch raises AssertionError where it was built without.
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device {str(name)!r} is not available here ({reason}); try 'cpu' or leave it out") from error


def _feasible(
    stages: Sequence[tuple[tuple[int, int], Scale]], losses: LossSum, network: Encoder
) -> Sequence[tuple[tuple[int, int], Scale]]:
    """The stages at which the deepest layer has at least one position; the last always stays."""
    stride = max(network.layers[layer].stride for term in losses for layer in layer_tuple(term.loss.layers))
    return [stage for stage in stages[:-1] if min(stage[0]) >= stride] + [stages[-1]]


def _start(
    init: str | Picture, content: Tensor | None, styles: Sequence[Style], shape: tuple[int, int], seed: int
) -> Tensor:
    """The picture that the work starts from, (1, 3, height, width)."""
    if isinstance(init, str) and init == "noise":
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise ValueError(f"seed is a whole number, received {seed!r}")
        # Drawn on the CPU, so that a seed means the same on every device.
        return torch.rand(1, 3, *shape, generator=torch.Generator().manual_seed(seed))
    if isinstance(init, str) and init == "content" and content is not None:
        return resize_image(content, shape)
    if isinstance(init, str) and init == "style" and styles:
        return resize_image(load_image(styles[0].image), shape)
    if isinstance(init, str) and not Path(init).exists():
        known = [name for name in INITS if name == "noise" or (styles if name == "style" else content is not None)]
        raise unknown("init (nor is it a file)", init, known)
    return resize_image(load_image(init), shape)


def _at_scale(style: Style, size: int) -> Style:
    """The style with its picture resized to ``scale`` times the result, never beyond its own pixels."""
    image = load_image(style.image)
    height, width = image.shape[2:]
    # The short side keeps the 16 pixels that VGG-19's deepest style layer needs.
    wanted = max(style.scale * size, MIN_SIDE * max(height, width) / min(height, width))
    return replace(style, image=resize_image(image, min(math.ceil(wanted), max(height, width))))
