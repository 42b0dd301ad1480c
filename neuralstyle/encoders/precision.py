"""An encoder whose convolutions compute in a precision; features keep the picture's dtype."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn

from neuralstyle._errors import unknown
from neuralstyle._words import PRECISIONS, Precision
from neuralstyle.encoders.base import Encoder, Layer, Walker, check_is_encoder, encoder_name, on_encoder
from neuralstyle.encoders.extractor import FeatureExtractor
from neuralstyle.encoders.walking import pads_circularly, visit_all, walks

MAX_COMPILED_SIZES = 64
"""Number of sizes of pictures and tiles for which the network is compiled; it runs uncompiled for further sizes."""

_cuda: Any = torch.backends.cuda
_cudnn: Any = torch.backends.cudnn  # types differ between versions of torch


class InPrecision(nn.Module):
    """An encoder in a precision, compiled or not; it is an encoder too.

    Only convolutions use the precision: features, statistics and gradients keep the picture's dtype. ``to`` moves the
    encoder inside.

    Args:
        encoder: the encoder, in float32, such as a ``FeatureExtractor``.
        precision: "float32"; "tf32", on CUDA alone: float32 with factors rounded to 11 bits; "bfloat16": 8 bits, by
            torch's autocast, which also halves the memory of features. None: torch's settings, which on CUDA mean
            TF32. torch's settings are restored after each evaluation.
        compile: compile the network and its gradient with ``torch.compile``. This takes about a minute at the first
            evaluation of each size of picture or tile. For GPUs: on the CPU a compiled network does not use this
            package's own convolutions.

    Raises:
        ValueError: an unknown precision, or ``compile`` with another encoder than a ``FeatureExtractor``. In use: a
            network that is not in float32, or "tf32" on another device than CUDA.

    Example:
        ```python
        import torch
        from neuralstyle import FeatureExtractor
        from neuralstyle.encoders.precision import InPrecision

        encoder = InPrecision(FeatureExtractor(layers=["relu1_1"]), "bfloat16")
        features = encoder(torch.rand(1, 3, 32, 32), ["relu1_1"])
        assert features["relu1_1"].dtype == torch.float32
        ```

    """

    def __init__(self, encoder: Encoder, precision: Precision | None = None, compile: bool = False) -> None:
        super().__init__()
        if precision is not None and precision not in PRECISIONS:
            raise unknown("precision", precision, PRECISIONS)
        check_is_encoder(encoder)
        if compile and not isinstance(encoder, FeatureExtractor):
            raise ValueError(f"compile=True is for a FeatureExtractor, received {type(encoder).__name__}; leave it out")
        self.encoder = encoder
        self.precision = precision
        self.compiled = compile

    @property
    def layers(self) -> Mapping[str, Layer]:
        """The encoder's layers."""
        return self.encoder.layers

    @property
    def name(self) -> str:
        """The encoder's name for messages."""
        return encoder_name(self.encoder)

    @property
    def pins_colors(self) -> bool:
        """Whether a style loss on the encoder's features alone keeps the colours of the style."""
        return bool(getattr(self.encoder, "pins_colors", True))

    @property
    def left_out(self) -> Mapping[str, str]:
        """Why parts of the network are no layers, by their names."""
        found: Mapping[str, str] = getattr(self.encoder, "left_out", {})
        return found

    def forward(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Return the encoder's features, in the picture's dtype."""
        with self.arithmetic():
            return self._features(image, tuple(layers))

    @property
    def pads_circularly(self) -> bool:
        """Whether ``walk`` can take a picture that repeats."""
        return not self.compiled and pads_circularly(self.encoder)

    def walk(
        self,
        image: Tensor,
        layers: Iterable[str],
        visit: Callable[[str, Tensor], Tensor],
        *,
        circular: bool = False,
    ) -> None:
        """Pass each layer's features to ``visit``: as they are computed, if the encoder can and is not compiled.

        ``circular`` is that of the encoder's own ``walk``, for one that ``pads_circularly``.
        """
        wanted = tuple(layers)
        options: dict[str, Any] = {"circular": True} if circular else {}
        with self.arithmetic():
            if self._uses_program(image) or not walks(self.encoder):
                visit_all(self.encoder, self._features(image, wanted), wanted, visit)
            elif self.precision == "bfloat16":
                _walk_in_bfloat16(self.encoder, image, wanted, visit, options)
            else:
                self.encoder.walk(image, wanted, visit, **options)

    @contextmanager
    def arithmetic(self) -> Iterator[None]:
        """Set torch to this precision. The backward pass needs it too, so stay inside until that is done.

        Raises:
            ValueError: the network, or its device, does not support this precision.

        """
        check_precision(self.precision, self.encoder)
        with arithmetic(self.precision):
            yield

    def without_compiling(self) -> InPrecision:
        """Return the same encoder in the same precision, not compiled."""
        return InPrecision(self.encoder, self.precision)

    def extra_repr(self) -> str:
        """The encoder and the options, for ``repr``."""
        inside = repr(self.encoder)
        if isinstance(self.encoder, nn.Module):
            inside = f"{type(self.encoder).__name__}({self.encoder.extra_repr()})"
        return f"{inside}, precision={self.precision!r}, compile={self.compiled}"

    def _uses_program(self, image: Tensor) -> bool:
        """Whether the compiled network is used: for pictures whose gradient is needed."""
        return self.compiled and image.requires_grad

    def _features(self, image: Tensor, layers: tuple[str, ...]) -> dict[str, Tensor]:
        if not self._uses_program(image):
            return _features(self.encoder, self.precision, image, layers)
        with torch._dynamo.config.patch(cache_size_limit=MAX_COMPILED_SIZES):
            return _compiled()(self.encoder, self.precision, image, layers)


def check_precision(precision: Precision | None, encoder: Encoder) -> None:
    """Check that an encoder, on its present device, can compute in a precision.

    Raises:
        ValueError: a network that is not in float32, or "tf32" on another device than CUDA.

    """
    if precision is None:
        return
    like = on_encoder(encoder, torch.empty(0, dtype=torch.float32))
    if like.dtype != torch.float32:
        raise ValueError(
            f"precision={precision!r} is for a network in float32, and this one is {like.dtype}; leave it out"
        )
    if precision == "tf32" and like.device.type != "cuda":
        raise ValueError(
            f"precision='tf32' is an arithmetic of CUDA devices, and the network is on {str(like.device)!r}; use "
            "'float32', 'bfloat16', or device='cuda'"
        )


@contextmanager
def arithmetic(precision: Precision | None) -> Iterator[None]:
    """Make CUDA's matrix products of float32 exact, and with "float32" its convolutions too; None changes nothing."""
    if precision is None:
        yield
        return
    set_products, products, exact = _products()
    set_convolutions, convolutions, choices = _convolutions()
    try:
        set_products(exact)
        set_convolutions(choices[precision != "float32"])
        yield
    finally:
        set_products(products)
        set_convolutions(convolutions)


def _products() -> tuple[Callable[[Any], object], Any, Any]:
    """The setter for CUDA's matrix products of float32, the present setting, and the setting for exact products."""
    try:
        return torch.set_float32_matmul_precision, torch.get_float32_matmul_precision(), "highest"
    except RuntimeError:  # the process uses torch's newer settings, which the older functions cannot read
        return partial(setattr, _cuda.matmul, "fp32_precision"), _cuda.matmul.fp32_precision, "ieee"


def _convolutions() -> tuple[Callable[[Any], object], Any, tuple[Any, Any]]:
    """The same for convolutions, with the settings for exact ones and for TF32."""
    try:
        return partial(setattr, _cudnn, "allow_tf32"), _cudnn.allow_tf32, (False, True)
    except RuntimeError:
        return partial(setattr, _cudnn.conv, "fp32_precision"), _cudnn.conv.fp32_precision, ("ieee", "tf32")


def _features(
    encoder: Encoder, precision: Precision | None, image: Tensor, layers: tuple[str, ...]
) -> dict[str, Tensor]:
    if precision != "bfloat16":
        return encoder(image, layers)
    with torch.autocast(image.device.type, torch.bfloat16):
        features = encoder(image, layers)
    return {name: maps.to(image.dtype) for name, maps in features.items()}


def _walk_in_bfloat16(
    encoder: Walker,
    image: Tensor,
    layers: tuple[str, ...],
    visit: Callable[[str, Tensor], Tensor],
    options: Mapping[str, Any],
) -> None:
    """Walk with features in bfloat16; ``visit`` converts the part that it reads."""

    def visit_in_full(name: str, maps: Tensor) -> Tensor:
        with torch.autocast(image.device.type, enabled=False):
            return visit(name, maps)

    with torch.autocast(image.device.type, torch.bfloat16):
        encoder.walk(image, layers, visit_in_full, **options)


@cache
def _compiled() -> Callable[..., dict[str, Tensor]]:
    # No CUDA graphs: they keep the memory of every size, and overwrite the results of earlier calls.
    return torch.compile(_features, dynamic=False)
