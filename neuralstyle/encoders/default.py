"""The default encoder."""

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
    """Return the default encoder of ``stylize``, or another network with the same options.

    L2 pooling keeps the gradient smooth; max pooling leaves dots on a grid. Replicated borders avoid the dark rim of
    zero padding.

    Args:
        network: name of the network, as for ``FeatureExtractor``.
        precision: precision of the convolutions, "float32", "tf32" or "bfloat16", see ``InPrecision``; None: torch's
            settings.
        compile: compile the network with ``torch.compile``, see ``InPrecision``; for long runs on GPUs.

    Returns:
        A ``FeatureExtractor``, wrapped in ``InPrecision`` if ``precision`` or ``compile`` is set.

    Raises:
        ValueError: an unknown network or precision.

    Example:
        ```python
        from neuralstyle import default_encoder

        assert default_encoder().pooling == "l2"
        assert default_encoder(precision="bfloat16").precision == "bfloat16"
        ```
    """
    # Networks without activation scales are not rescaled; content and style of the default losses grow alike with
    # activations, with their square.
    encoder = FeatureExtractor(network, pooling=DEFAULT_POOLING, padding=DEFAULT_PADDING, normalize=has_scales(network))
    return encoder if precision is None and not compile else InPrecision(encoder, precision, compile)
