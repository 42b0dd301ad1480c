"""Paint the three experiments of Gatys, Ecker and Bethge (arXiv 1508.06576) for docs/experiments.md.

    python benchmarks/paper_experiments.py docs/images/experiments

Content reconstructions from shallow to deep layers, textures from one to five layers, and transfers at several ratios
alpha / beta, all on the package's own samples.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from neuralstyle import (
    FeatureExtractor,
    GramStyleLoss,
    gatys,
    reconstruct_content,
    samples,
    save_image,
    stylize,
    synthesize_texture,
)
from neuralstyle.losses.gram import STYLE_LAYERS

CONTENT_LAYERS = ("relu1_2", "relu2_2", "relu3_2", "relu4_2", "relu5_2")
RATIOS = (1e-3, 1e-4, 1e-5, 1e-6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=224, help="longest side in pixels (default: %(default)s)")
    parser.add_argument("--iterations", type=int, default=150, help="per picture (default: %(default)s)")
    parser.add_argument("--only", choices=["content", "texture", "transfer"])
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    photo, painting = samples.photo(), samples.painting("swirl", size=512)
    encoder = FeatureExtractor("vgg19", pooling="average")
    shared = {"size": options.size, "iterations": options.iterations, "progress": False}

    def save(name: str, image: object, started: float) -> None:
        save_image(image, options.folder / f"{name}.jpg", overwrite=True, quality=88)
        print(f"{name}: {time.monotonic() - started:.0f} s", flush=True)

    if options.only in (None, "content"):
        for layer in CONTENT_LAYERS:
            started = time.monotonic()
            image = reconstruct_content(photo, layer, encoder=encoder, **shared)
            save(f"content_{layer}", image, started)
    if options.only in (None, "texture"):
        for count in range(1, len(STYLE_LAYERS) + 1):
            started = time.monotonic()
            losses = GramStyleLoss(STYLE_LAYERS[:count])
            image = synthesize_texture(painting, losses=losses, encoder=encoder, **shared)
            save(f"texture_{count}", image, started)
    if options.only in (None, "transfer"):
        for ratio in RATIOS:
            started = time.monotonic()
            image = stylize(photo, painting, **gatys(alpha=1, beta=1 / ratio), **shared)
            save(f"transfer_{ratio:.0e}".replace("e-0", "e-"), image, started)


if __name__ == "__main__":
    main()
