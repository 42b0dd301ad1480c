"""Several encoders in one objective, and layers that are one vector for the whole picture."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
import torch
from doubles import Noise, filters
from torch import Tensor, nn

from neuralstyle import (
    ContentLoss,
    FeatureExtractor,
    GramStyleLoss,
    Layer,
    Loss,
    LossSum,
    ModuleExtractor,
    Objective,
    Style,
    TotalVariationLoss,
    losses,
    stylize,
)
from neuralstyle.encoders import CombinedEncoder, InPrecision
from neuralstyle.losses import MeanStdLoss, MMDLoss, NearestNeighborLoss, SlicedWassersteinLoss
from neuralstyle.objective.features import FeatureSource
from neuralstyle.objective.objective import check_losses
from neuralstyle.testing import check_encoder


class Embedding(nn.Module):
    """A small convolutional network with a global feature."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 4, stride=4), nn.Tanh())
        self.head = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.head(self.stem(x).square().mean((2, 3)))
        return result


@pytest.fixture(scope="module")
def clip() -> ModuleExtractor:
    torch.manual_seed(5)
    return ModuleExtractor(Embedding(), ["stem", "head"], mean=(0.5,) * 3, std=(0.25,) * 3).double()


@pytest.fixture(scope="module")
def both(encoder64: FeatureExtractor, clip: ModuleExtractor) -> CombinedEncoder:
    return CombinedEncoder(vgg=encoder64, clip=clip)


def pictures(noise: Noise, count: int = 3) -> Tensor:
    return noise(count, 1, 3, 16, 24, dtype=torch.float64)


def of_vgg(prefix: str) -> LossSum:
    return ContentLoss(f"{prefix}relu2_1") + 3 * GramStyleLoss((f"{prefix}relu1_1", f"{prefix}relu2_1"))


def of_clip(prefix: str) -> LossSum:
    return 2 * NearestNeighborLoss(f"{prefix}head") + ContentLoss(f"{prefix}head") + MeanStdLoss(f"{prefix}stem")


# Several encoders


def test_two_encoders_in_one_objective_are_the_sum_of_each_alone(
    encoder64: FeatureExtractor, clip: ModuleExtractor, both: CombinedEncoder, noise: Noise
) -> None:
    image, content, style = pictures(noise)
    options: dict[str, Any] = {"content": content, "styles": [style]}
    together = Objective(both, of_vgg("vgg/") + of_clip("clip/"), **options).evaluate(image)
    alone = [
        Objective(encoder64, of_vgg(""), **options).evaluate(image),
        Objective(clip, of_clip(""), **options).evaluate(image),
    ]
    assert all(part.loss > 0 for part in alone)
    assert together.loss == pytest.approx(sum(part.loss for part in alone), rel=1e-12)
    torch.testing.assert_close(together.gradient, sum(part.gradient for part in alone))


def test_its_derivatives_are_those_of_differences_once_and_twice(noise: Noise) -> None:
    torch.manual_seed(1)
    first, second = (ModuleExtractor(Embedding(), ["stem", "head"]).double() for _ in range(2))
    encoder = CombinedEncoder(one=first, other=second)
    _, content, style = pictures(noise)
    objective = Objective(encoder, GramStyleLoss("one/stem") + of_clip("other/"), content=content, styles=[style])
    image = pictures(noise)[0].clone().requires_grad_()
    torch.autograd.gradcheck(objective, image, fast_mode=True)
    torch.autograd.gradgradcheck(objective, image, fast_mode=True)


def test_tiles_are_exact_where_no_layer_in_use_is_global(both: CombinedEncoder, noise: Noise) -> None:
    image, content, style = pictures(noise)
    objective = Objective(both, of_vgg("vgg/") + MeanStdLoss("clip/stem"), content=content, styles=[style])
    whole, tiled = objective.evaluate(image), objective.evaluate(image, tile=8)
    assert tiled.loss == pytest.approx(whole.loss, rel=1e-12)
    torch.testing.assert_close(tiled.gradient, whole.gradient)


