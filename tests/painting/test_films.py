"""Films: steadier than free frames and as close to the style; the command; scenes after a cut."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from neuralstyle import load_image, samples
from neuralstyle.metrics import style_distance
from neuralstyle.video import PyramidFlow, consistency, stylize_video, warp

FRAMES = 4


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A camera that moves over the sample photograph, two pixels a frame."""
    folder = tmp_path_factory.mktemp("clip")
    photo = samples.photo().resize((168, 112))
    for number in range(FRAMES):
        photo.crop((2 * number, 0, 2 * number + 144, 112)).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def painted(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[Tensor]]:
    folder, found = tmp_path_factory.mktemp("films"), dict[tuple[float, int], list[Tensor]]()

    def paint(steadiness: float, passes: int = 1) -> list[Tensor]:
        key = steadiness, passes
        if key not in found:
            out, state = folder / f"{steadiness}-{passes}".replace(".", "_"), folder / f"{steadiness}-state"
            film(clip, out, steadiness=steadiness, iterations=30, passes=passes, state=state)
            found[key] = [load_image(path) for path in sorted(out.glob("*.png"))]
        return found[key]

    return paint


def film(clip: Path, output: Path, **options: Any) -> Path:
    settings = {"size": 144, "progress": False, "flow": PyramidFlow(), **options}
    return stylize_video(clip, samples.painting("swirl", size=144), output, **settings)


def warping_error(clip: Path, frames: list[Tensor], *, backwards: bool = False) -> float:
    contents = [load_image(path) for path in sorted(clip.glob("*.png"))]
    if backwards:
        contents, frames = contents[::-1], frames[::-1]
    total, find = 0.0, PyramidFlow()
    for number in range(1, FRAMES):
        here, before = contents[number], contents[number - 1]
        flow = find(here, before)
        mask = consistency(flow, find(before, here), here, before)
        assert mask.mean() > 0.5
        square = (warp(frames[number - 1], flow) - frames[number]).square().mean(1, keepdim=True)
        total += float((square * mask).sum() / mask.sum())
    return total / (FRAMES - 1)


def test_steady_frames_flicker_less_and_are_as_close_to_the_style(
    clip: Path, painted: Callable[[float], list[Tensor]]
) -> None:
    free, steady = painted(0.0), painted(0.5)
    assert torch.equal(free[0], steady[0])
    assert warping_error(clip, steady) < 0.3 * warping_error(clip, free)
    painting = samples.painting("swirl", size=144)
    distances = [sum(style_distance(frame, painting) for frame in frames) for frames in (free, steady)]
    assert distances[1] < 1.1 * distances[0]


def test_more_steadiness_is_steadier(clip: Path, painted: Callable[[float], list[Tensor]]) -> None:
    assert warping_error(clip, painted(1.0)) < warping_error(clip, painted(0.2))


def test_a_second_pass_is_as_steady_both_ways_and_closer_to_the_style(
    clip: Path, painted: Callable[..., list[Tensor]]
) -> None:
    once, twice = painted(0.5), painted(0.5, 2)
    (forth, back), (forth_twice, back_twice) = (
        [warping_error(clip, frames, backwards=backwards) for backwards in (False, True)] for frames in (once, twice)
    )
    assert max(forth_twice, back_twice) < 0.3 * warping_error(clip, painted(0.0))
    assert abs(back_twice / forth_twice - 1) < 0.5 * abs(back / forth - 1)
    painting = samples.painting("swirl", size=144)
    distances = [[style_distance(frame, painting) for frame in frames] for frames in (once, twice)]
    assert sum(distances[1]) < 0.95 * sum(distances[0])
    assert max(distances[1]) / min(distances[1]) < max(distances[0]) / min(distances[0])
    assert not any(torch.equal(once[end], twice[end]) for end in (0, -1))


@pytest.mark.parametrize("passes", [1, 2])
def test_a_still_clip_with_noise_of_a_level_stands_still(passes: int, tmp_path: Path) -> None:
    still = tmp_path / "still"
    still.mkdir()
    photo = load_image(samples.photo(), 96)
    for number in range(3):
        noise = torch.randint(-1, 2, photo.shape, generator=torch.Generator().manual_seed(number)) / 255
        levels = ((photo + noise).clamp(0, 1)[0] * 255).round().byte().permute(1, 2, 0).numpy()
        Image.fromarray(levels).save(still / f"{number}.png")
    film(still, tmp_path / "out", size=96, iterations=10, passes=passes)
    frames = [load_image(path) * 255 for path in sorted((tmp_path / "out").glob("*.png"))]
    assert max(float((b - a).abs().max()) for a, b in pairwise(frames)) <= 2.01


@pytest.mark.parametrize("passes", [1, 2])
def test_the_first_frame_after_a_cut_is_that_of_its_own_scene(passes: int, clip: Path, tmp_path: Path) -> None:
    both, alone = tmp_path / "both", tmp_path / "alone"
    both.mkdir()
    alone.mkdir()
    for number in range(2):
        with Image.open(clip / f"{number}.png") as image:
            image.save(both / f"{number}.png")
            dark = image.rotate(180).point(lambda level: level // 3)
        for folder in (both, alone):
            dark.save(folder / f"{number + 2}.png")
    options = {"size": 96, "iterations": 6, "frame_iterations": 3, "passes": passes}
    for folder in (both, alone):
        film(folder, folder / "out", **options)
    for name in ("2.png", "3.png"):
        assert torch.equal(load_image(both / "out" / name), load_image(alone / "out" / name))


def test_grey_and_colour_options_reach_the_frames(clip: Path, tmp_path: Path) -> None:
    film(clip, tmp_path / "out", size=96, iterations=3, frame_iterations=2, color="luminance", every=3)
    content = load_image(clip / "3.png", 96)
    frame = load_image(tmp_path / "out" / "3.png")
    chroma = [picture[:, 0] - picture[:, 2] for picture in (content, frame)]
    assert torch.corrcoef(torch.stack([each.flatten() for each in chroma]))[0, 1] > 0.9
