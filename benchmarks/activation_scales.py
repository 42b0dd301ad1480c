"""Measure the mean activation of every filter of VGG-19 over a folder of photographs.

The scales in ``neuralstyle/data/vgg19_activation_scales.safetensors`` were made by

    python benchmarks/activation_scales.py PHOTOS --part even

with 1000 natural photographs, one of each ImageNet class, of which every other one was used. The rest checks them:

    python benchmarks/activation_scales.py PHOTOS --part odd --check

prints each layer's mean activation in the normalised network (1 where the scales generalise) and the spread over
its filters.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from safetensors.torch import save_file

from neuralstyle import FeatureExtractor
from neuralstyle.encoders.activation_scales import mean_activations
from neuralstyle.encoders.extractor import POOLINGS

OUTPUT = Path(__file__).parents[1] / "neuralstyle" / "data" / "vgg19_activation_scales.safetensors"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of photographs")
    parser.add_argument("--size", type=int, default=256, help="longest side in pixels (default: %(default)s)")
    parser.add_argument("--part", choices=["all", "even", "odd"], default="all", help="which files, in sorted order")
    parser.add_argument("--limit", type=int, help="at most this many photographs")
    parser.add_argument("--check", action="store_true", help="check the shipped scales instead of writing them")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args()

    photos = sorted(p for p in options.folder.iterdir() if p.suffix.lower() in {".jpg", ".jpeg", ".png"})
    photos = {"all": photos, "even": photos[::2], "odd": photos[1::2]}[options.part][: options.limit]
    print(f"{len(photos)} photographs, longest side {options.size}")
    scales: dict[str, torch.Tensor] = {}
    for pooling in POOLINGS:
        encoder = FeatureExtractor("vgg19", pooling=pooling, normalize=options.check)
        means = mean_activations(encoder, photos, options.size)
        print(f"\n{pooling} pooling\nlayer      mean   min  5%     median 95%    max")
        for name, mean in means.items():
            low, median, high = torch.quantile(mean, torch.tensor([0.05, 0.5, 0.95])).tolist()
            print(
                f"{name.replace('conv', 'relu')}  {mean.mean():8.3f} {mean.min():6.3f} {low:6.3f} "
                f"{median:6.3f} {high:6.3f} {mean.max():6.3f}"
            )
            scales[f"{pooling}/{name}"] = mean
    if not options.check:
        save_file(scales, options.output, metadata={"photographs": str(len(photos)), "size": str(options.size)})
        print(f"\nwrote {options.output}")


if __name__ == "__main__":
    main()