def test_it_is_an_encoder(both: CombinedEncoder, encoder64: FeatureExtractor, noise: Noise) -> None:
    assert {"image", "vgg/relu4_2", "clip/stem", "clip/head"} <= set(both.layers)
    assert "vgg/image" not in both.layers
    assert both.layers["vgg/relu4_2"].reach == encoder64.layers["relu4_2"].reach
    image = pictures(noise)[0]
    features = both(image, ["clip/head", "image", "vgg/relu2_1"])
    assert list(features) == ["clip/head", "image", "vgg/relu2_1"]
    torch.testing.assert_close(features["vgg/relu2_1"], encoder64(image, ["relu2_1"])["relu2_1"])
    check_encoder(both, ["image", "vgg/relu1_2", "clip/stem", "clip/head"])


def test_only_the_encoders_that_are_asked_for_run(encoder64: FeatureExtractor, noise: Noise) -> None:
    class Refusing:
        layers = {"any": Layer("any", "module", 4, 2, 3)}  # noqa: RUF012

        def __call__(self, image: Tensor, names: Iterable[str]) -> dict[str, Tensor]:
            raise AssertionError

    encoder = CombinedEncoder(vgg=encoder64, other=Refusing())
    image, content, _ = pictures(noise)
    assert Objective(encoder, ContentLoss("vgg/relu1_1"), content=content).evaluate(image).loss > 0
    assert "other=Refusing" in repr(encoder)


def test_each_encoder_computes_in_its_own_dtype(encoder64: FeatureExtractor, noise: Noise) -> None:
    torch.manual_seed(5)
    single = ModuleExtractor(Embedding(), ["head"])
    encoder = CombinedEncoder(vgg=encoder64, clip=single)
    image = pictures(noise)[0]
    features = encoder(image, ["clip/head"])["clip/head"]
    assert features.dtype == torch.float64
    torch.testing.assert_close(features.float(), single(image.float(), ["head"])["head"])


def test_the_encoders_of_other_people_inside_are_tried(encoder64: FeatureExtractor, noise: Noise) -> None:
    class Detached:
        layers = {"any": Layer("any", "module", 3, 1, 0)}  # noqa: RUF012

        def __call__(self, image: Tensor, names: Iterable[str]) -> dict[str, Tensor]:
            return dict.fromkeys(names, image.detach())

    encoder = CombinedEncoder(vgg=encoder64, other=Detached())
    with pytest.raises(ValueError, match="no gradient with respect to the picture"):
        Objective(encoder, ContentLoss("other/any"), content=pictures(noise)[0])


def test_stylize_looks_through_it(noise: Noise) -> None:
    torch.manual_seed(5)
    encoder = CombinedEncoder(
        vgg=FeatureExtractor(layers=["relu2_1"]), clip=ModuleExtractor(Embedding(), ["stem", "head"])
    )
    result = stylize(
        noise(1, 3, 32, 40),
        noise(1, 3, 32, 32),
        losses=of_vgg("vgg/") + NearestNeighborLoss("clip/head"),
        encoder=encoder,
        size=40,
        iterations=2,
        progress=False,
    )
    assert result.size == (40, 32)


def test_a_precision_goes_around_the_whole(noise: Noise) -> None:
    inside = CombinedEncoder(vgg=FeatureExtractor(layers=["relu2_1"]))
    image, content = noise(2, 1, 3, 16, 24)
    values = [
        Objective(each, ContentLoss("vgg/relu2_1"), content=content).evaluate(image).loss
        for each in (inside, InPrecision(inside, "bfloat16"))
    ]
    assert values[0] != values[1] == pytest.approx(values[0], rel=0.05)
    with pytest.raises(ValueError, match=r"give InPrecision\(CombinedEncoder\(...\)\)"):
        CombinedEncoder(vgg=InPrecision(FeatureExtractor(layers=["relu2_1"])))


