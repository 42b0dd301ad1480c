"""The work itself: a picture optimised at one scale after another, watched, and kept whatever happens."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TypedDict

import torch
from PIL import Image
from torch import Tensor

from neuralstyle._errors import unknown
from neuralstyle.checkpoint import describe, fingerprint
from neuralstyle.color.control import Color, finish, prepare_style
from neuralstyle.encoders.base import Encoder, on_encoder
from neuralstyle.encoders.precision import InPrecision, Precision, check_precision
from neuralstyle.encoders.vgg import COMPACT
from neuralstyle.images import MIN_SIDE, load_image, resize_image, to_pil
from neuralstyle.losses import LossSum
from neuralstyle.losses.base import weights_in_use
from neuralstyle.machine.devices import find_device
from neuralstyle.objective.features import layers_of
from neuralstyle.objective.objective import Objective, check_losses
from neuralstyle.objective.tiling import TileSize
from neuralstyle.optimizers.base import Optimizer
from neuralstyle.optimizers.lbfgs import LBFGS
from neuralstyle.optimizers.minimize import KEEPS, Keep, minimize
from neuralstyle.painting.initial import Init, Noise, initial_picture
from neuralstyle.painting.progress import Callback, Run
from neuralstyle.painting.resume import StateFile, describe_style
from neuralstyle.recipes import default_encoder, with_pixels
from neuralstyle.schedule import Scale
from neuralstyle.styles import Style, at_scale


class Options(TypedDict, total=False):
    """What ``stylize``, ``synthesize_texture`` and ``reconstruct_content`` share; see ``stylize``."""

    optimizer: Optimizer | None
    init: Init
    noise: Noise
    noise_blend: float
    encoder: Encoder | str | None
    tile: TileSize
    seed: int
    device: str | torch.device | None
    callback: Callback | Sequence[Callback] | None
    progress: bool
    result: Keep
    state: str | os.PathLike[str] | None
    state_interval: float
    precision: Precision | None
    compile: bool


def paint(
    losses: LossSum,
    content: Tensor | None,
    styles: Sequence[Style],
    stages: Sequence[tuple[tuple[int, int], Scale]],
    *,
    init: Init,
    noise: Noise = "uniform",
    noise_blend: float = 0.0,
    optimizer: Optimizer | None = None,
    encoder: Encoder | str | None = None,
    tile: TileSize = None,
    seed: int = 0,
    device: str | torch.device | None = None,
    callback: Callback | Sequence[Callback] | None = None,
    progress: bool = True,
    result: Keep = "best",
    state: str | os.PathLike[str] | None = None,
    state_interval: float = 60.0,
    precision: Precision | None = None,
    compile: bool = False,
    color: Color = "style",
) -> Image.Image:
    """Minimise losses over a picture at each stage, ((height, width), scale), in turn.

    Everything that can be checked is checked before the first evaluation. See ``stylize`` for the arguments.
    """
    if result not in KEEPS:
        raise unknown("result", result, KEEPS)
    pictures = [replace(style, image=load_image(style.image)) for style in styles]
    if content is not None:
        pictures = [replace(s, image=prepare_style(load_image(s.image), content, color)) for s in pictures]
    references = [name for name, given in (("content", content is not None), ("style", styles)) if given]
    otherwise = "vgg19" if encoder is None else encoder
    networks = _networks([otherwise if s.encoder is None else s.encoder for _, s in stages], device)
    for network in {id(network): network for network in networks}.values():
        check_losses(losses, network, references)
        InPrecision(network, precision, compile)  # for what it raises
        check_precision(precision, network)
    plan = _feasible([(*stage, network) for stage, network in zip(stages, networks, strict=True)], losses)
    full, _, finest = plan[-1]
    reference = None if content is None else on_encoder(finest, content)
    strategy = LBFGS() if optimizer is None else optimizer
    start = initial_picture(init, plan[0][0], content, pictures, noise=noise, noise_blend=noise_blend, seed=seed)
    image = on_encoder(plan[0][2], start)

    def settings() -> dict[str, object]:
        encoders = [describe(network) for _, _, network in plan]
        return {
            "device": image.device,
            "precision": f"{precision} of {image.dtype}" if precision else image.dtype,
            "losses": losses,
            "sizes and iterations": [(*shape, scale.iterations) for shape, scale, _ in plan],
            "optimizer": describe(strategy),
            "encoder": encoders[0] if len(set(encoders)) == 1 else encoders,
            "tile": tile,
            "result": result,
            "start": fingerprint(start),
            "content": fingerprint(content),
            "style": [describe_style(style) for style in pictures],
        }

    file = StateFile(state, state_interval, settings, image.device)

    def render(found: Tensor, levels: int | None) -> Tensor:
        if reference is None:
            return found
        return finish(found, resize_image(reference, _size(found)), color, levels=levels)

    def render_full(found: Tensor) -> Image.Image:
        return to_pil(render(resize_image(found, full), 256))

    callbacks = [] if callback is None else [callback] if callable(callback) else list(callback)
    sums = [with_pixels(losses, color) if scale.encoder == COMPACT else losses for _, scale, _ in plan]
    passing = dict.fromkeys(name for each in sums for name in each.names[len(losses) :])
    run = Run([scale for _, scale, _ in plan], callbacks, progress, render, tuple(passing))
    saved = file.found
    if saved is not None:
        run.resume(saved["iteration"], saved["elapsed"])
        image = saved["minimum"]["kept"]  # what there is to show if the work ends before it has begun again
    try:
        for stage, (shape, scale, network) in enumerate(plan):
            if saved is not None and stage < saved["stage"]:
                continue
            resume = None if saved is None else saved["minimum"]
            saved = None
            image = on_encoder(network, resize_image(image, shape))
            objective = Objective(
                network if precision is None and not compile else InPrecision(network, precision, compile),
                sums[stage],
                content=None if reference is None else on_encoder(network, resize_image(reference, shape)),
                styles=[at_scale(style, scale.size) for style in pictures],
                tile=tile,
            )
            run.enter(stage, 0 if resume is None else resume["count"])
            found = minimize(
                strategy,
                image,
                lambda x, objective=objective: run.note(objective.evaluate(x, tile, on_tile=run.tiles)),  # type: ignore[misc]
                scale.iterations,
                run.watch,
                keep=result,
                resume=resume,
                pause=lambda minimum, stage=stage: file.offer(  # type: ignore[misc]
                    {"stage": stage, "iteration": run.iteration, "elapsed": run.elapsed, "minimum": minimum}
                ),
            )
            image = found.image
            if found.stopped:
                break
    except BaseException as error:
        if run.iteration:
            error.image = render_full(getattr(error, "kept", image))  # type: ignore[attr-defined]
        raise
    finally:
        run.close()
    return render_full(image)


def _networks(encoders: Sequence[Encoder | str], device: str | torch.device | None) -> list[Encoder]:
    """Each encoder, where it is wanted; a name gives one network, however often it is there."""
    named = {name: default_encoder(name) for name in dict.fromkeys(e for e in encoders if isinstance(e, str))}
    networks = [named[encoder] if isinstance(encoder, str) else encoder for encoder in encoders]
    for network in networks:
        if isinstance(network, torch.nn.Module):
            network.to(find_device(device))
    return networks


def _feasible(
    stages: Sequence[tuple[tuple[int, int], Scale, Encoder]], losses: LossSum
) -> list[tuple[tuple[int, int], Scale, Encoder]]:
    """The stages at which the deepest layer has at least one position; the last always stays."""
    layers = {layer for term in losses for layer in weights_in_use(term.loss)}

    def fits(shape: tuple[int, int], network: Encoder) -> bool:
        return min(shape) >= max(MIN_SIDE, *(layers_of(network)[layer].stride for layer in layers))

    return [stage for stage in stages[:-1] if fits(stage[0], stage[2])] + [stages[-1]]


def _size(image: Tensor) -> tuple[int, int]:
    return image.shape[2], image.shape[3]
