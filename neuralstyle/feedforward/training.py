"""Training a network to paint in a style."""

from __future__ import annotations

import copy
import hashlib
import math
import os
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector

from neuralstyle import distributed, samples
from neuralstyle.checkpoint import describe, fingerprint
from neuralstyle.encoders.base import Encoder
from neuralstyle.feedforward.criterion import Criterion
from neuralstyle.feedforward.data import Batches, Crop, Paths, Pictures, find_pictures, loader, steps_per_epoch
from neuralstyle.feedforward.journal import Checkpoints, Journal, LossTable, Previews
from neuralstyle.feedforward.loop import Loop, TrainingCallback
from neuralstyle.feedforward.models import check_model_output, save_model
from neuralstyle.feedforward.network import TransformerNet, seeded_network
from neuralstyle.images import Picture, load_image, resize_image
from neuralstyle.losses import ContentLoss, GramStyleLoss, Loss, LossSum, TotalVariationLoss
from neuralstyle.losses.base import as_sum
from neuralstyle.machine.devices import find_device
from neuralstyle.recipes import default_encoder
from neuralstyle.styles import Style, as_styles

TRAINING_LOSSES = (
    ContentLoss("relu3_1")
    + 30 * GramStyleLoss(("relu1_1", "relu2_1", "relu3_1", "relu4_1"), normalization="relative")
    + 10 * TotalVariationLoss()
)
"""What ``train`` minimises unless told otherwise: no deeper than relu4_1, for the sake of time."""

PREVIEW_SIZE = 384


