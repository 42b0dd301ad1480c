"""Results are the same bytes in any modes and settings of torch, and the caller's things stay as they are."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import astuple
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from doubles import painting, sgd_of
from torch import Tensor

from neuralstyle import (
    Adam,
    ContentLoss,
    FeatureExtractor,
    GramStyleLoss,
    ModuleExtractor,
    Noise,
    Objective,
    Stage,
    Style,
    TotalVariationLoss,
    color,
    iterate,
    load_image,
    losses,
    metrics,
    paint,
    plan,
    recolor,
    reconstruct_content,
    samples,
    save_image,
    stylize,
    synthesize_texture,
)
from neuralstyle.encoders import measure_activation_scales
from neuralstyle.feedforward import (
    TrainingData,
    TransformerNet,
    apply_files,
    apply_model,
    load_model,
    run_model,
    save_model,
    train,
)
from neuralstyle.testing import check_encoder, check_loss

QUICK: dict[str, Any] = {"size": 48, "iterations": 2, "progress": False, "device": "cpu"}
SHALLOW = ContentLoss("relu2_1") + 10 * GramStyleLoss(("relu1_1", "relu2_1")) + TotalVariationLoss()
LAYERS = ("relu1_1", "relu2_1")


def photo() -> Any:
    return samples.photo().resize((48, 32))


def shallow() -> FeatureExtractor:
    return FeatureExtractor(layers=LAYERS)


def network() -> TransformerNet:
    return TransformerNet(width=4, blocks=1, seed=3)


def region() -> np.ndarray[Any, Any]:
    return np.arange(48 * 32, dtype=np.float32).reshape(32, 48) / (48 * 32)


def as_bytes(found: Any) -> Any:
    if isinstance(found, Tensor):
        return str(found.dtype), tuple(found.shape), found.detach().cpu().numpy().tobytes()
    return found.tobytes() if hasattr(found, "tobytes") else found


# The functions, each at its smallest


def paint_by_default(folder: Path) -> Any:
    return stylize(photo(), painting(), **QUICK)


def paint_with_all_options(folder: Path) -> Any:
    styles = [
        Style(painting(), region=region(), mask=region(), softness=0.1),
        Style(painting("embers"), region=1 - region()),
    ]
    return stylize(
        photo(),
        styles,
        losses=SHALLOW,
        init=Noise("style", blend=0.5),
        color="luminance",
        result="average",
        schedule=lambda size, iterations: [Stage(32, 2), Stage(size, iterations or 2)],
        tile=32,
        state=folder / "run.safetensors",
        **QUICK,
    )


def paint_with_adam(folder: Path) -> Any:
    return stylize(
        photo(), painting(), losses=SHALLOW, encoder=shallow(), optimizer=Adam(), color="match", init="noise", **QUICK
    )


def paint_with_an_optimizer_of_torch(folder: Path) -> Any:
    return stylize(photo(), painting(), losses=SHALLOW, encoder=shallow(), optimizer=sgd_of(0.1), **QUICK)


def paint_through_a_module(folder: Path) -> Any:
    convolution = torch.nn.utils.skip_init(torch.nn.Conv2d, 3, 4, 3, padding=1, device="cpu", dtype=torch.float32)
    torch.nn.init.constant_(convolution.weight, 0.1)
    torch.nn.init.zeros_(convolution.bias)
    module = torch.nn.Sequential(convolution, torch.nn.ReLU())
    return stylize(photo(), painting(), losses=GramStyleLoss("1"), encoder=ModuleExtractor(module), **QUICK)


def texture(folder: Path) -> Any:
    return synthesize_texture(painting(), losses=GramStyleLoss(LAYERS), encoder=shallow(), **QUICK)


def reconstruction(folder: Path) -> Any:
    return reconstruct_content(photo(), "relu1_1", **QUICK)


def steps(folder: Path) -> Any:
    for progress in iterate(stylize, photo(), painting(), losses=SHALLOW, color="luminance", **QUICK):
        found = progress
    return as_bytes(found.image()), as_bytes(found.tensor())


def planned(folder: Path) -> Any:
    made = plan(photo(), painting(), losses=SHALLOW, encoder=shallow(), **QUICK)
    return as_bytes(made.start), as_bytes(paint(made))


def every_loss(folder: Path) -> Any:
    terms = [
        getattr(losses, name)()
        if name in ("GhostLoss", "RangeLoss", "LaplacianLoss", "TotalVariationLoss")
        else getattr(losses, name)("relu2_1")
        for name in losses.__all__
        if name.endswith("Loss") and name not in ("Loss", "PointwiseLoss", "StatisticLoss")
    ]
    together = terms[0] + terms[1]
    for term in terms[2:]:
        together = together + term
    content = load_image(photo())
    objective = Objective(shallow(), together, content=content, styles=[painting()], previous=content.flip(3))
    found = objective.evaluate((content * 0.5 + 0.2).clamp(0, 1))
    return found.terms, as_bytes(found.gradient)


def training(folder: Path) -> Any:
    samples.photo().resize((48, 48)).save(folder / "cat.png")
    data = TrainingData(folder / "cat.png", size=32, batch_size=1, steps=2, workers=0)
    trained = train(
        painting(),
        data,
        losses=SHALLOW,
        encoder=shallow(),
        network=network(),
        progress=False,
        device="cpu",
        output=folder / "model.safetensors",
    )
    return [as_bytes(value) for value in load_model(folder / "model.safetensors").state_dict().values()], [
        as_bytes(value) for value in trained.state_dict().values()
    ]


def application(folder: Path) -> Any:
    file = save_model(network(), folder / "model.safetensors")
    samples.photo().resize((48, 32)).save(folder / "cat.png")
    assert not apply_files(file, folder / "cat.png", folder / "painted.png", progress=False, device="cpu")
    return (
        (folder / "painted.png").read_bytes(),
        as_bytes(apply_model(file, photo(), device="cpu")),
        as_bytes(run_model(network().eval(), load_image(photo()), tile=32)),
    )


def colours(folder: Path) -> Any:
    content, style = load_image(photo()), load_image(painting(), 48)
    found = [color.match_color(style, content, each) for each in ("match", "match-pca", "match-cholesky")]
    found += [color.match_histogram(style, content), color.keep_chroma(content.flip(3), content, 256)]
    found += [color.follow_color(content.flip(3), content, each) for each in ("match", "histogram")]
    lab = color.rgb_to_oklab(content)
    found += [lab, color.oklab_to_rgb(lab), recolor(photo(), painting())]
    return [as_bytes(each) for each in found]


def measures(folder: Path) -> Any:
    big = samples.photo().resize((96, 64))
    scores = metrics.compare(big, painting(), {"turned": big.rotate(180)})["turned"]
    return astuple(scores), metrics.style_distance(big, painting(), encoder=shallow(), layers=LAYERS)


def scales(folder: Path) -> Any:
    found = measure_activation_scales(FeatureExtractor(layers=LAYERS, normalize=False), [painting()], size=32)
    return {name: as_bytes(scale) for name, scale in found.items()}


def checks(folder: Path) -> Any:
    check_loss(GramStyleLoss("relu2_1"))
    check_encoder(shallow(), ["relu1_1"])
    return None


def files(folder: Path) -> Any:
    path = save_image(load_image(photo(), 32), folder / "small.png")
    return path.read_bytes(), as_bytes(load_image(path))


FUNCTIONS = (
    paint_by_default,
    paint_with_all_options,
    paint_with_adam,
    paint_with_an_optimizer_of_torch,
    paint_through_a_module,
    texture,
    reconstruction,
    steps,
    planned,
    every_loss,
    training,
    application,
    colours,
    measures,
    scales,
    checks,
    files,
)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Callable[[Path], Any]], Any]:
    """What a function gives in a plain program."""
    return cache(lambda function: as_bytes(function(tmp_path_factory.mktemp("alone"))))


# The surroundings


@contextmanager
def set_globally(setter: Callable[[Any], None], value: Any, back: Any) -> Iterator[None]:
    setter(value)
    try:
        yield
    finally:
        setter(back)


SURROUNDINGS: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "inference mode": lambda: torch.inference_mode(),
    "no grad": lambda: torch.no_grad(),
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "double precision": lambda: set_globally(torch.set_default_dtype, torch.float64, torch.float32),
    "half precision": lambda: set_globally(torch.set_default_dtype, torch.float16, torch.float32),
    "bfloat16": lambda: set_globally(torch.set_default_dtype, torch.bfloat16, torch.float32),
    "meta device": lambda: set_globally(torch.set_default_device, "meta", None),
    "with a device": lambda: torch.device("meta"),
    "deterministic": lambda: set_globally(torch.use_deterministic_algorithms, True, False),
    "numpy raises": lambda: np.errstate(all="raise"),
}


@pytest.mark.parametrize("surroundings", SURROUNDINGS)
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_the_result_is_the_same_in_any_surroundings(
    function: Callable[[Path], Any], surroundings: str, alone: Callable[..., Any], tmp_path: Path
) -> None:
    expected = alone(function)
    with SURROUNDINGS[surroundings]():
        found = as_bytes(function(tmp_path))
    assert found == expected


def test_four_threads_at_once_give_the_same(alone: Callable[..., Any], tmp_path: Path) -> None:
    expected = [alone(function) for function in FUNCTIONS]

    def run(thread: int) -> list[Any]:
        found = []
        for number, function in enumerate(FUNCTIONS):
            folder = tmp_path / f"{thread}-{number}"
            folder.mkdir()
            found.append(as_bytes(function(folder)))
        return found

    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(run, range(4)):
            assert found == expected


def test_the_loop_of_asyncio_and_its_threads_give_the_same(alone: Callable[..., Any], tmp_path: Path) -> None:
    expected = [alone(planned), alone(steps), alone(planned)]

    async def work() -> list[Any]:
        other = asyncio.to_thread(planned, tmp_path)
        here = steps(tmp_path)
        return [planned(tmp_path), here, await other]

    assert [as_bytes(found) for found in asyncio.run(work())] == expected


def states() -> dict[str, Any]:
    """Whatever a library might change for its host: random numbers, and settings of torch."""
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002
    return {
        "torch's random numbers": torch.random.get_rng_state().numpy().tobytes(),
        "numpy's random numbers": (kind, keys.tobytes(), *rest),
        "Python's random numbers": random.getstate(),
        "dtype": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "gradients": torch.is_grad_enabled(),
        "inference mode": torch.is_inference_mode_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "precision": torch.get_float32_matmul_precision(),
        "numpy's errors": np.geterr(),
    }


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_random_numbers_and_settings_stay_the_callers(function: Callable[[Path], Any], tmp_path: Path) -> None:
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        before = states()
        function(tmp_path)
        assert states() == before


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_the_callers_random_numbers_change_nothing(
    function: Callable[[Path], Any], alone: Callable[..., Any], tmp_path: Path
) -> None:
    expected = alone(function)
    torch.manual_seed(1234)
    assert as_bytes(function(tmp_path)) == expected


def inference(tensor: Tensor) -> Tensor:
    with torch.inference_mode():
        return tensor.clone()


KINDS: dict[str, Callable[[Tensor], Tensor]] = {
    "inference": inference,
    "requires grad": lambda tensor: tensor.clone().requires_grad_(),
    "in a graph": lambda tensor: tensor.clone().requires_grad_() * 1,
    "channels last": lambda tensor: tensor.clone(memory_format=torch.channels_last),
    "a view": lambda tensor: torch.cat([tensor, tensor])[1:],
}


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_may_be_any_kind_of_tensor(kind: str) -> None:
    content, style, start = load_image(photo()), load_image(painting()), load_image(painting("embers"))
    mask = torch.from_numpy(region())[None, None]

    def run(of: Callable[[Tensor], Tensor]) -> list[Any]:
        styled = Style(of(style), region=of(mask), mask=of(mask))
        image = stylize(of(content), styled, losses=SHALLOW, encoder=shallow(), init=of(start), color="match", **QUICK)
        objective = Objective(shallow(), SHALLOW, content=of(content), styles=[of(style)])
        found = objective.evaluate(of(content.flip(3)))
        again = objective.evaluate(of(content.flip(3)), tile=32)
        assert found.gradient is not None
        assert again.gradient is not None
        assert not found.gradient.requires_grad
        measured = metrics.color_distance(of(load_image(painting("embers"))), of(style))
        return [*map(as_bytes, (image, found.gradient, again.gradient, apply_model(network(), of(content)))), measured]

    assert run(KINDS[kind]) == run(lambda tensor: tensor)


def test_pictures_may_be_in_double_precision() -> None:
    content, style = load_image(photo()), load_image(painting())
    expected = stylize(content, style, losses=SHALLOW, encoder=shallow(), **QUICK)
    found = stylize(content.double(), style.double(), losses=SHALLOW, encoder=shallow(), **QUICK)
    assert np.abs(np.asarray(found).astype(int) - np.asarray(expected).astype(int)).max() <= 1


def test_what_is_made_in_inference_mode_serves_outside_it() -> None:
    content = load_image(photo())
    expected = Objective(shallow(), SHALLOW, content=content, styles=[painting()]).evaluate(content.flip(3))
    with torch.inference_mode():
        objective = Objective(shallow(), SHALLOW, content=load_image(photo()), styles=[load_image(painting())])
        made = network()
    found = objective.evaluate(content.flip(3))
    assert as_bytes(found.gradient) == as_bytes(expected.gradient)
    made(content).sum().backward()
    assert as_bytes(apply_model(made, content)) == as_bytes(apply_model(network(), content))


def test_a_loss_called_in_inference_mode_has_gradients_later() -> None:
    features = torch.rand(1, 5, 40, 41)
    loss = losses.SlicedWassersteinLoss("relu1_1", 3, seed=4321)
    with torch.inference_mode():
        loss(features, features.flip(3))
    x = features.clone().requires_grad_()
    loss(x, features.flip(2)).backward()
    assert x.grad is not None
