"""Train "compact19", a narrow student of VGG-19, from a folder of photographs.

    python benchmarks/distill PHOTOS student.checkpoint --weights compact19.safetensors

The weights that the package ships come from

    python benchmarks/distill PHOTOS student.checkpoint --weights compact19.safetensors --device cuda \\
        --steps 2600 --batch 32

By default it takes a second a step on two CPU cores, and a little less than two hours for the 6500 steps. It can be
stopped at any time: started again with the same arguments it continues from the checkpoint, and on a CPU ends with the
same bytes as a run that was never stopped. One photograph in twenty is not trained on. The lines printed on the way are
errors on those: relative errors of the centred kernels, layer by layer, and of the gradient, averaged over cells of 1,
2, 4 and 8 pixels.

The student is trained to agree with its teacher in what style transfer uses: the kernels between positions, on which
all Gram matrices depend, and the gradient by which a picture is painted. The training pictures are those that are being
painted through the student, each with a content and a style that are crops of photographs with changed colours.
"""

from __future__ import annotations

import argparse
import math
import random
import time
from pathlib import Path
from typing import Any

import torch
from matching import CONTENT, LEVELS, SHARE, STYLE, gradient_errors, kernel_errors, objective
from pictures import Crops, Easel
from safetensors.torch import save_file
from student import TAPS, Student
from torch import Tensor

from neuralstyle import default_encoder
from neuralstyle.checkpoint import load_state, save_state
from neuralstyle.feedforward.data import find_pictures
from neuralstyle.losses.base import weights_per_layer

SIZE, BATCH = 128, 8  # pixels of a crop, crops of a step
PLACES = 8  # pictures being painted for each crop of a step
HELD_OUT = 20  # one in so many photographs
RATE, WARM = 2e-3, 200
GRADIENTS = 0.5  # weight of the gradients' error beside the kernels', after RAMP steps
RAMP = 1000
SAVED, JUDGED = 100, 500  # every so many steps
KIND = "distillation"  # of checkpoint


class Training:
    """Everything that goes on from step to step."""

    def __init__(self, photographs: list[Path], steps: int, seed: int, batch: int, device: str) -> None:
        self.steps, self.seed, self.batch, self.device = steps, seed, batch, device
        shuffled = random.Random(seed).sample(photographs, len(photographs))
        cut = max(1, len(shuffled) // HELD_OUT)
        self.crops, self.unseen = Crops(shuffled[cut:], SIZE), Crops(shuffled[:cut], SIZE)
        self.teacher = default_encoder().to(device)
        self.student = Student(seed)
        self.student.settle(torch.cat([self.crops.draw(random.Random(f"{seed}/{i}")) for i in range(batch)]))
        self.student.to(device)
        self.easel = Easel(self.crops, PLACES * batch, lifetime=30, device=device)
        self.optimizer = torch.optim.Adam(self.student.parameters(), lr=RATE, betas=(0.9, 0.99))
        self.step = 0

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        return {
            "step": self.step,
            "steps": self.steps,
            "seed": self.seed,
            "batch": self.batch,
            "student": self.student.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "easel": self.easel.state,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        for name in ("steps", "seed", "batch"):
            if state[name] != getattr(self, name):
                raise SystemExit(f"the checkpoint was made with {name}={state[name]}; use that, or another file")
        self.step = state["step"]
        self.student.load_state_dict(state["student"])
        self.optimizer.load_state_dict(state["optimizer"])
        # Where they belong; what is asked on the CPU stays there.
        self.easel.state = {name: value.to(self.easel.state[name].device) for name, value in state["easel"].items()}

    def advance(self) -> None:
        """One step."""
        dice = random.Random(f"{self.seed}/step {self.step}")
        kernels, gradients = self._paint(self.easel, dice)
        loss = torch.stack(list(kernels.values())).mean()
        loss = loss + GRADIENTS * min(1.0, self.step / RAMP) * gradients.clamp(max=4).mean()
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.student.parameters(), 1.0)
        done = self.step / self.steps
        for group in self.optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (self.step + 1) / WARM) * (0.5 + 0.5 * math.cos(math.pi * done))
        self.optimizer.step()
        self.step += 1

    def judge(self) -> str:
        """A line of the errors on photographs that are not trained on, and on a few steps of painting with them."""
        dice = random.Random(f"{self.seed}/judge")
        easel = Easel(self.unseen, 2 * self.batch, lifetime=1e9, device=self.device)
        sums: dict[str, float] = {}
        rounds = 6
        for _ in range(rounds):
            kernels, gradients = self._paint(easel, dice)
            found = {tap: kernels[f"{tap} centred"] for tap in TAPS}
            found |= {f"gradient/{level}": error for level, error in zip(LEVELS, gradients, strict=True)}
            for name, error in found.items():
                sums[name] = sums.get(name, 0) + error.item() / rounds
        return "  ".join(f"{name} {error:.3f}" for name, error in sums.items())

    def _paint(self, easel: Easel, dice: random.Random) -> tuple[dict[str, Tensor], Tensor]:
        """Go on with some of the pictures; errors of the kernels and of the gradients there, before their step."""
        places = easel.take(self.batch, dice)
        batch = {name: easel.state[name][places] for name in ("image", "content", "style")}
        weights = self._weights(dice).to(self.device)
        image = batch["image"].clone().requires_grad_()
        with torch.no_grad():
            content, style = self.teacher(batch["content"], [CONTENT]), self.teacher(batch["style"], STYLE.layers)
        its = self.teacher(image, TAPS)
        (wanted,) = torch.autograd.grad(objective(its, content, style, weights), image)
        mine = self.student(image)
        value = objective(mine, self.student(batch["content"]), self.student(batch["style"]), weights)
        (found,) = torch.autograd.grad(value, image, create_graph=True)
        generator = torch.Generator().manual_seed(dice.randrange(2**31))
        kernels = kernel_errors(mine, {tap: maps.detach() for tap, maps in its.items()}, generator)
        easel.step(places, found.detach(), dice)
        return kernels, gradient_errors(found, wanted)

    def _weights(self, dice: random.Random) -> Tensor:
        """Of the style layers, and of the content, for each picture: the default recipe's, and others around them."""
        rows = []
        for _ in range(self.batch):
            shares = [share * math.exp(dice.gauss(0, 0.7)) for share in weights_per_layer(STYLE).values()]
            content = 10 ** dice.uniform(-0.5, 0.7)
            rows.append([SHARE * share / sum(shares) for share in shares] + [content])
        return torch.tensor(rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="distill", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photographs", type=Path, help="a folder")
    parser.add_argument("checkpoint", type=Path, help="continued if it is there")
    parser.add_argument("--weights", type=Path, required=True, help="the .safetensors file to write at the end")
    parser.add_argument("--steps", type=int, default=6500)
    parser.add_argument("--batch", type=int, default=BATCH, help="crops of a step")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    photographs = find_pictures(options.photographs)
    training = Training(photographs, options.steps, options.seed, options.batch, options.device)
    if options.checkpoint.exists():
        training.restore(load_state(options.checkpoint, kind=KIND))
    start = time.perf_counter()
    while training.step < training.steps:
        training.advance()
        if training.step % SAVED == 0 or training.step == training.steps:
            save_state(options.checkpoint, training.state(), kind=KIND)
        if training.step % JUDGED == 0 or training.step == training.steps:
            print(f"{training.step}  {time.perf_counter() - start:.0f} s  {training.judge()}", flush=True)
    save_file(training.student.weights(), options.weights)


if __name__ == "__main__":
    main()
