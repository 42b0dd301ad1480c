"""The numbers that a network computes in, and whether it is compiled; what is read off its features stays exact."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from typing_extensions import TypeIs

from neuralstyle._errors import unknown
from neuralstyle.encoders import FeatureExtractor, Layer
from neuralstyle.encoders.base import Encoder, encoder_name, on_encoder

Precision = Literal["float32", "tf32", "bfloat16"]
"""Numbers that the network's convolutions compute in."""

PRECISIONS: tuple[Precision, ...] = get_args(Precision)

MOST_SIZES = 64  # of pictures and tiles that a program compiles the network for; more are computed as without

_cuda: Any = torch.backends.cuda
_cudnn: Any = torch.backends.cudnn  # types differ between versions of torch


def check_precision(precision: str | None, encoder: Encoder) -> None:
    """Whether a network can compute so, where it is.

    Raises:
        ValueError: an unknown precision, "tf32" elsewhere than on CUDA, or a network that is not in float32.

    """
    if precision is None:
        return
    if precision not in PRECISIONS:
        raise unknown("precision", precision, PRECISIONS)
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
    """Within, what CUDA does to float32: products are exact, and convolutions too if "float32" is asked for."""
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
    """How to say what CUDA does to products of float32, what it does at present, and the word for exact ones."""
    try:
        return torch.set_float32_matmul_precision, torch.get_float32_matmul_precision(), "highest"
    except RuntimeError:  # it has been said in torch's newer words, which cannot be put in the older
        return partial(setattr, _cuda.matmul, "fp32_precision"), _cuda.matmul.fp32_precision, "ieee"


def _convolutions() -> tuple[Callable[[Any], object], Any, tuple[Any, Any]]:
    """The same of convolutions, with the words for exact ones and for TF32."""
    try:
        return partial(setattr, _cudnn, "allow_tf32"), _cudnn.allow_tf32, (False, True)
    except RuntimeError:
        return partial(setattr, _cudnn.conv, "fp32_precision"), _cudnn.conv.fp32_precision, ("ieee", "tf32")


class Network:
    """An encoder in a precision; its features come out in the picture's own dtype, whatever they were computed in.

    Compiled, it is for a picture whose gradient is wanted, once for each of the sizes that it is shown.
    """

    def __init__(self, encoder: Encoder, precision: Precision | None, compiled: bool = False) -> None:
        check_precision(precision, encoder)
        if compiled and not isinstance(encoder, FeatureExtractor):
            raise ValueError(f"compile=True is for a FeatureExtractor, received {type(encoder).__name__}; leave it out")
        self.encoder = encoder
        self.precision = precision
        self.compiled = compiled

    @property
    def layers(self) -> Mapping[str, Layer]:
        """The encoder's."""
        return self.encoder.layers

    @property
    def name(self) -> str:
        """The encoder's."""
        return encoder_name(self.encoder)

    def __call__(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """The encoder's features."""
        wanted = tuple(layers)
        if not (self.compiled and image.requires_grad):
            return _features(self.encoder, self.precision, image, wanted)
        with torch._dynamo.config.patch(cache_size_limit=MOST_SIZES):
            return _compiled()(self.encoder, self.precision, image, wanted)

    def walk(self, image: Tensor, layers: Iterable[str], visit: Callable[[str, Tensor], Tensor]) -> None:
        """Show the features one by one: each as the encoder comes to it, if it can, else all at the end."""
        encoder, wanted = self.encoder, tuple(layers)
        if not _walks(encoder) or (self.compiled and image.requires_grad):
            for name, maps in self(image, wanted).items():
                visit(name, maps)
            return

        def outside(name: str, maps: Tensor) -> Tensor:
            with torch.autocast(image.device.type, enabled=False):
                return visit(name, maps)

        lower = self.precision == "bfloat16"
        with torch.autocast(image.device.type, torch.bfloat16, enabled=lower):
            encoder.walk(image, wanted, outside if lower else visit)


def _walks(encoder: Encoder) -> TypeIs[FeatureExtractor]:
    """Whether an encoder shows its features one by one: a subclass with a forward pass of its own does not."""
    return isinstance(encoder, FeatureExtractor) and type(encoder).forward is FeatureExtractor.forward


def _features(
    encoder: Encoder, precision: Precision | None, image: Tensor, layers: tuple[str, ...]
) -> dict[str, Tensor]:
    if precision != "bfloat16":
        return encoder(image, layers)
    with torch.autocast(image.device.type, torch.bfloat16):
        features = encoder(image, layers)
    return {name: maps.to(image.dtype) for name, maps in features.items()}


@cache
def _compiled() -> Callable[..., dict[str, Tensor]]:
    # No CUDA graphs: they keep the memory of every size, and overwrite what an earlier call has put out.
    return torch.compile(_features, dynamic=False)
