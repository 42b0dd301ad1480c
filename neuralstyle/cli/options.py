"""The options of the commands that paint, as a table: imports nothing heavy.

What the help calls the default of an option comes from the signature of the command's function, or stands here where
that file imports torch; tests/unit/test_options.py compares it then.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from neuralstyle._records import LOG_SUFFIXES
from neuralstyle._words import (
    AUTO_REGIONS,
    COLORS,
    EDGES,
    NETWORK_NAMES,
    NOISE_KINDS,
    OPTIMIZER_NAMES,
    PADDINGS,
    POOLINGS,
    PRECISIONS,
    PREPROCESSINGS,
    RECIPE_NAMES,
    RESULTS,
    SCHEDULE_NAMES,
)
from neuralstyle.cli.parsing import Option
from neuralstyle.painting.initial import Noise
from neuralstyle.painting.options import StateFile


def tile_side(text: str) -> int | str:
    """A side in pixels, or "auto"."""
    if text == "auto":
        return text
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"a number of pixels or 'auto', received {text!r}") from None


def longest_side(text: str) -> int | str:
    """A side in pixels, or "original"."""
    if text == "original":
        return text
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"a number of pixels or 'original', received {text!r}") from None


OUTPUT = Option(
    "--output",
    "save the result as this .png, .jpg, .webp, .avif or .tif file",
    metavar="OUT",
    short="-o",
    everyday=True,
    required=True,
    writes="file",
)
OVERWRITE = Option("--overwrite", "replace files that exist, instead of refusing to", flag=True, everyday=True)
DEVICE = Option(
    "--device",
    "compute on this device, such as cpu, cuda, cuda:1 or mps",
    metavar="NAME",
    shown="the accelerator that torch finds",
    everyday=True,
)
MAX_MEGAPIXELS = Option(
    "--max-megapixels", "read pictures of up to N megapixels; larger ones are refused", int, "N", shown="200"
)
QUIET = Option("--quiet", "show no progress bar", flag=True, everyday=True)

JSON = Option("--json", "print a line for programs on stdout, and all else on stderr", flag=True)

FORMAT = (
    Option("--depth", "save 8 or 16 bits a channel; 16 is for .png and .tif", int, choices=(8, 16), default=8),
    Option("--quality", "save .jpg, .webp and .avif in this quality, 1 to 100", int, "N", default=95),
    Option("--dpi", "write this resolution into the file, in pixels per inch, for printing", float, "N"),
)
PROFILE = Option("--keep-profile", "keep the photograph's ICC profile, instead of converting to sRGB", flag=True)

STYLE_LOSS = Option(
    "--style-loss", "compare style by this loss; 'neuralstyle losses' lists them", metavar="NAME", shown="wasserstein"
)

BALANCE = (
    Option(
        "--strength",
        "set the balance, from 0, nearly the photograph, to 1, nearly all style",
        float,
        "S",
        everyday=True,
    ),
    Option("--content-weight", "multiply all that compares with the content", float, "X", default=1.0),
    Option("--style-weight", "multiply the style loss", float, "X", default=1.0),
    Option("--tv-weight", "multiply the total variation, which smooths", float, "X", default=1.0),
    Option("--ghost-weight", "multiply the loss that keeps empty places empty of things", float, "X", default=1.0),
    Option("--content-layers", "compare content at these layers", metavar="LAYER", nargs="+", shown="the recipe's"),
    Option(
        "--content-layer-weights",
        "weigh the content layers",
        float,
        "X",
        nargs="+",
        shown="the recipe's; equal for layers of your own",
    ),
    Option("--style-layers", "compare style at these layers", metavar="LAYER", nargs="+", shown="the recipe's"),
    Option(
        "--style-layer-weights",
        "weigh the style layers",
        float,
        "X",
        nargs="+",
        shown="the recipe's; equal for layers of your own",
    ),
    Option(
        "--style-layer-ratio",
        "weigh each style layer X times the one before, with a sum of 1",
        float,
        "X",
        shown="the recipe's weights",
    ),
    STYLE_LOSS,
    Option(
        "--recipe",
        "follow a published method: its losses, network, start, sizes and optimiser; see docs/recipes.md",
        choices=RECIPE_NAMES,
        default="default",
    ),
)

COLOR = Option(
    "--color",
    "take the style's colours, or keep the content's by one of the other methods",
    choices=COLORS,
    everyday=True,
)

SEAMLESS = Option("--seamless", "make a picture that repeats: copies of it, side by side, have no seam", flag=True)

STYLES_TITLE = "styles: a value for each STYLE, or one for all"
STYLES = (
    Option(
        "--style-scales",
        "scale the strokes: make the style's longest side X times the result's",
        float,
        "X",
        nargs="+",
        shown="1",
        everyday=True,
    ),
    Option("--style-blend-weights", "blend several styles by these shares", float, "X", nargs="+", shown="equal"),
    Option("--enlarge-styles", "enlarge styles beyond their own pixels where their scale asks for it", flag=True),
    Option(
        "--masks",
        "use the part of a style where this picture is white; - uses all of it, FILE#red what is red, FILE#lightness "
        "what is light, FILE#alpha what is opaque, ~FILE the rest",
        metavar="FILE",
        nargs="+",
        shown="-",
        reads=True,
        dash_is_none=True,
    ),
    Option(
        "--regions",
        "paint a style where this picture is white; - is everywhere, FILE#red what is red, FILE#lightness what is "
        "light, FILE#alpha what is opaque, ~FILE the rest; or 'auto': find the photograph's quiet parts, for the "
        "painting's quiet ground",
        metavar="FILE",
        nargs="+",
        shown="-",
        reads=True,
        dash_is_none=True,
        words=(AUTO_REGIONS,),
    ),
    Option("--softness", "soften the edges of regions by this share of the longest side", float, "X", shown="0.0"),
    Option(
        "--edges",
        "blend at the edges of regions, or be strict: count what sees nothing but the region",
        choices=EDGES,
        shown="blended",
    ),
)

SIZE = (
    Option(
        "--size",
        "make the result's longest side this long; original keeps the photograph's size",
        longest_side,
        "PIXELS",
        everyday=True,
    ),
    Option("--width", "make the result this wide instead", int, "PIXELS"),
    Option("--pixels", "give the result this number of pixels instead", int, "N"),
    Option(
        "--schedule",
        "choose between speed and quality: preview, a look in seconds; draft, more through compact19; standard, at the "
        "end through vgg19 too; fine, that at length; single, all at one size, through vgg19",
        choices=SCHEDULE_NAMES,
        everyday=True,
    ),
    Option(
        "--detail",
        "work at the final size for this share of the schedule's evaluations; less leaves broad strokes",
        float,
        "SHARE",
        shown="1",
    ),
    Option("--iterations", "evaluate the losses N times at the final size", int, "N", shown="the schedule's number"),
    Option("--stop-after", "stop after N evaluations at all sizes, and save the picture so far", int, "N"),
    Option(
        "--tile",
        "work in tiles of this side to save memory; auto chooses by the free memory",
        tile_side,
        "PIXELS",
        shown="the whole picture",
    ),
    MAX_MEGAPIXELS,
    DEVICE,
    Option(
        "--precision",
        "compute the network's convolutions in this precision; fewer bits are faster on GPUs",
        choices=PRECISIONS,
        shown="as torch is set",
    ),
    Option("--compile", "compile the network for each size first; for long runs on GPUs", flag=True),
    Option("--dry-run", "print the stages, the time and the memory, and paint nothing", flag=True, everyday=True),
)

START = (
    Option("--init", "start from content, noise, style, a picture or a trained MODEL", metavar="START", reads=True),
    Option("--noise", "draw this kind of noise", choices=NOISE_KINDS, shown=Noise.kind),
    Option("--noise-blend", "mix this share of noise into the start, 0 to 1", float, "B", shown="0"),
    Option("--seed", "draw other noise", int, "N", shown="0", everyday=True),
)

OPTIMIZER = (
    Option("--optimizer", "lower the losses by this method", choices=OPTIMIZER_NAMES, shown="each stage's own"),
    Option("--history", "keep N pairs in lbfgs", int, "N", shown="20, or what the memory holds"),
    Option(
        "--history-store",
        "keep the pairs on the device, on the cpu or in files of a folder",
        metavar="PLACE",
        shown="device",
    ),
    Option("--lr", "set the learning rate of adam; pixels run from 0 to 1", float, "X", shown="0.02"),
    Option("--betas", "set the decay of adam's two running means", float, "B", nargs=2, shown="0.9 0.99"),
    Option("--eps", "add this to adam's denominator", float, "X", shown="1e-08"),
    Option(
        "--result",
        "save the best picture, the last or a running average",
        choices=RESULTS,
        shown="each stage's own; with --optimizer best",
    ),
)

SNAPSHOTS = Option(
    "--snapshots", "save pictures on the way, for example as step-{}.png", metavar="PATTERN", writes="numbered"
)
LOG = Option("--log", "write the losses to a .csv or .jsonl file", metavar="FILE", writes="file", suffixes=LOG_SUFFIXES)

WATCHING = (
    QUIET,
    JSON,
    Option("--print-every", "print the losses every N evaluations", int, "N"),
    SNAPSHOTS,
    Option("--snapshots-every", "save them every N evaluations", int, "N", shown="50"),
    LOG,
    Option("--plot", "draw the losses of --log into a picture", metavar="FILE", writes="file"),
    Option(
        "--state",
        "keep the run's state in FILE, and continue from it if it is there",
        metavar="FILE",
        writes="file",
        may_exist=True,
    ),
    Option(
        "--state-every",
        "leave this time between two states",
        float,
        "SECONDS",
        shown=f"{StateFile.every:g}",
    ),
)

NETWORK = (
    Option(
        "--network",
        "look through this network at every size: vgg11, vgg13, vgg16 or vgg19, also with _bn, or compact19",
        metavar="NAME",
        choices=NETWORK_NAMES,
        shown="vgg19, after compact19 where the schedule says so",
    ),
    Option(
        "--weights",
        "load these weights: simonyan, torchvision, distilled or a file",
        metavar="SOURCE",
        reads=True,
        shown="simonyan for vgg19, distilled for compact19, else torchvision",
    ),
    Option("--pooling", "pool features by this method", choices=POOLINGS, shown="l2"),
    Option("--padding", "surround the picture by this", choices=PADDINGS, shown="replicate"),
    Option(
        "--preprocessing",
        "prepare pictures as the network of a file of weights expects them",
        choices=PREPROCESSINGS,
        shown="torchvision",
    ),
    Option("--no-normalize", "use the raw network, without scaling to mean activation 1", flag=True),
)

PAINTING = {
    "size and time": SIZE,
    "start": START,
    "optimiser": OPTIMIZER,
    "watching, stopping, continuing": WATCHING,
    "network": NETWORK,
}
"""What every command that paints has, in groups."""


def has_state(options: argparse.Namespace) -> bool:
    """Whether there is a state from which a painting may continue, so its other files may exist."""
    return options.state is not None and Path(options.state).exists()