def test_what_cannot_be_combined_is_refused(encoder64: FeatureExtractor, both: CombinedEncoder, noise: Noise) -> None:
    with pytest.raises(ValueError, match="received none"):
        CombinedEncoder()
    with pytest.raises(TypeError, match="network and not an encoder"):
        CombinedEncoder(vgg=nn.Conv2d(3, 4, 1))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'a/b'"):
        CombinedEncoder(**{"a/b": encoder64})
    with pytest.raises(ValueError, match="did you mean 'vgg/relu2_1'"):
        both(pictures(noise)[0], ["vgg/relu21"])


def test_a_layer_that_is_left_out_says_why(noise: Noise) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten(2))
    encoder = CombinedEncoder(own=ModuleExtractor(network))
    with pytest.raises(ValueError, match=r"'own/1' of Sequential is no layer: it gives \(1, 4, 256\)"):
        Objective(encoder, ContentLoss("own/1"), content=noise(1, 3, 16, 16))


# Vectors


RUNNING = [ContentLoss, NearestNeighborLoss, GramStyleLoss, MeanStdLoss, MMDLoss, SlicedWassersteinLoss]


@pytest.mark.parametrize("kind", RUNNING)
def test_losses_run_on_a_vector(clip: ModuleExtractor, noise: Noise, kind: Any) -> None:
    image, content, style = pictures(noise)
    objective = Objective(clip, kind("head"), content=content, styles=[style])
    evaluation = objective.evaluate(image)
    reference = content if kind is ContentLoss else style
    x, target = (clip(each, ["head"])["head"] for each in (image, reference))
    assert x.shape == (1, 5)
    assert evaluation.loss == pytest.approx(kind("any")(x, target).item(), rel=1e-12)
    assert evaluation.loss > 0
    assert evaluation.gradient.any()


def test_a_vector_by_hand(clip: ModuleExtractor, noise: Noise) -> None:
    image, content, style = pictures(noise)
    x, target, of_style = (clip(each, ["head"])["head"] for each in (image, content, style))
    losses = ContentLoss("head") + NearestNeighborLoss("head")
    terms = Objective(clip, losses, content=content, styles=[style]).terms(image)
    assert terms["ContentLoss"].item() == pytest.approx(0.5 * float((x - target).square().mean()))
    cosine = torch.nn.functional.cosine_similarity(x, of_style).item()
    assert terms["NearestNeighborLoss"].item() == pytest.approx(1 - cosine, rel=1e-4)


def test_a_vector_of_a_picture_with_cut_cells_counts_once(clip: ModuleExtractor, noise: Noise) -> None:
    image, content = noise(2, 1, 3, 19, 26, dtype=torch.float64)
    objective = Objective(clip, ContentLoss("head") + ContentLoss("stem"), content=content)
    source = FeatureSource(clip, ["head", "stem"])
    x, target = (source(each, ["head"])["head"][:, :, 0, 0] for each in (image, content))
    value = objective.terms(image)["ContentLoss"].item()
    assert value == pytest.approx(0.5 * float((x - target).square().mean()))


def test_a_batch_of_vectors_is_the_mean(clip: ModuleExtractor, noise: Noise) -> None:
    first, second, content, style = pictures(noise, 4)
    objective = Objective(clip, of_clip(""), content=content, styles=[style])
    together = objective.evaluate(torch.cat([first, second])).loss
    assert together == pytest.approx((objective.evaluate(first).loss + objective.evaluate(second).loss) / 2)


class Joint(Loss):
    layers = ("stem", "head")
    reference = "content"
    joint = True

    def forward(self, x: dict[str, Tensor], target: dict[str, Tensor]) -> Tensor:
        assert x["head"].shape[1:] == (5, 1, 1)
        return (x["stem"].mean((2, 3)).sum() * x["head"].sum() - target["head"].sum()).square()


