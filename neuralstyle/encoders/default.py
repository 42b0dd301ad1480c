"""The encoder that is used unless you give one."""

from __future__ import annotations

from typing import Literal, overload

from neuralstyle._words import Padding, Pooling, Precision
from neuralstyle.encoders.extractor import FeatureExtractor, has_scales
from neuralstyle.encoders.precision import InPrecision

DEFAULT_POOLING: Pooling = "l2"
DEFAULT_PADDING: Padding = "replicate"


@overload
def default_encoder(
    network: str = ..., *, precision: None = ..., compile: Literal[False] = ...
) -> FeatureExtractor: ...
@overload
def default_encoder(
    network: str = ..., *, precision: Precision | None = ..., compile: bool = ...
) -> FeatureExtractor | InPrecision: ...
def default_encoder(
    network: str = "vgg19", *, precision: Precision | None = None, compile: bool = False
) -> FeatureExtractor | InPrecision:
    """The network that ``stylize`` uses unless you give one, or another with the same options.

    L2 pooling keeps the gradient smooth; max pooling leaves dots on a grid. Replicated borders avoid the dark rim that
    zeros around the picture give.

    Args:
        network: as of ``FeatureExtractor``.
        precision: of the convolutions, "float32", "tf32" or "bfloat16", see ``InPrecision``; None: as torch is set.
        compile: compile the network with ``torch.compile``, see ``InPrecision``; for long runs on GPUs.

    Returns:
        A ``FeatureExtractor``, wrapped in ``InPrecision`` if you ask for a precision or for compiling.

    Raises:
        ValueError: an unknown network or precision.

    Example:
        ```python
        from neuralstyle import default_encoder

        assert default_encoder().pooling == "l2"
        assert default_encoder(precision="bfloat16").precision == "bfloat16"
        ```
    """
    # Networks without activation scales are used as they are: the default losses are relative and do without.
    encoder = FeatureExtractor(network, pooling=DEFAULT_POOLING, padding=DEFAULT_PADDING, normalize=has_scales(network))
    return encoder if precision is None and not compile else InPrecision(encoder, precision, compile)
