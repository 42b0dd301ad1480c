"""Measure how far training comes, or how a trained network compares with optimising every picture.

    python benchmarks/feedforward.py scratch PHOTOS                  # train 15 minutes on squares of 64 pixels
    python benchmarks/feedforward.py compare PHOTOS --model MODEL    # against 200 iterations of optimisation

The objective is that of training: style and content losses and total variation, at their weights. "scratch" trains a
small network from random weights on all but the last pictures of PHOTOS by name, and prints the objective of those,
unstyled and painted, with the time. It exits with 1 if the objective falls by less than 60%. "compare" paints the last
pictures with a network, and by optimisation with L-BFGS from the content, and prints by how much each lowers the
objective of the unstyled picture. It exits with 1 if the network reaches less than half the drop of the optimisation.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

import torch

from neuralstyle import LBFGS, Objective, default_encoder, load_image, samples
from neuralstyle.feedforward import (
    TRAINING_LOSSES,
    Records,
    TrainingData,
    TransformerNet,
    load_model,
    run_model,
)
from neuralstyle.feedforward import (
    train as train_network,
)
from neuralstyle.feedforward.data import Pictures, find_pictures
from neuralstyle.optimizers.minimize import minimize


def objectives(style: torch.Tensor, contents: list[torch.Tensor]) -> list[Objective]:
    encoder = default_encoder()
    return [Objective(encoder, TRAINING_LOSSES, content=content, styles=[style]) for content in contents]


def value(objective: Objective, image: torch.Tensor) -> float:
    return objective.evaluate(image, with_gradient=False).loss


def held_back(options: argparse.Namespace, size: int) -> list[torch.Tensor]:
    files = find_pictures(options.photos)[-options.hold_out :]
    pictures = Pictures(files, size, "center", 0)
    return [pictures[0, index][0][None] for index in range(min(options.pictures, len(files)))]


def scratch(options: argparse.Namespace) -> bool:
    style = load_image(samples.painting(options.style, size=options.style_size))
    started = time.monotonic()
    network = train_network(
        style,
        TrainingData(options.photos, size=options.size, crop="random", steps=1_000_000, hold_out=options.hold_out),
        network=TransformerNet(width=16, seed=42),
        records=Records(options.log, log_every=20),
        callback=lambda progress: time.monotonic() - started < 60 * options.minutes,
        device="cpu",
        progress=False,
    )
    elapsed = time.monotonic() - started
    contents = held_back(options, options.size)
    measured = objectives(style, contents)
    before = statistics.mean(value(o, c) for o, c in zip(measured, contents, strict=True))
    after = statistics.mean(value(o, run_model(network, c)) for o, c in zip(measured, contents, strict=True))
    drop = 1 - after / before
    print(f"{elapsed / 60:.1f} minutes, {torch.get_num_threads()} threads, {len(contents)} pictures held back")
    print(f"objective: unstyled {before:.4g}, painted {after:.4g}: {100 * drop:.1f}% lower (mark: 60%)")
    return drop >= 0.6


def compare(options: argparse.Namespace) -> bool:
    network = load_model(options.model)
    style = load_image(samples.painting(options.style, size=options.style_size))
    contents = held_back(options, options.size)
    shares = []
    print("  unstyled   network  optimised   share of the drop")
    for objective, content in zip(objectives(style, contents), contents, strict=True):
        before, painted = value(objective, content), value(objective, run_model(network, content))

        def step(image: torch.Tensor, objective: Objective = objective) -> tuple[float, torch.Tensor]:
            evaluation = objective.evaluate(image)
            return evaluation.loss, evaluation.gradient

        best = minimize(LBFGS(), content, step, options.iterations).image
        optimised = value(objective, best)
        shares.append((before - painted) / (before - optimised))
        print(f"{before:10.4g}{painted:10.4g}{optimised:11.4g}{100 * shares[-1]:18.1f}%", flush=True)
    mean = statistics.mean(shares)
    print(f"mean share of the drop of {options.iterations} iterations: {100 * mean:.1f}% (mark: 50%)")
    return mean >= 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for function, size, pictures in ((scratch, 64, 50), (compare, 256, 8)):
        command = commands.add_parser(function.__name__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
        command.add_argument("photos", type=Path, help="a folder of photographs")
        command.add_argument("--style", default="mosaic", choices=samples.PAINTINGS, help="the sample painting")
        command.add_argument("--style-size", type=int, default=256, help="its side in pixels")
        command.add_argument("--size", type=int, default=size, help="side of the squares in pixels")
        command.add_argument("--hold-out", type=int, default=50, help="last pictures that are not trained on")
        command.add_argument("--pictures", type=int, default=pictures, help="how many of these are measured")
        command.set_defaults(run=function)
        if function is scratch:
            command.add_argument("--minutes", type=float, default=15, help="of training")
            command.add_argument("--log", default=None, help="a .csv or .jsonl file for the losses")
        else:
            command.add_argument("--model", required=True, help="a network, of the same style")
            command.add_argument("--iterations", type=int, default=200, help="of the optimisation")
    options = parser.parse_args()
    sys.exit(0 if options.run(options) else 1)


if __name__ == "__main__":
    main()