def test_a_joint_loss_sees_maps_and_a_vector(clip: ModuleExtractor, noise: Noise) -> None:
    image, content, _ = pictures(noise)
    found = clip(image, ["stem", "head"])
    expected = (found["stem"].mean((2, 3)).sum() * found["head"].sum() - clip(content, ["head"])["head"].sum()) ** 2
    assert Objective(clip, Joint(), content=content).evaluate(image).loss == pytest.approx(expected.item())


PLACED = [
    losses.SelfSimilarityLoss("head"),
    losses.LongRangeLoss("head"),
    losses.LaplacianLoss("head"),
    losses.ContextualLoss("head"),
    losses.MRFLoss("head"),
    TotalVariationLoss("head"),
    losses.HypercolumnLoss(("stem", "head")),
]


@pytest.mark.parametrize("loss", PLACED, ids=lambda loss: type(loss).__name__)
def test_losses_that_need_positions_say_so(clip: ModuleExtractor, noise: Noise, loss: Loss) -> None:
    _, content, style = pictures(noise)
    name = type(loss).__name__
    with pytest.raises(ValueError, match=f"{name} compares positions .* layer 'head' of Embedding is one vector"):
        Objective(clip, loss, content=content, styles=[style])
    with pytest.raises(ValueError, match=name):
        check_losses(1 * loss, clip, ["content", "style"])


def test_tiles_masks_and_regions_say_so(clip: ModuleExtractor, noise: Noise) -> None:
    image, content, style = pictures(noise)
    half = (torch.arange(24) < 12).expand(16, 24).double()
    with pytest.raises(ValueError, match="tiles cannot be exact with layer 'head'"):
        Objective(clip, ContentLoss("head"), content=content).evaluate(image, tile=8)
    for options in ({"mask": half}, {"region": half}):
        with pytest.raises(ValueError, match="layer 'head', one vector for the whole picture, which no mask or region"):
            Objective(clip, MeanStdLoss("head"), styles=[Style(style, **options)])


def test_a_vector_that_is_described_or_returned_wrongly_is_refused(noise: Noise) -> None:
    class Wrong:
        def __init__(self, layer: Layer, shape: tuple[int, ...]) -> None:
            self.layers, self.shape = {layer.name: layer}, shape

        def __call__(self, image: Tensor, names: Iterable[str]) -> dict[str, Tensor]:
            return dict.fromkeys(names, image.mean() * torch.ones(self.shape))

    content = noise(1, 3, 16, 16)
    for encoder, message in (
        (Wrong(Layer("v", "vector", 4, 1, 0), (1, 4)), r"describe it by Layer.vector\(name, channels\)"),
        (Wrong(Layer.vector("v", 4), (1, 4, 1, 1)), r"its Layer says \(B, C\) = \(1, 4\)"),
        (Wrong(Layer.vector("v", 4), (1, 5)), r"its Layer says \(B, C\) = \(1, 4\)"),
    ):
        with pytest.raises(ValueError, match=message):
            Objective(encoder, ContentLoss("v"), content=content).evaluate(content)


def test_any_name_will_do_but_an_empty_one(noise: Noise) -> None:
    """A dict of modules would refuse those that its class has."""
    names = ("forward", "type", "layers", "training")
    both = CombinedEncoder(**{name: ModuleExtractor(filters()) for name in names})
    picture = noise(1, 3, 8, 8)
    features = both(picture, [f"{name}/0" for name in names])
    assert [features[f"{name}/0"].shape for name in names] == [(1, 4, 8, 8)] * 4
    assert both.to(torch.float64)(picture.double(), ["type/0"])["type/0"].dtype == torch.float64
    with pytest.raises(ValueError, match="an encoder has a name, received ''"):
        CombinedEncoder(**{"": ModuleExtractor(filters())})