def train(
    style: Picture | Style | Sequence[Picture | Style],
    data: Paths,
    *,
    losses: Loss | LossSum | None = None,
    epochs: int = 2,
    steps: int | None = None,
    batch_size: int = 4,
    size: int = 256,
    crop: Crop = "center",
    style_size: int | None = None,
    seed: int = 42,
    content_weight: float = 1.0,
    style_weight: float = 1.0,
    tv_weight: float = 1.0,
    learning_rate: float = 1e-3,
    decay: bool = False,
    width: int = 32,
    blocks: int = 5,
    init: TransformerNet | None = None,
    encoder: Encoder | str | None = None,
    device: str | torch.device | None = None,
    mixed_precision: bool = False,
    workers: int | None = None,
    hold_out: int = 0,
    output: str | os.PathLike[str] | None = None,
    half: bool = False,
    checkpoints: str | os.PathLike[str] | None = None,
    checkpoint_interval: int = 2000,
    resume: bool = True,
    log: str | os.PathLike[str] | None = None,
    log_interval: int = 500,
    preview: Picture | None = None,
    previews: str | os.PathLike[str] | None = None,
    preview_interval: int = 500,
    callback: TrainingCallback | None = None,
    progress: bool = True,
) -> TransformerNet:
    r"""Train a network that paints any picture in a style, in one pass.

    Minimises over the weights $\theta$ of the network $f_\theta$, by Adam,

    $$ \frac{1}{B} \sum_{b=1}^B L\left(f_\theta(x_b);\ \text{content } x_b,\ \text{styles}\right) $$

    over batches of pictures, L being the sum of losses that ``stylize`` minimises over one picture.

    Started by torchrun, every process takes its share of the pictures, gradients are averaged over them, and the first
    process alone writes files.

    Args:
        style: as in ``stylize``; several are blended. It is taken at its own size.
        data: a folder of pictures, flat or nested, or a list of folders and files. A file that cannot be read is
            replaced by the next and named in a warning.
        losses: what is minimised; None: ``TRAINING_LOSSES``.
        epochs: passes over the data.
        steps: batches in all, instead of ``epochs``.
        batch_size: pictures in a batch, of each process.
        size: side in pixels of the squares that are trained on: the shorter side is resized to it and the rest cut off.
        crop: "center", or "random", another place in every pass.
        style_size: longest side of the style in pixels; None: its own.
        seed: of the first weights, the order and the crops.
        content_weight: multiplies every loss that compares with the content.
        style_weight: multiplies every loss that compares with the style.
        tv_weight: multiplies every loss that compares with nothing (total variation).
        learning_rate: of Adam.
        decay: lower the learning rate to zero along half a cosine; False keeps it, as the paper does.
        width: channels of the network's first stage.
        blocks: the network's residual blocks.
        init: a network to start from, which is left as it is; its width and blocks count.
        encoder: a ``FeatureExtractor``, or a network's name; None: ``default_encoder()``.
        device: for example "cpu" or "cuda"; None: the accelerator that torch finds, else the CPU.
        mixed_precision: convolutions in bfloat16 (torch's autocast), losses in full; for GPUs.
        workers: processes that decode pictures; 0: none but this; None: two, or one where there is one core.
        hold_out: leave the last so many pictures, by name, out of the training.
        output: a .safetensors file for the network; None: it is only returned.
        half: store 16-bit floats in ``output``.
        checkpoints: a folder for the network every ``checkpoint_interval`` steps and the state of the run; on the CPU,
            a run that continues from there ends with the same weights, to the bit.
        checkpoint_interval: steps between checkpoints.
        resume: continue the run whose state lies in ``checkpoints``, if there is one; False: begin again.
        log: a CSV file for the losses: step, epoch, seconds, loss and its terms, averaged since the row before.
        log_interval: steps between rows.
        preview: what previews are painted of; None: the package's photograph.
        previews: a folder for a picture every ``preview_interval`` steps.
        preview_interval: steps between previews.
        callback: called with a ``TrainingProgress`` after each step. Returning False stops; the network is the result.
        progress: show a progress bar.

    Returns:
        The network, in evaluation mode.

    Raises:
        ValueError: bad input, or a run in ``checkpoints`` with other settings; before any training.
        FileNotFoundError: a file or folder that does not exist.
        FloatingPointError: a loss is not finite; the message names it.

    Example:
        ```python
        import tempfile
        from neuralstyle import GramStyleLoss, samples, train

        with tempfile.TemporaryDirectory() as folder:
            samples.photo().save(f"{folder}/cat.png")
            network = train(
                samples.painting("mosaic", size=64), folder, losses=GramStyleLoss("relu2_1"),
                steps=2, batch_size=1, size=32, width=4, workers=0, progress=False,
            )
        ```

    Papers: Johnson, Alahi and Fei-Fei, arXiv 1603.08155. Options and their defaults are those of PyTorch's
    fast_neural_style. Departures: the losses (see ``TRAINING_LOSSES``), and a tenth of the learning rate in the last
    convolution, as values are in [0, 1] and not in 0 to 255.
    """
    for name, value in (
        ("epochs", epochs),
        ("steps", 1 if steps is None else steps),
        ("batch_size", batch_size),
        ("checkpoint_interval", checkpoint_interval),
        ("log_interval", log_interval),
        ("preview_interval", preview_interval),
    ):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} is a whole number of at least 1, received {value!r}")
    for name, value in (("workers", 0 if workers is None else workers), ("hold_out", hold_out)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise ValueError(f"{name} is a whole number of at least 0, received {value!r}")
    if not (math.isfinite(learning_rate) and learning_rate > 0):
        raise ValueError(f"learning_rate is a positive number, received {learning_rate!r}")
    if output is not None:
        check_model_output(output)
    files = find_pictures(data)
    if hold_out >= len(files):
        raise ValueError(f"hold_out leaves nothing of {len(files)} pictures, received {hold_out}")
    pictures = Pictures(files[: len(files) - hold_out], size, crop, seed)
    styles = [replace(s, image=load_image(s.image, style_size)) for s in as_styles(style)]
    weighted = as_sum(TRAINING_LOSSES if losses is None else losses)
    weighted = weighted.scaled("content", content_weight).scaled("style", style_weight).scaled(None, tv_weight)

    with distributed.session():
        place = find_device(device)
        count = distributed.world()
        extractor = default_encoder(encoder or "vgg19") if encoder is None or isinstance(encoder, str) else encoder
        if isinstance(extractor, torch.nn.Module):
            extractor.to(place)
        network = seeded_network(width, blocks, seed) if init is None else copy.deepcopy(init)
        epoch_steps = steps_per_epoch(len(pictures), batch_size, count)
        total = steps if steps is not None else epochs * epoch_steps
        settings = {
            "losses": weighted,
            "encoder": describe(extractor),
            "style": [(fingerprint(load_image(s.image)), s.weight) for s in styles],
            "data": f"{len(pictures)} pictures {_digest([path.name for path in pictures.files])}",
            "batch_size": f"{batch_size} x {count}",
            "size": f"{size}, {crop}",
            "seed": seed,
            "learning_rate": f"{learning_rate} to zero in {total} steps" if decay else learning_rate,
            "network": describe(network),
            "init": init is not None and fingerprint(parameters_to_vector(network.parameters())[None]),
            "mixed_precision": mixed_precision,
        }
        kept = Checkpoints(checkpoints, checkpoint_interval, settings, resume=resume)
        loop = Loop(
            network,
            Criterion(extractor, weighted, styles),
            place,
            steps=total,
            learning_rate=learning_rate,
            decay=decay,
            mixed_precision=mixed_precision,
            seed=seed,
        )
        if kept.found is not None:
            loop.restore(kept.found)
        journal = Journal(
            kept,
            LossTable(log if distributed.is_writer() else None, log_interval, weighted.names, loop.step),
            Previews(previews, preview_interval, _shrunk(samples.photo() if preview is None else preview)),
        )
        order = Batches(len(pictures), batch_size, range(loop.step, total), seed, rank=distributed.rank(), count=count)
        batches = loader(pictures, order, workers, pin=place.type == "cuda")
        loop.run(batches, epoch_steps, journal, callback, progress)
        if output is not None and distributed.is_writer():
            save_model(network, output, half=half)
    return network


def _shrunk(picture: Picture) -> Tensor:
    image = load_image(picture)
    return resize_image(image, PREVIEW_SIZE) if max(image.shape) > PREVIEW_SIZE else image


def _digest(names: Sequence[str]) -> str:
    return hashlib.sha256("/".join(names).encode()).hexdigest()[:12]
