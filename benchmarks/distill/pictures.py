"""What is trained on: crops of photographs, and pictures that are being painted through the student."""

from __future__ import annotations

import random
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from neuralstyle import samples
from neuralstyle.images import load_image, resize_image

LARGEST = 512  # pixels, of the shortest side of a photograph


class Crops:
    """Square crops of photographs at many scales, turned over, and with their colours changed."""

    def __init__(self, files: list[Path], size: int) -> None:
        self.size = size
        self.files = files

    def draw(self, dice: random.Random) -> Tensor:
        """One of them, (1, 3, size, size)."""
        file = dice.choice(self.files)
        try:
            image = load_image(file)
        except (OSError, ValueError) as error:
            raise SystemExit(f"{file}: {error}; take it out of the folder") from error
        shortest = min(image.shape[2:])
        # As it looks at any size of the result: from all of the photograph to a detail of it.
        target = int(self.size * (min(LARGEST, max(shortest, self.size)) / self.size) ** dice.random())
        shape = tuple(max(self.size, round(side * target / shortest)) for side in image.shape[2:])
        image = resize_image(image, shape)  # type: ignore[arg-type]
        top, left = (dice.randint(0, side - self.size) for side in image.shape[2:])
        image = image[:, :, top : top + self.size, left : left + self.size]
        return self._changed(image, dice).clamp(0, 1).contiguous()

    def _changed(self, image: Tensor, dice: random.Random) -> Tensor:
        if dice.random() < 0.5:
            image = image.flip(3)
        if dice.random() < 0.15:
            image = image.flip(2)
        if dice.random() < 0.3:
            image = image[:, dice.sample(range(3), 3)]
        if dice.random() < 0.5:
            # Contrast, brightness and saturation: dark, pale and strong colours are rare in photographs.
            grey = image.mean(1, keepdim=True)
            image = grey + (image - grey) * dice.uniform(0, 2.5)
            image = (image - 0.5) * dice.uniform(0.3, 2) + dice.uniform(0.15, 0.85)
        if dice.random() < 0.1:
            image = 1 - image
        return image


class Easel:
    """Pictures being painted: each with its content and its style.

    The student is optimised through by those who use it, and so it is trained on what that leads to: each picture
    takes a step downhill, by the student's own gradient, whenever it has been trained on.
    """

    def __init__(self, crops: Crops, places: int, lifetime: float, device: str) -> None:
        self.crops, self.lifetime = crops, lifetime
        shape = (places, 3, crops.size, crops.size)
        self.state = {name: torch.zeros(shape, device=device) for name in ("image", "content", "style", "momentum")}
        self.state["begun"] = torch.zeros(places, dtype=torch.bool)  # asked on the CPU

    def take(self, count: int, dice: random.Random) -> list[int]:
        """Some of them, those whose time is over begun anew."""
        places = dice.sample(range(len(self.state["begun"])), count)
        for place in places:
            if not self.state["begun"][place] or dice.random() < 1 / self.lifetime:
                self._begin(place, dice)
        return places

    def step(self, places: list[int], gradient: Tensor, dice: random.Random) -> None:
        """Go on with these along the student's gradient."""
        momentum = 0.8 * self.state["momentum"][places] + gradient / _rms(gradient)
        lengths = [10 ** dice.uniform(-2.6, -1.6) for _ in places]
        length = torch.tensor(lengths, device=gradient.device).view(-1, 1, 1, 1)
        self.state["momentum"][places] = momentum
        stepped = self.state["image"][places] - length * momentum / _rms(momentum)
        self.state["image"][places] = stepped.clamp(0, 1)

    def _begin(self, place: int, dice: random.Random) -> None:
        content = self.crops.draw(dice)
        if dice.random() < 0.15:
            name = dice.choice(samples.PAINTINGS)
            style = samples.painting(name, size=2 * self.crops.size, seed=dice.randrange(1000))
            style = resize_image(load_image(style), (self.crops.size, self.crops.size))
        else:
            style = self.crops.draw(dice)
        kind = dice.random()
        image = content
        if kind < 0.2:
            noise = torch.rand(content.shape, generator=torch.Generator().manual_seed(dice.randrange(2**31)))
            image = torch.lerp(content, noise, dice.random())
        elif kind < 0.4:
            coarse = F.avg_pool2d(content, 2)  # as a picture that comes from the scale before
            image = F.interpolate(coarse, scale_factor=2, mode="bilinear")
        elif kind < 0.5:
            image = self.crops.draw(dice)
        for name, value in (("image", image), ("content", content), ("style", style)):
            self.state[name][place] = value[0]
        self.state["momentum"][place] = 0
        self.state["begun"][place] = True


def _rms(x: Tensor) -> Tensor:
    return x.square().mean((1, 2, 3), keepdim=True).sqrt().clamp(min=1e-12)
