"""The words that options take: each list once, as a type for annotations and as a tuple. Imports nothing heavy.

The command line offers these words without importing torch. Where a table of the library has such words as its keys,
tests/unit/test_words.py compares the two.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

ScheduleName = Literal["preview", "draft", "standard", "fine", "single"]
"""Schedules, the keys of ``SCHEDULES``."""

RecipeName = Literal["default", "gatys", "li-wand", "johnson", "risser", "strotss", "crowson", "heitz", "nnst"]
"""Recipes, the keys of ``RECIPES``."""

OptimizerName = Literal["lbfgs", "adam"]
"""Optimisers, the keys of ``OPTIMIZERS``."""

Result = Literal["best", "last", "average"]
"""Which picture a minimisation returns: the best one evaluated, the last one, or a running average."""

Edges = Literal["blended", "strict"]
"""How positions at the edge of a mask or region count, see ``Style``."""

NoiseKind = Literal["uniform", "gaussian", "style"]
"""Kinds of noise, each drawn for every pixel on its own.

"uniform": every value from 0 to 1 alike. "gaussian": around middle grey, with a standard deviation of 0.25. "style":
with the mean and covariance of the first style's colours. All are clipped to [0, 1].
"""

AffineMap: TypeAlias = Literal["match", "match-pca", "match-cholesky"]
"""The affine maps of ``match_color``: symmetric, along principal axes, channel after channel."""

Matching: TypeAlias = Literal[AffineMap, "histogram"]
"""The ways to give one picture the colours of another."""

Color: TypeAlias = Literal["style", "luminance", Matching]
"""Whose colours a result has, and how it gets them."""

Pooling = Literal["max", "average", "l2"]
"""How an encoder pools its features."""

Padding = Literal["zeros", "replicate", "reflect"]
"""What an encoder sees around the picture."""

Precision = Literal["float32", "tf32", "bfloat16"]
"""Numbers that a network's convolutions compute in."""

Preprocessing = Literal["torchvision", "caffe"]
"""What a network was trained on: RGB standardised by ImageNet's statistics, or BGR in 0 ... 255 minus a mean."""

NetworkName = Literal["vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn", "compact19"]
"""Networks that a ``FeatureExtractor`` knows, the keys of ``NETWORKS``."""

SamplePainting = Literal["swirl", "mosaic", "woodcut", "embers"]
"""Paintings that come with the package."""

Crop = Literal["center", "random"]
"""Which square of a picture a network is trained on."""

TrainingPrecision = Literal["bfloat16"]
"""Numbers that convolutions compute in while a network is trained, other than torch's own."""

SCHEDULE_NAMES: tuple[ScheduleName, ...] = get_args(ScheduleName)
RECIPE_NAMES: tuple[RecipeName, ...] = get_args(RecipeName)
OPTIMIZER_NAMES: tuple[OptimizerName, ...] = get_args(OptimizerName)
RESULTS: tuple[Result, ...] = get_args(Result)
EDGES: tuple[Edges, ...] = get_args(Edges)
NOISE_KINDS: tuple[NoiseKind, ...] = get_args(NoiseKind)
AFFINE_MAPS: tuple[AffineMap, ...] = get_args(AffineMap)
MATCHINGS: tuple[Matching, ...] = get_args(Matching)
COLORS: tuple[Color, ...] = get_args(Color)
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)
PADDINGS: tuple[Padding, ...] = get_args(Padding)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
PREPROCESSINGS: tuple[Preprocessing, ...] = get_args(Preprocessing)
NETWORK_NAMES: tuple[NetworkName, ...] = get_args(NetworkName)
PAINTINGS: tuple[SamplePainting, ...] = get_args(SamplePainting)
CROPS: tuple[Crop, ...] = get_args(Crop)
TRAINING_PRECISIONS: tuple[TrainingPrecision, ...] = get_args(TrainingPrecision)

AUTO_REGIONS = "auto"
"""Stands for regions that are found, in place of files."""
