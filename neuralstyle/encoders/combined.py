"""CombinedEncoder: several encoders as one, so that losses at layers of all of them stand in one objective."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from torch import Tensor, nn

from neuralstyle.encoders.base import Encoder, Layer, check_is_encoder, check_names, encoder_name, on_encoder
from neuralstyle.encoders.precision import InPrecision
from neuralstyle.encoders.walking import walk_features

SEPARATOR = "/"
"""Between an encoder's name and its layer's."""


class CombinedEncoder(nn.Module):
    """Several encoders as one; their layers are called "NAME/LAYER", such as "vgg/relu4_2" and "clip/head".

    Layer "image" is the picture itself, once for all of them. Only the encoders whose layers are asked for run. Each is
    shown the picture in its own dtype and on its own device, and its features come back in the picture's.

    An objective continues the picture to whole cells of all layers in use, of all encoders: one of 16 pixels makes the
    border of another with cells of 8 pixels wider. Pictures whose sides are multiples of both are compared as by each
    encoder alone.

    Args:
        encoders: the encoders by name. For a precision, put ``InPrecision`` around the whole.

    Raises:
        TypeError: something that is not an encoder.
        ValueError: no encoders, a name that holds "/" or ".", or an encoder with a precision of its own.

    Example:
        ```python
        import torch
        from torch import nn
        from neuralstyle import ContentLoss, FeatureExtractor, ModuleExtractor
        from neuralstyle.encoders import CombinedEncoder
        from neuralstyle.losses import NearestNeighborLoss

        network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
        encoder = CombinedEncoder(vgg=FeatureExtractor(layers=["relu2_1"]), own=ModuleExtractor(network))
        features = encoder(torch.rand(1, 3, 32, 32), ["vgg/relu2_1", "own/3"])
        assert features["own/3"].shape == (1, 5)
        losses = ContentLoss("vgg/relu2_1") + NearestNeighborLoss("own/3")
        ```

    """

    def __init__(self, **encoders: Encoder) -> None:
        super().__init__()
        if not encoders:
            raise ValueError("CombinedEncoder combines encoders by name, received none; give vgg=FeatureExtractor()")
        self._layers = {"image": Layer("image", "image", 3, 1, 0)}
        for name, encoder in encoders.items():
            if SEPARATOR in name or "." in name:
                raise ValueError(f"an encoder's name holds no '/' and no '.', received {name!r}")
            if not name:
                raise ValueError("an encoder has a name, received ''; give vgg=FeatureExtractor()")
            check_is_encoder(encoder)
            if isinstance(encoder, InPrecision):
                raise ValueError(
                    f"encoder {name!r} has a precision of its own, and one is set for all; give "
                    "InPrecision(CombinedEncoder(...))"
                )
            for layer in encoder.layers.values():
                if layer.name != "image":
                    full = f"{name}{SEPARATOR}{layer.name}"
                    self._layers[full] = Layer(full, layer.kind, layer.channels, layer.stride, layer.reach)
        self._encoders = dict(encoders)
        # A list, as a dict of modules refuses names that its class has, such as "type".
        self._modules_inside = nn.ModuleList(e for e in encoders.values() if isinstance(e, nn.Module))

    @property
    def encoders(self) -> Mapping[str, Encoder]:
        """The encoders by name."""
        return self._encoders

    @property
    def layers(self) -> Mapping[str, Layer]:
        """Every layer of every encoder, as "NAME/LAYER", and "image"."""
        return self._layers

    @property
    def left_out(self) -> Mapping[str, str]:
        """Why parts of the networks are no layers, by their names."""
        return {
            f"{name}{SEPARATOR}{part}": reason
            for name, encoder in self._encoders.items()
            for part, reason in getattr(encoder, "left_out", {}).items()
        }

    @property
    def name(self) -> str:
        """The encoders' names for messages."""
        return " + ".join(map(encoder_name, self._encoders.values()))

    @property
    def pins_colors(self) -> bool:
        """Whether a style loss on the features alone keeps the colours of the style, whichever encoder it looks at."""
        return all(getattr(encoder, "pins_colors", True) for encoder in self._encoders.values())

    def forward(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Return features of a picture by name, see ``Encoder``."""
        features: dict[str, Tensor] = {}

        def keep(name: str, maps: Tensor) -> Tensor:
            features[name] = maps
            return maps

        wanted = check_names(layers, self._layers, self.name, self.left_out)
        self.walk(image, wanted, keep)
        return {name: features[name] for name in wanted}

    def walk(self, image: Tensor, layers: Iterable[str], visit: Callable[[str, Tensor], Tensor]) -> None:
        """Pass each layer's features to ``visit``, one encoder after the other, as each computes them."""
        wanted = check_names(layers, self._layers, self.name, self.left_out)
        if "image" in wanted:
            visit("image", image)
        for name, encoder in self._encoders.items():
            prefix = f"{name}{SEPARATOR}"
            inside = [layer.removeprefix(prefix) for layer in wanted if layer.startswith(prefix)]
            if inside:
                walk_features(encoder, on_encoder(encoder, image), inside, _under(prefix, image, visit))

    def extra_repr(self) -> str:
        """The names of the encoders that are no modules, for ``repr``."""
        return ", ".join(f"{n}={encoder_name(e)}" for n, e in self._encoders.items() if not isinstance(e, nn.Module))


def _under(prefix: str, image: Tensor, visit: Callable[[str, Tensor], Tensor]) -> Callable[[str, Tensor], Tensor]:
    """A visitor of one encoder's layers that calls another with their full names, in the picture's dtype."""

    def visit_inside(layer: str, maps: Tensor) -> Tensor:
        return visit(f"{prefix}{layer}", maps.to(image)).to(maps)

    return visit_inside
