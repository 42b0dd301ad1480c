"""Measuring the activation scales of a network on photographs."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from neuralstyle._errors import brief
from neuralstyle.encoders.extractor import FeatureExtractor
from neuralstyle.images import Picture, load_image
from neuralstyle.machine.surroundings import plain_torch


@plain_torch()
def measure_activation_scales(
    encoder: FeatureExtractor, pictures: Iterable[Picture], size: int | None = 256
) -> dict[str, Tensor]:
    r"""Measure the mean activation of every filter of a raw network, for ``FeatureExtractor(normalize=...)``.

    $$
    m_i = \frac{1}{\sum_p M_p} \sum_p \sum_x \mathrm{ReLU}(F_i(p, x))
    $$

    over the pictures p and their $M_p$ positions x. The paper averages over "images and spatial positions"; a few
    hundred natural photographs are enough. The scales belong to the pooling of the encoder that is measured.

    Args:
        encoder: an encoder with ``normalize=False`` and the pooling that will be used.
        pictures: photographs, such as paths; one is read at a time.
        size: longest side of each picture in pixels; None: its own size.

    Returns:
        A float32 tensor (C,) for each convolution, by name, all positive; a filter that never fires gets the mean of
        its layer.

    Raises:
        ValueError: no pictures, a normalised encoder, or a layer that never fires.

    Example:
        ```python
        from neuralstyle import FeatureExtractor, samples
        from neuralstyle.encoders import measure_activation_scales

        raw = FeatureExtractor("vgg19", pooling="average", normalize=False)
        scales = measure_activation_scales(raw, [samples.photo()], size=64)
        encoder = FeatureExtractor("vgg19", pooling="average", normalize=scales)
        ```

    Paper: Gatys, Ecker and Bethge, arXiv 1508.06576.
    """
    if not isinstance(encoder, FeatureExtractor):
        raise TypeError(f"scales are measured on a FeatureExtractor, received {brief(encoder)}")
    if encoder.normalize is not False:
        raise ValueError("the encoder is normalised already; measure one that was made with normalize=False")
    scales = mean_activations(encoder, pictures, size)
    for name, scale in scales.items():
        if not bool((scale > 0).any()):
            raise ValueError(
                f"no filter of {name!r} fires on these pictures, so it has no scale; are the weights right?"
            )
        scale[scale <= 0] = scale.mean()
    return scales


def mean_activations(encoder: FeatureExtractor, pictures: Iterable[Picture], size: int | None) -> dict[str, Tensor]:
    """Return the mean of each filter after its ReLU over all positions of all pictures, by convolution.

    Raises:
        ValueError: no pictures.

    """
    layers = [layer for layer in encoder.layers.values() if layer.kind == "relu"]
    sums = {layer.name: torch.zeros(layer.channels, dtype=torch.float64) for layer in layers}
    counts = dict.fromkeys(sums, 0)
    for picture in pictures:
        with torch.no_grad():
            features = encoder(load_image(picture, size).to(encoder.mean), list(sums))
        for name, feature in features.items():
            positions = feature.shape[0] * feature.shape[2] * feature.shape[3]
            sums[name] += positions * feature.mean((0, 2, 3)).cpu().double()
            counts[name] += positions
    if not all(counts.values()):
        raise ValueError("there are no pictures to measure activations on; give a few hundred photographs")
    return {name.replace("relu", "conv"): (total / counts[name]).float() for name, total in sums.items()}
