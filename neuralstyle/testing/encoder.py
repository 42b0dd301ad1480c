"""check_encoder: checks that an encoder describes its layers correctly, which exact tiles depend on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from neuralstyle.encoders import Layer
from neuralstyle.encoders.base import WHOLE_PICTURE, Encoder, check_layer, check_names, common_stride, on_encoder
from neuralstyle.encoders.probe import probe_layers
from neuralstyle.machine.surroundings import plain_torch
from neuralstyle.testing.tools import difference, global_random_numbers, noise, one_line

MIN_PICTURE_SIDE = 16  # of the pictures, in pixels


@plain_torch()
def check_encoder(encoder: Encoder, layers: Iterable[str] | None = None, *, tolerance: float = 1e-3) -> None:
    """Check that an encoder keeps the rules, on small random pictures.

    ``layers`` describes each layer correctly: features are (B, channels, H // stride, W // stride), and features of a
    piece of a picture equal those of the whole picture if by ``reach`` they see the piece alone, so that tiles are
    exact. Features are finite, have the picture's dtype, repeat from call to call, do not depend on the other requested
    layers or on the other pictures of a batch, and can be differentiated. The picture is not changed. Layer "image", if
    there is one, is the picture itself.

    Args:
        encoder: an object with ``layers`` and a call, see ``Encoder``.
        layers: names of the layers to check; None: all.
        tolerance: the largest difference that counts as rounding, relative to the layer's largest feature.

    Raises:
        TypeError: ``encoder`` is not an encoder; for a network the message names ``ModuleExtractor``.
        ValueError: a rule is broken; the message gives, in one line, the class and layer, the result, and what to do.

    Example:
        ```python
        from neuralstyle import default_encoder
        from neuralstyle.testing import check_encoder

        check_encoder(default_encoder("compact19"), ["image", "relu1_1", "relu2_1"])
        ```

    """
    name = type(encoder).__name__
    stated = getattr(encoder, "layers", None)
    if not isinstance(stated, Mapping) or not callable(encoder):
        advice = "make one with ModuleExtractor(network)" if isinstance(encoder, nn.Module) else "see Encoder"
        raise TypeError(
            "check_encoder takes an encoder, which has layers by name and a call (image, names) -> features, received "
            f"{name}; {advice}"
        )
    wanted = tuple(stated) if layers is None else check_names(layers, stated, name)
    if not wanted:
        raise ValueError(f"{name}.layers is empty; name at least one layer, such as {{'patch': Layer('patch', ...)}}")
    for layer in wanted:
        if not isinstance(stated[layer], Layer):
            raise ValueError(f"{name}.layers[{layer!r}] is {type(stated[layer]).__name__}; describe it by a Layer")
        check_layer(name, layer, stated[layer])
    looked = _Looked(encoder, name, {layer: stated[layer] for layer in wanted}, tolerance)
    looked.check_features()
    looked.check_each_alone()
    looked.check_gradient()
    looked.check_reach()
    looked.check_pieces()


class _Looked:
    """An encoder, and its layers to check."""

    def __init__(self, encoder: Encoder, name: str, layers: dict[str, Layer], tolerance: float) -> None:
        self.encoder, self.name, self.layers, self.tolerance = encoder, name, layers, tolerance
        self.stride = common_stride(layers.values())

    def picture(self, height: int, width: int, seed: int = 0, batch: int = 1) -> Tensor:
        """Return a random picture on the encoder's device and of its dtype."""
        return on_encoder(self.encoder, noise(batch, 3, height, width, seed=seed, dtype=torch.float32))

    def features(self, image: Tensor, names: Iterable[str] | None = None) -> dict[str, Tensor]:
        """Return the encoder's features, after a check of their shapes."""
        asked = list(self.layers if names is None else names)
        try:
            found = self.encoder(image, asked)
        except Exception as error:  # user code may raise anything
            raise ValueError(
                f"{self.name} fails for a picture {tuple(image.shape)} and the layers {asked}: {one_line(error)}"
            ) from error
        if not isinstance(found, Mapping) or set(found) != set(asked):
            what = sorted(found) if isinstance(found, Mapping) else type(found).__name__
            raise ValueError(
                f"{self.name} gives {what} when asked for the layers {asked}; return a dict with the features of each "
                "of them, by name"
            )
        for key, maps in found.items():
            self._check_form(key, maps, image)
        return dict(found)

    def _check_form(self, key: str, maps: object, image: Tensor) -> None:
        layer, (batch, _, height, width) = self.layers[key], image.shape
        sides = () if layer.is_vector else (height // layer.stride, width // layer.stride)
        expected = batch, layer.channels, *sides
        if not isinstance(maps, Tensor) or tuple(maps.shape) != expected:
            what = str(tuple(maps.shape)) if isinstance(maps, Tensor) else type(maps).__name__
            raise ValueError(
                f"layer {key!r} of {self.name} is {what} for a picture {tuple(image.shape)}, and {expected} by its "
                f"channels ({layer.channels}) and its stride ({layer.stride}); {self._measured(key, 'stride')}"
            )
        if maps.dtype != image.dtype:
            raise ValueError(f"layer {key!r} of {self.name} is {maps.dtype} for a picture of {image.dtype}; keep it")
        if maps.layout != torch.strided or maps.device != image.device:
            raise ValueError(
                f"layer {key!r} of {self.name} is {maps.layout} on {str(maps.device)!r} for a picture on "
                f"{str(image.device)!r}; return a dense tensor there"
            )

    def _measured(self, key: str, what: str) -> str:
        """The geometry of a layer, measured by running the encoder, as advice."""
        try:
            found = probe_layers(_Tapped(self.encoder, key), ["tap"])[0]["tap"]
        except Exception:  # the encoder may fail on the strips of the probe
            return f"state the {what} that it has"
        if what == "reach" and found.reach >= WHOLE_PICTURE:
            return "measured, it depends on the whole picture: state reach=WHOLE_PICTURE"
        return f"measured, its stride is {found.stride} and its reach {found.reach}"

    def check_features(self) -> None:
        """Check shapes, values and repeatability, for sizes that are not multiples of the stride."""
        height, width = (
            max(side, MIN_PICTURE_SIDE) for side in (3 * self.stride + 1, 2 * self.stride + self.stride // 2)
        )
        image = self.picture(height, width, batch=2)
        before = image.clone()
        with torch.no_grad(), global_random_numbers(0) as drawn:
            both = {key: maps.clone() for key, maps in self.features(image).items()}
        with torch.no_grad(), global_random_numbers(1):
            again = self.features(image)
            alone = {key: torch.cat(pair) for key, pair in self._one_by_one(image).items()}
        if not torch.equal(image, before):
            raise ValueError(f"{self.name} changes its input picture; compute with a copy")
        for key, maps in both.items():
            if not torch.isfinite(maps).all():
                raise ValueError(f"layer {key!r} of {self.name} is not finite for a random picture in [0, 1]")
            if drawn or difference(again[key], maps) > self.tolerance:
                raise ValueError(
                    f"layer {key!r} of {self.name} differs from one call to the next, or draws random numbers; use "
                    "eval() and no dropout"
                )
            if difference(alone[key], maps) > self.tolerance:
                raise ValueError(
                    f"layer {key!r} of {self.name} differs between a picture in a batch and the same picture alone; "
                    "use eval(), so that no normalisation uses the whole batch"
                )
        if "image" in both and not torch.equal(both["image"], image):
            raise ValueError(f"layer 'image' of {self.name} is not the input picture; return that unchanged")

    def _one_by_one(self, image: Tensor) -> dict[str, list[Tensor]]:
        singles = [self.features(image[index : index + 1]) for index in range(len(image))]
        return {key: [single[key] for single in singles] for key in self.layers}

    def check_each_alone(self) -> None:
        """Check that a layer's features do not depend on the other requested layers: no later layer overwrites them."""
        image = self.picture(*2 * [max(2 * self.stride, MIN_PICTURE_SIDE)])
        with torch.no_grad():
            together = self.features(image)
            for key in self.layers:
                if difference(self.features(image, [key])[key], together[key]) > self.tolerance:
                    raise ValueError(
                        f"layer {key!r} of {self.name} differs when other layers are requested with it; an operation "
                        "in place may overwrite it: return a copy, or use inplace=False"
                    )

    def check_gradient(self) -> None:
        """Check that features can be differentiated with respect to the picture."""
        image = self.picture(*2 * [max(2 * self.stride, MIN_PICTURE_SIDE)]).requires_grad_()
        features = self.features(image)
        for key, maps in features.items():
            if not maps.requires_grad:
                raise ValueError(
                    f"layer {key!r} of {self.name} has no gradient with respect to the picture; leave no_grad() and "
                    "detach() out of the call"
                )
        total = sum((maps * noise(*maps.shape, seed=2).to(maps)).sum() for maps in features.values())
        (gradient,) = torch.autograd.grad(total, image)  # type: ignore[arg-type]
        if not torch.isfinite(gradient).all():
            raise ValueError(f"the gradient of {self.name}'s features is not finite for a random picture in [0, 1]")

    def check_reach(self) -> None:
        """Check that pixels beyond the reach of a position do not change its features."""
        for reach in sorted({layer.reach for layer in self.layers.values() if not layer.is_global}):
            layers = {key: layer for key, layer in self.layers.items() if layer.reach == reach}
            stride = math.lcm(*(layer.stride for layer in layers.values()))
            beyond = -(-MIN_PICTURE_SIDE // stride) * stride
            start = -(-reach // stride) * stride + beyond
            stop = start + 4 * stride  # cells from start to stop see pixels from start - reach to stop + reach
            first, second = (
                self.picture(max(2 * stride, MIN_PICTURE_SIDE), stop + start, seed=seed) for seed in (3, 4)
            )
            second[..., start - reach : stop + reach] = first[..., start - reach : stop + reach]
            for lying in (True, False):
                pair = [self._strip(strip, layers, lying=lying) for strip in (first, second)]
                for key, layer in layers.items():
                    cells = slice(start // layer.stride, stop // layer.stride)
                    one, other = (maps[key][..., cells] for maps in pair)
                    self._compare(layer, one, other, "pixels further away")

    def check_pieces(self) -> None:
        """Check that features of a piece of a picture equal those of the whole, except those that see beyond it."""
        local = {key: layer for key, layer in self.layers.items() if not layer.is_global}
        if not local:
            return
        stride = math.lcm(*(layer.stride for layer in local.values()))
        furthest = -(-max(layer.reach for layer in local.values()) // stride) * stride
        margin = -(-MIN_PICTURE_SIDE // stride) * stride
        length = 2 * furthest + 4 * stride
        strip = self.picture(max(2 * stride, MIN_PICTURE_SIDE), length + 2 * margin, seed=3)
        for lying in (True, False):
            whole, piece = (
                self._strip(each, local, lying=lying) for each in (strip, strip[..., margin : margin + length])
            )
            for key, layer in local.items():
                start, stop = furthest // layer.stride, (length - furthest) // layer.stride
                inside = whole[key][..., margin // layer.stride :][..., start:stop]
                self._compare(layer, piece[key][..., start:stop], inside, "its place in the picture")

    def _strip(self, strip: Tensor, names: Iterable[str], *, lying: bool) -> dict[str, Tensor]:
        """Return features of a strip, given to the encoder lying or upright, and always returned lying."""
        with torch.no_grad():
            if lying:
                return self.features(strip, names)
            return {key: maps.transpose(2, 3) for key, maps in self.features(strip.transpose(2, 3), names).items()}

    def _compare(self, layer: Layer, one: Tensor, other: Tensor, what: str) -> None:
        if difference(one, other) > self.tolerance:
            raise ValueError(
                f"layer {layer.name!r} of {self.name} states a reach of {layer.reach} pixels, and its features depend "
                f"on {what}, so that tiles would not be exact; {self._measured(layer.name, 'reach')}"
            )


class _Tapped(nn.Module):
    """An encoder as a module, for hooks on its output at one layer."""

    def __init__(self, encoder: Encoder, layer: str) -> None:
        super().__init__()
        self.encoder, self.layer = encoder, layer
        self.tap = nn.Identity()

    def forward(self, image: Tensor) -> Tensor:
        """Return the features of the layer."""
        features: Tensor = self.tap(self.encoder(image, [self.layer])[self.layer])
        return features
