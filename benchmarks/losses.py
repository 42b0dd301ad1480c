"""Paint the pictures of docs/which-loss.md: one photograph and one painting under every style loss by name.

    python benchmarks/losses.py PHOTO PAINTING docs/images/losses [LOSS ...]

Each loss replaces the default one in the default recipe, at its weight, as `--style-loss` does. Two more pictures show
the photograph and the painting. It prints a table of measures (neuralstyle.metrics). All pictures take about 15 minutes
on two CPU cores. With --weights 0.5 1 2 each loss is painted at these multiples of its weight. That shows whether more
weight is more style, and at which weight each changes the content as much as the first loss does at 1.
"""

import argparse
import math
import statistics
import time
from pathlib import Path

from neuralstyle import DEFAULT_LOSSES, load_image, metrics, save_image, stylize, with_style_loss
from neuralstyle.recipes import STYLE_LOSSES

QUALITY = 85


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path, help="a photograph")
    parser.add_argument("painting", type=Path, help="a painting")
    parser.add_argument("folder", type=Path, help="folder for the pictures")
    parser.add_argument("names", nargs="*", help=f"of {', '.join(STYLE_LOSSES)} (default: all)")
    parser.add_argument("--weights", type=float, nargs="+", default=[1.0], metavar="X", help="multiples (default: 1)")
    parser.add_argument("--size", type=int, default=240, help="longest side in pixels (default: %(default)s)")
    options = parser.parse_args()
    size, names = options.size, list(options.names or STYLE_LOSSES)
    unknown = set(names) - set(STYLE_LOSSES)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known are {', '.join(STYLE_LOSSES)}")
    options.folder.mkdir(parents=True, exist_ok=True)
    content, style = load_image(options.photo, size), load_image(options.painting)
    for name, picture in (("photo", content), ("painting", load_image(options.painting, size))):
        save_image(picture, options.folder / f"{name}.jpg", overwrite=True, quality=QUALITY)
    scores = metrics.compare(content, style, {"photo": content})
    for name in names:
        losses = with_style_loss(DEFAULT_LOSSES, name)
        for weight in options.weights:
            label = _label(name, weight)
            started = time.monotonic()
            image = stylize(content, style, losses=losses.scaled("style", weight), size=size, progress=False)
            save_image(image, options.folder / f"{label.replace(' ', '-')}.jpg", overwrite=True, quality=QUALITY)
            scores |= metrics.compare(content, style, {label: image})
            print(f"{label}: {time.monotonic() - started:.0f} s", flush=True)
    print(metrics.table(scores))
    if len(options.weights) > 1:
        changes = {name: {weight: scores[_label(name, weight)].content for weight in options.weights} for name in names}
        for name in names[1:]:
            weight = balance(changes[name], changes[names[0]])
            print(f"{name} changes the content as {names[0]} does at {weight:.2f}")


def _label(name: str, weight: float) -> str:
    return name if weight == 1 else f"{name} x{weight:g}"


def balance(change: dict[float, float], other: dict[float, float]) -> float:
    """The weight at which the content changes as it does by the other at 1, change being linear in log weight."""
    (slope, start), (_, wanted) = (
        statistics.linear_regression([math.log(weight) for weight in each], list(each.values()))
        for each in (change, other)
    )
    return math.exp((wanted - start) / slope)


if __name__ == "__main__":
    main()
