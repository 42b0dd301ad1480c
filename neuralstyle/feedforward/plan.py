"""The plan of a training run before its first step: losses, pictures, network, device, number of steps."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from neuralstyle import distributed
from neuralstyle._errors import number, unknown
from neuralstyle._words import TRAINING_PRECISIONS, TrainingPrecision
from neuralstyle.checkpoint import describe, fingerprint
from neuralstyle.encoders.base import Encoder
from neuralstyle.encoders.default import default_encoder
from neuralstyle.feedforward.criterion import Criterion
from neuralstyle.feedforward.data import Batches, Pictures, find_pictures, load_batches, steps_per_epoch
from neuralstyle.feedforward.loop import Loop
from neuralstyle.feedforward.network import TransformerNet
from neuralstyle.feedforward.options import TrainingData
from neuralstyle.images import Picture, load_image
from neuralstyle.losses import ContentLoss, GramStyleLoss, Loss, LossSum, TotalVariationLoss
from neuralstyle.losses.base import as_sum
from neuralstyle.machine.devices import find_device
from neuralstyle.styles import Style, as_styles

TRAINING_LOSSES = (
    ContentLoss("relu3_1")
    + 30 * GramStyleLoss(("relu1_1", "relu2_1", "relu3_1", "relu4_1"), normalization="relative")
    + 10 * TotalVariationLoss()
)
"""Default losses of ``train``. No layer is deeper than relu4_1, to save time."""


@dataclass(frozen=True, eq=False)
class TrainingPlan:
    """A training run with checked options.

    Attributes:
        styles: the paintings, loaded.
        losses: the losses to minimise.
        data: options of the data.
        pictures: the crops for the training.
        network: the network to train, a copy of the caller's.
        encoder: the encoder for the losses, on ``device``.
        device: device of the training.
        lr: learning rate of Adam.
        decay: whether the learning rate falls to zero.
        precision: "bfloat16" or None.

    """

    styles: Sequence[Style]
    losses: LossSum
    data: TrainingData
    pictures: Pictures
    network: TransformerNet
    encoder: Encoder
    device: torch.device
    lr: float
    decay: bool
    precision: TrainingPrecision | None

    @property
    def epoch_steps(self) -> int:
        """Steps in one pass over the pictures."""
        return steps_per_epoch(len(self.pictures), self.data.batch_size, distributed.world())

    @property
    def steps(self) -> int:
        """Steps in all."""
        return self.data.epochs * self.epoch_steps if self.data.steps is None else self.data.steps

    def settings(self) -> dict[str, object]:
        """Return, by name, the settings that a continued run has to share."""
        names = "/".join(path.name for path in self.pictures.files)
        return {
            "losses": self.losses,
            "encoder": describe(self.encoder),
            "style": [(fingerprint(load_image(style.image)), style.weight) for style in self.styles],
            "data": f"{len(self.pictures)} pictures {hashlib.sha256(names.encode()).hexdigest()[:12]}",
            "batch_size": f"{self.data.batch_size} x {distributed.world()}",
            "size": f"{self.data.size}, {self.data.crop}",
            "seed": self.data.seed,
            "lr": f"{self.lr} to zero in {self.steps} steps" if self.decay else self.lr,
            "network": describe(self.network),
            "precision": self.precision,
        }

    def loop(self) -> Loop:
        """Make the loop, before its first step."""
        return Loop(
            self.network,
            Criterion(self.encoder, self.losses, self.styles),
            self.device,
            steps=self.steps,
            lr=self.lr,
            decay=self.decay,
            precision=self.precision,
            seed=self.data.seed,
        )

    def batches(self, start: int) -> Iterator[tuple[Tensor, list[str]]]:
        """Yield this process's batches for the steps after ``start``."""
        keys = Batches(
            len(self.pictures),
            self.data.batch_size,
            range(start, self.steps),
            self.data.seed,
            rank=distributed.rank(),
            processes=distributed.world(),
        )
        return load_batches(self.pictures, keys, self.data.workers, pin=self.device.type == "cuda")


def plan_training(
    style: Picture | Style | Sequence[Picture | Style],
    data: TrainingData,
    *,
    losses: Loss | LossSum | None,
    network: TransformerNet | None,
    encoder: Encoder | str | None,
    device: str | torch.device | None,
    lr: float,
    decay: bool,
    precision: TrainingPrecision | None,
) -> TrainingPlan:
    """Check the options of ``train``, and load the pictures and networks that they name.

    Raises:
        ValueError: a bad option.
        FileNotFoundError: a file or folder does not exist.

    """
    number("lr", lr, above=0)
    if precision is not None and precision not in TRAINING_PRECISIONS:
        raise unknown("precision", precision, TRAINING_PRECISIONS)
    files = find_pictures(data.pictures)
    if data.hold_out >= len(files):
        raise ValueError(f"hold_out leaves nothing of {len(files)} pictures, received {data.hold_out}")
    place = find_device(device)
    if encoder is None or isinstance(encoder, str):
        encoder = default_encoder(encoder or "vgg19")
    if isinstance(encoder, torch.nn.Module):
        encoder.to(place)
    network = TransformerNet(seed=data.seed) if network is None else copy.deepcopy(network)
    return TrainingPlan(
        styles=[replace(style, image=load_image(style.image)) for style in as_styles(style)],
        losses=as_sum(TRAINING_LOSSES if losses is None else losses),
        data=data,
        pictures=Pictures(files[: len(files) - data.hold_out], data.size, data.crop, data.seed),
        network=network,
        encoder=encoder,
        device=place,
        lr=lr,
        decay=decay,
        precision=precision,
    )
