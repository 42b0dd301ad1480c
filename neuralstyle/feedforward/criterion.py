"""What a network is trained to lower: any of the losses, on a batch of pictures at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from neuralstyle.encoders.base import Encoder, on_encoder
from neuralstyle.images import load_image
from neuralstyle.losses import Loss, LossSum, StatisticLoss
from neuralstyle.losses.base import as_sum, weights_in_use
from neuralstyle.objective.parts import check_losses
from neuralstyle.styles import Style


@dataclass(frozen=True, eq=False)
class _Part:
    """One loss at one layer, at all of its layers if joint, with the targets that the styles give."""

    name: str
    loss: Loss
    weight: float
    layers: tuple[str, ...]
    targets: tuple[tuple[float, Any], ...]  # empty: of the content, picture by picture

    def prepare(self, features: dict[str, Tensor]) -> Any:
        """Of one picture's features, what the loss compares."""
        if self.loss.joint:
            return {layer: features[layer] for layer in self.layers}
        return _compared(self.loss, features[self.layers[0]])

    def value(self, x: Any, content: Any) -> Tensor:
        """The weighted loss of one picture."""
        targets = self.targets or ((1.0, content),)
        compare = self.loss.distance if isinstance(self.loss, StatisticLoss) else self.loss.forward
        return self.weight * torch.stack([share * compare(x, target) for share, target in targets]).sum()


class Criterion:
    """The objective averaged over a batch: each picture against its own content and the styles.

    The pictures go through the encoder together and are then compared one by one, so that any loss means for each
    what it means for one picture alone. What the styles give is computed once, here.

    Args:
        encoder: a ``FeatureExtractor``, or anything like it.
        losses: a loss or a sum of losses.
        styles: styles; several are blended by their weights.

    Raises:
        ValueError: losses that do not fit (see ``Objective``), or a style with a mask or region.

    """

    def __init__(self, encoder: Encoder, losses: Loss | LossSum, styles: Sequence[Style]) -> None:
        losses = as_sum(losses)
        check_losses(losses, encoder, ["content"] + ["style"] * bool(styles))
        for style in styles:
            if style.region is not None or style.mask is not None:
                raise ValueError(
                    "a style has a mask or a region, and a network is trained on all of a painting for all of any "
                    "picture; give neither, and cut the painting instead"
                )
        total = sum(style.weight for style in styles)
        if styles and not total:
            raise ValueError("the weights of the styles are all 0; give one of them a positive weight")
        self.encoder = encoder
        self.names = losses.names
        self._parts: list[_Part] = []
        for name, term in zip(losses.names, losses, strict=True):
            weights = weights_in_use(term.loss)
            targets = [
                (style.weight / total, self._target(term.loss, style))
                for style in (styles if term.loss.reference == "style" else ())
                if style.weight
            ]
            if term.loss.joint:
                self._parts.append(_Part(name, term.loss, term.weight, tuple(weights), tuple(targets)))
                continue
            for layer, weight in weights.items():
                own = tuple((share, maps[layer]) for share, maps in targets)
                self._parts.append(_Part(name, term.loss, term.weight * weight, (layer,), own))

    def __call__(self, pictures: Tensor, contents: Tensor) -> dict[str, Tensor]:
        """The terms, weighted and averaged over the batch; their sum is the objective.

        Args:
            pictures: (B, 3, H, W); gradients flow to them.
            contents: (B, 3, H, W) in [0, 1].

        """
        layers = dict.fromkeys(layer for part in self._parts for layer in part.layers)
        compared = dict.fromkeys(
            layer for part in self._parts if part.loss.reference == "content" for layer in part.layers
        )
        features = _single(self.encoder(pictures, layers))
        targets: dict[str, Tensor] = {}
        if compared:
            with torch.no_grad():
                targets = _single(self.encoder(contents, compared))
        terms: dict[str, list[Tensor]] = {}
        # Full precision: squares of features leave the range of 16 bits.
        with torch.autocast(pictures.device.type, enabled=False):
            for index in range(len(pictures)):
                one = {layer: maps[index : index + 1] for layer, maps in features.items()}
                its = {layer: maps[index : index + 1] for layer, maps in targets.items()}
                for part in self._parts:
                    content = part.prepare(its) if part.loss.reference == "content" else None
                    terms.setdefault(part.name, []).append(part.value(part.prepare(one), content))
        return {name: torch.stack(values).sum() / len(pictures) for name, values in terms.items()}

    def _target(self, loss: Loss, style: Style) -> dict[str, Tensor]:
        """A style's mean statistics, or whole maps, by layer."""
        image = on_encoder(self.encoder, load_image(style.image))
        with torch.no_grad():
            features = self.encoder(image, weights_in_use(loss))
            return {layer: _compared(loss, maps) for layer, maps in features.items()}


def _compared(loss: Loss, features: Tensor) -> Tensor:
    """What is compared of a layer: the mean statistic; for losses of other kinds the features themselves."""
    return loss.mean_statistic(features) if isinstance(loss, StatisticLoss) else features


def _single(features: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        layer: maps.float() if maps.dtype in (torch.float16, torch.bfloat16) else maps
        for layer, maps in features.items()
    }
