"""Paint the pictures of docs/controls: the sample photograph under each control at three settings, side by side.

    python benchmarks/controls.py docs/images/controls [NAME ...]
    python benchmarks/controls.py docs/images/controls ghost-weight --photo sky.jpg --painting scene.jpg

Each control has a strip of three pictures, painted from the samples that come with the package, or from two pictures of
yours: the samples have no empty sky. All strips take about 20 minutes on two CPU cores.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from neuralstyle import (
    DEFAULT_LOSSES,
    Adam,
    ContentLoss,
    FeatureExtractor,
    Loss,
    LossSum,
    Noise,
    Style,
    samples,
    save_image,
    stylize,
)
from neuralstyle.losses import geometric_weights

SIZE, ITERATIONS = 208, 40
SWIRL, EMBERS, MOSAIC, WOODCUT = (samples.painting(name, size=512) for name in ("swirl", "embers", "mosaic", "woodcut"))
CONTENT = samples.photo()
CONTENT_TERM, STYLE_TERM, TV_TERM, GHOST_TERM = DEFAULT_LOSSES
LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


def of(layers: Sequence[str], weights: Sequence[float] | None = None) -> Loss:
    """The default style loss at other layers."""
    return replace(STYLE_TERM.loss, layers=layers, layer_weights=weights)


def losses(
    content: Loss = CONTENT_TERM.loss, style: Loss = STYLE_TERM.loss, tv: float = 1, ghost: float = 1
) -> LossSum:
    """The default losses with others at their weights, and multiples of the total variation and of the ghosts' loss."""
    others = TV_TERM.loss * (TV_TERM.weight * tv) + GHOST_TERM.loss * (GHOST_TERM.weight * ghost)
    return content * CONTENT_TERM.weight + style * STYLE_TERM.weight + others


def face() -> torch.Tensor:
    """Where the cat's face is, roughly: an ellipse on a picture of the photograph's shape."""
    height, width = 200, round(200 * CONTENT.width / CONTENT.height)
    y = torch.linspace(-1, 1, height).view(-1, 1)
    x = torch.linspace(-1, 1, width).view(1, -1)
    return (((x - 0.08) / 0.42).square() + ((y - 0.02) / 0.78).square() < 1).float()


def region(**options: Any) -> list[Style]:
    return [Style(SWIRL, region=face(), **options), Style(EMBERS, region=1 - face(), **options)]


CONTROLS: dict[str, list[tuple[Any, dict[str, Any]]]] = {
    "style-weight": [(SWIRL, {"losses": DEFAULT_LOSSES.scaled("style", w)}) for w in (0.2, 1, 10)],
    "content-layer": [
        (SWIRL, {"losses": losses(ContentLoss(layers, layer_weights=weights))})
        for layers, weights in (("relu2_2", None), (("relu4_2", "relu5_2"), (0.5, 0.5)), ("relu5_2", None))
    ],
    "style-layers": [(MOSAIC, {"losses": losses(style=of(LAYERS[:n]))}) for n in (1, 3, 5)],
    "layer-ratio": [(SWIRL, {"losses": losses(style=of(LAYERS, geometric_weights(LAYERS, r)))}) for r in (0.3, 1, 3)],
    "tv-weight": [(EMBERS, {"losses": losses(tv=tv)}) for tv in (0, 1, 30)],
    "style-scale": [(Style(WOODCUT, scale=s), {}) for s in (0.5, 1, 2)],
    "blend": [([Style(SWIRL, w), Style(EMBERS, 1 - w)], {}) for w in (1, 0.5, 0)],
    "regions": [(region(softness=s), {}) for s in (0, 0.1, 0.4)],
    "edges": [
        (region(edges="blended"), {}),
        (region(edges="strict"), {}),
        ([Style(SWIRL, region=face(), softness=0.1)], {}),
    ],
    "color": [(EMBERS, {"color": color}) for color in ("style", "luminance", "match")],
    "color-match": [(EMBERS, {"color": color}) for color in ("match-pca", "match-cholesky", "histogram")],
    "init": [
        (MOSAIC, {"init": "content"}),
        (MOSAIC, {"init": Noise(blend=0.5)}),
        (MOSAIC, {"init": "noise"}),
    ],
    "noise": [(MOSAIC, {"init": Noise(kind)}) for kind in ("uniform", "gaussian", "style")],
    "result": [
        (SWIRL, {"optimizer": Adam(lr=0.1), "iterations": 30, "result": kind}) for kind in ("last", "best", "average")
    ],
    "optimizer": [
        (WOODCUT, {"optimizer": None}),
        (WOODCUT, {"optimizer": Adam()}),
        (WOODCUT, {"optimizer": Adam(lr=0.1)}),
    ],
    "pooling": [
        (MOSAIC, {"encoder": FeatureExtractor(pooling=kind, padding="replicate")}) for kind in ("max", "average", "l2")
    ],
    "iterations": [(SWIRL, {"iterations": n}) for n in (5, 20, 100)],
}


OF_YOURS = {"ghost-weight": [(SWIRL, {"losses": losses(ghost=ghost)}) for ghost in (0, 1, 10)]}
"""Strips that need a photograph other than the sample."""


def strip(pictures: list[Image.Image], gap: int = 6) -> Image.Image:
    width, height = pictures[0].size
    sheet = Image.new("RGB", (len(pictures) * (width + gap) - gap, height), "white")
    for number, picture in enumerate(pictures):
        sheet.paste(picture, (number * (width + gap), 0))
    return sheet


def main(paint: Callable[..., Image.Image] = stylize) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(CONTROLS | OF_YOURS)} (default: all of the samples)")
    parser.add_argument("--photo", type=Path, help="(default: the sample)")
    parser.add_argument("--painting", type=Path, help="(default: a sample for each strip)")
    options = parser.parse_args()
    unknown = set(options.names) - set(CONTROLS | OF_YOURS)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known are {', '.join(CONTROLS | OF_YOURS)}")
    if options.photo is None and (bare := [name for name in options.names if name in OF_YOURS]):
        parser.error(f"{', '.join(bare)} shows nothing on the sample; give --photo and --painting")
    options.folder.mkdir(parents=True, exist_ok=True)
    for name in options.names or CONTROLS:
        started = time.monotonic()
        pictures = [
            paint(
                options.photo or CONTENT,
                options.painting or style,
                size=SIZE,
                **{"iterations": ITERATIONS, "progress": False, **more},
            )
            for style, more in (CONTROLS | OF_YOURS)[name]
        ]
        save_image(strip(pictures), options.folder / f"{name}.jpg", overwrite=True, quality=88)
        print(f"{name}: {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
