"""An encoder in a precision: of its convolutions alone, whose features come in the picture's dtype."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn

from neuralstyle._errors import unknown
from neuralstyle._words import PRECISIONS, Precision
from neuralstyle.encoders.base import Encoder, Layer, Walker, encoder_name, on_encoder
from neuralstyle.encoders.extractor import FeatureExtractor
from neuralstyle.encoders.walking import visit_all, walks

MAX_COMPILED_SIZES = 64
"""For how many sizes of pictures and tiles the network is compiled; further sizes are computed without."""

_cuda: Any = torch.backends.cuda
_cudnn: Any = torch.backends.cudnn  # types differ between versions of torch


class InPrecision(nn.Module):
    """An encoder in a precision, compiled or not; an encoder itself.

    Only convolutions use the precision: features have the picture's dtype, and so have statistics and gradients.
    Moving it (``to``) moves the encoder inside.

    Args:
        encoder: in float32; a ``FeatureExtractor``, or anything like it.
        precision: "float32"; "tf32", on CUDA alone: float32 with factors rounded to 11 bits; "bfloat16": 8 bits, by
            torch's autocast, which also halves the memory of features. None: as torch is set, which on CUDA means
            TF32. torch's settings are put back after each evaluation.
        compile: compile the network and its gradient with ``torch.compile``. This takes a minute or so at the first
            evaluation of each size of picture or tile. For GPUs: on the CPU a compiled network does not use this
            package's own convolutions.

    Raises:
        ValueError: an unknown precision; ``compile`` with another encoder than a ``FeatureExtractor``. When it is
            used: a network that is not in float32, or "tf32" on another device than CUDA.

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
        """What messages call the encoder."""
        return encoder_name(self.encoder)

    @property
    def pins_colors(self) -> bool:
        """Whether the encoder's features determine colours."""
        return bool(getattr(self.encoder, "pins_colors", True))

    def forward(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """The encoder's features, in the picture's dtype."""
        with self.arithmetic():
            return self._features(image, tuple(layers))

    def walk(self, image: Tensor, layers: Iterable[str], visit: Callable[[str, Tensor], Tensor]) -> None:
        """Show each layer's features: as soon as they are computed, where the encoder can and is not compiled."""
        wanted = tuple(layers)
        with self.arithmetic():
            if self._uses_program(image) or not walks(self.encoder):
                visit_all(self.encoder, self._features(image, wanted), wanted, visit)
            elif self.precision == "bfloat16":
                _walk_in_bfloat16(self.encoder, image, wanted, visit)
            else:
                self.encoder.walk(image, wanted, visit)

    @contextmanager
    def arithmetic(self) -> Iterator[None]:
        """Set torch to this precision. The backward pass reads them too, so keep them until it is done.

        Raises:
            ValueError: the network, or its device, does not have this precision.

        """
        check_precision(self.precision, self.encoder)
        with arithmetic(self.precision):
            yield

    def without_compiling(self) -> InPrecision:
        """The same encoder in the same precision, not compiled."""
        return InPrecision(self.encoder, self.precision)

    def extra_repr(self) -> str:
        """The encoder and the options, for ``repr``."""
        inside = repr(self.encoder)
        if isinstance(self.encoder, nn.Module):
            inside = f"{type(self.encoder).__name__}({self.encoder.extra_repr()})"
        return f"{inside}, precision={self.precision!r}, compile={self.compiled}"

    def _uses_program(self, image: Tensor) -> bool:
        """A program is compiled for pictures whose gradient is wanted."""
        return self.compiled and image.requires_grad

    def _features(self, image: Tensor, layers: tuple[str, ...]) -> dict[str, Tensor]:
        if not self._uses_program(image):
            return _features(self.encoder, self.precision, image, layers)
        with torch._dynamo.config.patch(cache_size_limit=MAX_COMPILED_SIZES):
            return _compiled()(self.encoder, self.precision, image, layers)


def check_precision(precision: Precision | None, encoder: Encoder) -> None:
    """Check that an encoder, where it is, can compute in a precision.

    Raises:
        ValueError: a network that is not in float32, or "tf32" on another device than CUDA.

    """
    if precision is None:
        return
    like = on_encoder(encoder, torch.empty(0))
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
    """Within, CUDA's products of float32 are exact, and with "float32" its convolutions too."""
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
    """How to set the precision of CUDA's products of float32, what it is now, and the word for exact ones."""
    try:
        return torch.set_float32_matmul_precision, torch.get_float32_matmul_precision(), "highest"
    except RuntimeError:  # somebody has used torch's newer words, which the older functions cannot read
        return partial(setattr, _cuda.matmul, "fp32_precision"), _cuda.matmul.fp32_precision, "ieee"


def _convolutions() -> tuple[Callable[[Any], object], Any, tuple[Any, Any]]:
    """The same of convolutions, with the words for exact ones and for TF32."""
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
    encoder: Walker, image: Tensor, layers: tuple[str, ...], visit: Callable[[str, Tensor], Tensor]
) -> None:
    """Features come in bfloat16; whoever reads them converts as much as it reads at once."""

    def visit_in_full(name: str, maps: Tensor) -> Tensor:
        with torch.autocast(image.device.type, enabled=False):
            return visit(name, maps)

    with torch.autocast(image.device.type, torch.bfloat16):
        encoder.walk(image, layers, visit_in_full)


@cache
def _compiled() -> Callable[..., dict[str, Tensor]]:
    # No CUDA graphs: they keep the memory of every size, and overwrite what an earlier call has put out.
    return torch.compile(_features, dynamic=False)
