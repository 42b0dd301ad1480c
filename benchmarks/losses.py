"""The pictures of docs/which-loss.md: one photograph and one painting under every style loss of the command line.

    python benchmarks/losses.py PHOTO PAINTING docs/images/losses [LOSS ...]

Each loss stands in the place of the default one, at its weight, in the default recipe, as `--style-loss` puts it there;
two more pictures show what is painted from. A table of measures (neuralstyle.metrics) goes to the output. All pictures
take about 15 minutes on two CPU cores. With --weights 0.5 1 2 each loss is painted at these multiples of its weight,
which tells whether one weight serves them all, and whether more weight is more style.
"""

import argparse
import time
from pathlib import Path

from neuralstyle import DEFAULT_LOSSES, load_image, metrics, save_image, stylize
from neuralstyle.cli.options import STYLE_LOSSES, with_style_loss

SIZE = 240  # longest side in pixels
QUALITY = 85


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path)
    parser.add_argument("painting", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(STYLE_LOSSES)} (default: all)")
    parser.add_argument("--weights", type=float, nargs="+", default=[1.0], metavar="X", help="multiples (default: 1)")
    options = parser.parse_args()
    unknown = set(options.names) - set(STYLE_LOSSES)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known are {', '.join(STYLE_LOSSES)}")
    options.folder.mkdir(parents=True, exist_ok=True)
    content, style = load_image(options.photo, SIZE), load_image(options.painting)
    for name, picture in (("photo", content), ("painting", load_image(options.painting, SIZE))):
        save_image(picture, options.folder / f"{name}.jpg", overwrite=True, quality=QUALITY)
    scores = metrics.compare(content, style, {"photo": content})
    for name in options.names or STYLE_LOSSES:
        losses = with_style_loss(DEFAULT_LOSSES, name)
        for weight in options.weights:
            label = name if weight == 1 else f"{name} x{weight:g}"
            started = time.monotonic()
            image = stylize(content, style, losses=losses, style_weight=weight, size=SIZE, progress=False)
            save_image(image, options.folder / f"{label.replace(' ', '-')}.jpg", overwrite=True, quality=QUALITY)
            scores |= metrics.compare(content, style, {label: image})
            print(f"{label}: {time.monotonic() - started:.0f} s", flush=True)
    print(metrics.table(scores))


if __name__ == "__main__":
    main()
