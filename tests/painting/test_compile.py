"""The network compiled by torch: the same results, and a bounded number of compilations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo import lookup_backend

from neuralstyle import (
    ContentLoss,
    FeatureExtractor,
    GramStyleLoss,
    ModuleExtractor,
    Objective,
    Stage,
    TotalVariationLoss,
    load_image,
    samples,
    save_image,
    stylize,
)
from neuralstyle.cli import main
from neuralstyle.encoders import precision as numbers
from neuralstyle.encoders.precision import InPrecision


@pytest.fixture(scope="module")
def painting() -> Tensor:
    return load_image(samples.painting("swirl", 96))


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, ...]]]:
    """The sizes of pictures for which the network has been compiled, by a compiler that leaves all as it is."""
    sizes: list[tuple[int, ...]] = []

    def backend(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        sizes.extend(tuple(x.shape[2:]) for x in inputs if x.ndim == 4 and x.shape[1] == 3 and x.requires_grad)
        return lookup_backend("aot_eager")(graph, inputs)

    torch.compiler.reset()
    compiled = torch.compile(numbers._features, dynamic=False, backend=backend, fullgraph=True)
    monkeypatch.setattr(numbers, "_compiled", lambda: compiled)
    yield sizes
    torch.compiler.reset()


@pytest.mark.parametrize(
    ("precision", "options"),
    [
        (None, {"pooling": "l2", "padding": "replicate"}),
        ("bfloat16", {"pooling": "l2", "padding": "replicate"}),
        ("bfloat16", {"pooling": "average", "padding": "reflect"}),
        (None, {"pooling": "max", "normalize": False}),
    ],
    ids=str,
)
def test_compiled_it_is_the_same(
    options: Any, precision: Any, photo: Tensor, painting: Tensor, compilations: list[Any]
) -> None:
    encoder = FeatureExtractor(**options, layers=("relu2_2",), convolution="direct")
    losses = GramStyleLoss(("relu1_1", "relu2_1")) + ContentLoss("conv2_2") + 10 * TotalVariationLoss()
    plain, compiled = (
        Objective(InPrecision(encoder, precision, compile), losses, content=photo, styles=[painting]).evaluate(
            photo.flip(3)
        )
        for compile in (False, True)
    )
    assert compiled.terms == pytest.approx(plain.terms, rel=1e-4)
    cosine = torch.cosine_similarity(compiled.gradient.flatten(), plain.gradient.flatten(), 0)
    assert float(cosine) > (1 - 1e-6 if precision is None else 0.999)
    assert compilations == [(64, 96)]


def test_once_for_each_size(photo: Tensor, painting: Tensor, compilations: list[Any]) -> None:
    encoder = FeatureExtractor(layers=("relu2_1",))
    losses = GramStyleLoss(("relu1_1", "relu2_1"))
    for _ in range(2):
        stylize(
            photo, painting, losses=losses, encoder=InPrecision(encoder, compile=True), size=96, iterations=2,
            progress=False,
            schedule=[Stage(48, 2), Stage(72, 2), Stage(96, 2)],
        )  # fmt: skip
    assert compilations == [(32, 48), (48, 72), (64, 96)]


def test_tiles_of_few_sizes(photo: Tensor, painting: Tensor, compilations: list[Any]) -> None:
    encoder = FeatureExtractor(layers=("relu2_1",), convolution="direct")
    whole = Objective(encoder, GramStyleLoss("relu2_1"), styles=[painting])
    objective = Objective(InPrecision(encoder, compile=True), GramStyleLoss("relu2_1"), styles=[painting])
    for _ in range(2):
        evaluation = objective.evaluate(photo, 16)
    assert len(compilations) == len(set(compilations)) <= 9
    assert evaluation.loss == pytest.approx(whole.evaluate(photo).loss, rel=1e-5)
    torch.testing.assert_close(evaluation.gradient, whole.evaluate(photo).gradient, rtol=1e-3, atol=1e-8)


def test_sizes_beyond_the_most_are_computed_all_the_same(
    photo: Tensor, compilations: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = torch.compile(numbers._features, dynamic=False, backend="eager")
    monkeypatch.setattr(numbers, "_compiled", lambda: compiled)
    monkeypatch.setattr(numbers, "MAX_COMPILED_SIZES", 2)
    encoder = FeatureExtractor(layers=("relu1_1",), convolution="direct")
    for width in (16, 32, 48, 64):
        image = photo[..., :width]
        losses = [
            Objective(each, GramStyleLoss("relu1_1"), styles=[photo.flip(1)]).evaluate(image).loss
            for each in (InPrecision(encoder, compile=True), encoder)
        ]
        assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_what_cannot_be_compiled() -> None:
    encoder = ModuleExtractor(nn.Conv2d(3, 4, 3))
    with pytest.raises(ValueError, match="compile=True is for a FeatureExtractor, received ModuleExtractor"):
        InPrecision(encoder, compile=True)


def test_the_commands_option(photo: Tensor, tmp_path: Path, compilations: list[Any]) -> None:
    for name in ("content", "style"):
        save_image(photo, tmp_path / f"{name}.png")
    command = (
        "reconstruct content.png --layer relu1_1 --size 32 --iterations 2 --quiet --device cpu --compile -o out.png"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        assert main(command.split()) == 0
    assert compilations == [(21, 32)]


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16"])
def test_on_cuda(precision: Any, photo: Tensor, painting: Tensor) -> None:
    encoder = FeatureExtractor(pooling="l2", padding="replicate").cuda()
    losses = GramStyleLoss(normalization="relative") + ContentLoss("relu4_2") + 10 * TotalVariationLoss()
    plain, compiled = (
        Objective(InPrecision(encoder, precision, compile), losses, content=photo, styles=[painting]).evaluate(
            photo.flip(3).cuda()
        )
        for compile in (False, True)
    )
    assert compiled.loss == pytest.approx(plain.loss, rel=5e-3)
    assert float(torch.cosine_similarity(compiled.gradient.flatten(), plain.gradient.flatten(), 0)) > 0.998
