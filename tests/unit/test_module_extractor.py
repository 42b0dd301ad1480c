"""Any module as an encoder: names, geometry by measurement, features, tiles."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from doubles import Noise, with_reach
from torch import Tensor, nn

from neuralstyle import ContentLoss, GramStyleLoss, Layer, ModuleExtractor, Objective, TotalVariationLoss, stylize
from neuralstyle.encoders import InPrecision
from neuralstyle.encoders.base import WHOLE_PICTURE
from neuralstyle.encoders.vgg import vgg_layers
from neuralstyle.testing import check_encoder

PLAIN: dict[str, Any] = {"mean": (0, 0, 0), "std": (1, 1, 1)}


class Block(nn.Module):
    """A residual block that works in place and uses one ReLU twice, as torchvision's do."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.shortcut = nn.Conv2d(before, after, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out += self.shortcut(x)
        return self.relu(out)


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(6)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = Block(6, 8, 1)
        self.layer2 = Block(8, 10, 2)
        self.fc = nn.Linear(10, 4)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, std=0.5)
                module.running_mean = 0.2 * torch.randn(module.num_features)
                module.running_var = 0.5 + torch.rand(module.num_features)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer2(self.layer1(self.maxpool(self.relu(self.bn1(self.conv1(x))))))
        return self.fc(x.mean((2, 3)))


@pytest.fixture(scope="module")
def residual() -> Residual:
    torch.manual_seed(0)
    return Residual()


@pytest.fixture(scope="module")
def network(residual: Residual) -> ModuleExtractor:
    return ModuleExtractor(residual, **PLAIN)


# Geometry


def test_layers_are_the_modules_whose_outputs_are_maps_or_vectors_in_running_order(network: ModuleExtractor) -> None:
    block = ["conv1", "bn1", "relu", "conv2", "bn2", "shortcut", "relu:1"]
    expected = ["image", "conv1", "bn1", "relu", "maxpool"]
    for name in ("layer1", "layer2"):
        expected += [*(f"{name}.{part}" for part in block), name]
    assert list(network.layers) == [*expected, "fc"]
    assert network.layers["fc"] == Layer.vector("fc", 4)


@pytest.mark.parametrize(
    ("name", "channels", "stride", "reach"),
    [
        ("image", 3, 1, 0),
        ("conv1", 6, 2, 3),  # 7 pixels, 3 before the cell of 2 and 2 behind
        ("maxpool", 6, 4, 5),  # and 2 more before
        ("layer1.conv1", 8, 4, 9),
        ("layer1.shortcut", 8, 4, 5),
        ("layer1.relu:1", 8, 4, 13),
        ("layer2.conv1", 10, 8, 17),
        ("layer2", 10, 8, 25),
    ],
)
def test_channels_stride_and_reach_are_measured(
    network: ModuleExtractor, name: str, channels: int, stride: int, reach: int
) -> None:
    kind = "image" if name == "image" else "module"
    assert network.layers[name] == Layer(name, kind, channels, stride, reach)  # type: ignore[arg-type]


def narrow_vgg() -> Iterator[tuple[str, nn.Module]]:
    before = 3
    for layer in vgg_layers("vgg11").values():
        if layer.kind == "conv":
            yield layer.name, nn.Conv2d(before, 2, 3, padding=1)
            before = 2
        elif layer.kind != "image":
            yield layer.name, nn.ReLU(inplace=True) if layer.kind == "relu" else nn.MaxPool2d(2)


def test_measured_geometry_of_a_vgg_is_the_known_one() -> None:
    network = nn.Sequential()
    for name, module in narrow_vgg():
        network.add_module(name, module)
    measured = ModuleExtractor(network).layers
    known = vgg_layers("vgg11")
    assert {name: (layer.stride, layer.reach) for name, layer in measured.items()} == {
        name: (layer.stride, layer.reach) for name, layer in known.items()
    }


@pytest.mark.parametrize(
    ("module", "stride", "reach"),
    [
        (nn.Conv2d(3, 2, (1, 9), padding=(0, 4)), 1, 4),
        (nn.Conv2d(3, 2, (9, 1), padding=(4, 0)), 1, 4),
        (nn.Conv2d(3, 2, 5), 1, 4),  # without padding all of it lies behind
        (nn.Conv2d(3, 2, 3, dilation=6, padding=6), 1, 6),
        (nn.Conv2d(3, 2, 14, stride=14), 14, 0),
        (nn.Conv2d(3, 2, 11, stride=4, padding=2), 4, 5),
        (nn.Conv2d(3, 2, (1, 901), padding=(0, 450)), 1, 450),
    ],
    ids=["wide", "tall", "valid", "dilated", "patches", "alexnet", "far"],
)
def test_reach_is_measured_on_both_sides_of_both_axes(module: nn.Module, stride: int, reach: int) -> None:
    network = nn.Sequential(module)
    layer = ModuleExtractor(network, ["0"]).layers["0"]
    assert (layer.stride, layer.reach) == (stride, reach)


class Function(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def attention(x: Tensor) -> Tensor:
    tokens = F.avg_pool2d(x, 8).flatten(2).transpose(1, 2)
    seen = F.scaled_dot_product_attention(tokens, tokens, tokens)
    return seen.transpose(1, 2).unflatten(2, (x.shape[2] // 8, x.shape[3] // 8))


def windows(x: Tensor) -> Tensor:
    """The mean of each window of 8 x 8 at all of its places, of whole windows alone."""
    means = F.interpolate(F.avg_pool2d(x, 8, ceil_mode=True), scale_factor=8)
    return x - means[:, :, : x.shape[2], : x.shape[3]]


@pytest.mark.parametrize(
    "module",
    [
        nn.InstanceNorm2d(4),
        nn.GroupNorm(2, 4),
        Function(lambda x: x * x.mean((2, 3), keepdim=True).sigmoid()),
        Function(attention),
        Function(lambda x: x + torch.linspace(0, 1, x.shape[3])),
        Function(lambda x: x + torch.linspace(0, 1, x.shape[2])[:, None]),
        Function(windows),
        nn.Sequential(nn.Conv2d(4, 4, 2, stride=2), nn.Upsample(scale_factor=2)),  # two neighbours see the same
        Function(lambda x: x.nan_to_num() - x.nan_to_num().mean((2, 3), keepdim=True)),
    ],
    ids=["instance norm", "group norm", "excitation", "attention", "columns", "rows", "windows", "up", "without NaN"],
)
def test_a_layer_that_does_not_look_at_its_neighbourhood_alone_is_global(module: nn.Module) -> None:
    layers = ModuleExtractor(nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), module, nn.ReLU()), **PLAIN).layers
    assert not layers["0"].is_global
    assert layers["1"].is_global
    assert layers["2"].reach == WHOLE_PICTURE


# Features


@pytest.mark.parametrize(("height", "width"), [(32, 48), (33, 47), (57, 64), (8, 15)])
def test_odd_sizes_are_cut_to_whole_cells(network: ModuleExtractor, noise: Noise, height: int, width: int) -> None:
    image = noise(2, 3, height, width)
    whole = network.network.relu(network.network.bn1(network.network.conv1(image)))
    assert whole.shape[2:] == (-(-height // 2), -(-width // 2))
    for name, features in network(image, network.layers).items():
        layer = network.layers[name]
        sides = () if layer.is_vector else (height // layer.stride, width // layer.stride)
        assert features.shape == (2, layer.channels, *sides), name
    torch.testing.assert_close(network(image, ["relu"])["relu"], whole[..., : height // 2, : width // 2])


def test_rows_and_columns_that_convolutions_without_padding_leave_out_repeat_the_last(noise: Noise) -> None:
    network = nn.Sequential(nn.Conv2d(3, 2, 5, stride=2))
    image = noise(1, 3, 21, 30)
    actual = ModuleExtractor(network, **PLAIN)(image, ["0"])["0"]
    expected = network(image)
    assert expected.shape[2:] == (9, 13)
    rows, columns = torch.arange(10).clamp(max=8), torch.arange(15).clamp(max=12)
    torch.testing.assert_close(actual, expected[:, :, rows][..., columns])


def test_no_layer_overwrites_another(network: ModuleExtractor, noise: Noise) -> None:
    image = noise(1, 3, 24, 32)
    together = network(image, network.layers)
    for name, features in together.items():
        assert torch.equal(features, network(image, [name])[name]), name
    net = network.network
    torch.testing.assert_close(together["bn1"], net.bn1(net.conv1(image)))
    assert (together["bn1"] < 0).any()
    x = net.maxpool(together["relu"])
    torch.testing.assert_close(together["layer1.bn2"] + together["layer1.shortcut"], residual_sum(net.layer1, x))
    torch.testing.assert_close(together["layer1.relu"], together["layer1.bn1"].relu())
    torch.testing.assert_close(together["layer1"], residual_sum(net.layer1, x).relu())
    assert torch.equal(together["layer1"], together["layer1.relu:1"])


def residual_sum(block: Any, x: Tensor) -> Tensor:
    return block.bn2(block.conv2(block.bn1(block.conv1(x)).relu())) + block.shortcut(x)


def test_preprocessing_is_inside_and_imagenets_unless_told(residual: Residual, noise: Noise) -> None:
    image = noise(1, 3, 16, 16)
    before = image.clone()
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    default = ModuleExtractor(residual, ["conv1"])(image, ["image", "conv1"])
    assert torch.equal(default["image"], before)
    assert torch.equal(image, before)
    torch.testing.assert_close(default["conv1"], residual.conv1((image - mean) / std))
    own = ModuleExtractor(residual, ["conv1"], mean=(0.1, 0.2, 0.3), std=(2, 2, 4))
    expected = (image - torch.tensor([0.1, 0.2, 0.3]).view(1, 3, 1, 1)) / torch.tensor([2.0, 2, 4]).view(1, 3, 1, 1)
    torch.testing.assert_close(own(image, ["conv1"])["conv1"], residual.conv1(expected))


def test_features_come_in_the_order_asked_for(network: ModuleExtractor, noise: Noise) -> None:
    asked = ["layer2", "image", "conv1", "layer2"]
    assert list(network(noise(1, 3, 16, 16), asked)) == ["layer2", "image", "conv1"]


class Trap(nn.Module):
    armed = False

    def forward(self, x: Tensor) -> Tensor:
        if self.armed:
            raise AssertionError("this was not to be computed")
        return x


def test_nothing_past_the_deepest_layer_is_computed(noise: Noise) -> None:
    network = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), Trap())
    encoder = ModuleExtractor(network)
    image = noise(1, 3, 16, 16)
    trap = encoder.network[2]
    trap.armed = True
    encoder(image, ["0", "1"])
    encoder(image, ["image"])
    with pytest.raises(AssertionError, match="not to be computed"):
        encoder(image, ["2"])
    trap.armed = False
    assert encoder(image, ["2"])["2"].shape == (1, 2, 16, 16)  # nothing is left behind by what went wrong


def test_named_layers_spare_the_rest_of_the_network(noise: Noise) -> None:
    network = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1), nn.Flatten(), nn.Linear(2 * 32 * 32, 4))
    with pytest.raises(ValueError, match=r"the network fails on pictures .*mat1 and mat2.*name the layers"):
        ModuleExtractor(network)
    encoder = ModuleExtractor(network, ["0"])
    assert list(encoder.layers) == ["image", "0"]
    assert encoder(noise(1, 3, 20, 28), "0")["0"].shape == (1, 2, 20, 28)


# What it leaves alone


def test_the_users_module_is_left_as_it_is(residual: Residual, noise: Noise) -> None:
    before = copy.deepcopy(residual.state_dict())
    assert residual.training
    encoder = ModuleExtractor(residual, ["layer1"])
    encoder(noise(1, 3, 16, 16), ["layer1"])
    assert residual.training
    assert all(parameter.requires_grad for parameter in residual.parameters())
    assert not any(module._forward_hooks for module in residual.modules())
    assert all(torch.equal(value, before[key]) for key, value in residual.state_dict().items())


def test_the_copy_is_frozen_and_stays_in_evaluation_mode(network: ModuleExtractor, noise: Noise) -> None:
    assert not any(parameter.requires_grad for parameter in network.parameters())
    image = noise(3, 3, 16, 16).requires_grad_()
    before = network(image, ["layer2"])["layer2"]
    network.train()
    assert not network.network.layer1.bn1.training
    assert torch.equal(network(image, ["layer2"])["layer2"], before)
    before.sum().backward()
    assert image.grad is not None
    assert image.grad.any()


def test_modules_of_other_precision_are_kept(noise: Noise) -> None:
    encoder = ModuleExtractor(nn.Sequential(nn.Conv2d(3, 2, 3, padding=1)).double())
    assert encoder(noise(1, 3, 8, 8, dtype=torch.float64), ["0"])["0"].dtype == torch.float64
    assert encoder.float()(noise(1, 3, 8, 8), ["0"])["0"].dtype == torch.float32


def test_the_generator_of_random_numbers_is_left_alone(residual: Residual) -> None:
    before = torch.random.get_rng_state()
    ModuleExtractor(residual, ["layer1"])
    assert torch.equal(torch.random.get_rng_state(), before)


# In use


class Valid(nn.Module):
    """Convolutions without padding and a pooling that overlaps: fewer positions than cells."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 7, stride=2)
        self.conv2 = nn.Conv2d(6, 8, 3)
        self.pool = nn.MaxPool2d(3, stride=2)
        self.conv3 = nn.Conv2d(8, 8, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv3(self.pool(self.conv2(self.conv1(x)).relu()))


def three_pictures(noise: Noise) -> tuple[Tensor, Tensor, Tensor]:
    image, content = (noise(1, 3, 75, 181, seed=seed, dtype=torch.float64) for seed in (0, 1))
    return image, content, noise(1, 3, 64, 88, seed=2, dtype=torch.float64)


@pytest.fixture(scope="module", params=["residual", "valid"])
def objective(request: pytest.FixtureRequest, noise: Noise, network: ModuleExtractor) -> tuple[Objective, Tensor]:
    torch.manual_seed(2)
    encoder = copy.deepcopy(network) if request.param == "residual" else ModuleExtractor(Valid())
    first, last = ("conv1", "layer2") if request.param == "residual" else ("conv1", "conv3")
    middle = "layer1.bn2" if request.param == "residual" else "pool"
    image, content, style = three_pictures(noise)
    losses = (
        ContentLoss(middle)
        + GramStyleLoss(("image", first, middle, last))
        + 0.1 * TotalVariationLoss(last)
        + TotalVariationLoss()
    )
    return Objective(encoder.double(), losses, content=content, styles=[style]), image


@pytest.mark.parametrize("tile", [32, 48, 100])
def test_tiles_give_the_gradient_of_the_whole(objective: tuple[Objective, Tensor], tile: int) -> None:
    whole, tiled = (objective[0].evaluate(objective[1], tile=size) for size in (None, tile))
    assert tiled.terms == pytest.approx(whole.terms, rel=1e-10)
    assert tiled.gradient is not None
    assert whole.gradient is not None
    assert float((tiled.gradient - whole.gradient).norm() / whole.gradient.norm()) < 1e-10


def test_tiles_are_refused_with_a_reach_that_is_too_small(objective: tuple[Objective, Tensor], noise: Noise) -> None:
    image, content, style = three_pictures(noise)
    encoder = with_reach(objective[0].encoder, lambda reach: reach // 2)
    short = Objective(encoder, objective[0].losses, content=content, styles=[style])
    with pytest.raises(ValueError, match=r"states a reach of \d+ pixels, and pixels further away change its features"):
        short.evaluate(image, tile=32)


def test_tiles_are_exact_where_one_stride_does_not_divide_the_other(noise: Noise) -> None:
    class Forked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.two, self.three = nn.Conv2d(3, 4, 2, stride=2), nn.Conv2d(3, 4, 3, stride=3)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return self.two(x), self.three(x)

    encoder = ModuleExtractor(Forked().double())
    objective = Objective(
        encoder, GramStyleLoss(("two", "three")), styles=[noise(1, 3, 40, 44, seed=1, dtype=torch.float64)]
    )
    image = noise(1, 3, 42, 54, dtype=torch.float64)
    whole, tiled = (objective.evaluate(image, tile=tile).gradient for tile in (None, 18))
    assert whole is not None
    assert tiled is not None
    assert float((tiled - whole).norm() / whole.norm()) < 1e-10


def test_a_global_layer_is_used_without_tiles_and_refuses_them(noise: Noise) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.InstanceNorm2d(4))
    content, style = noise(1, 3, 20, 24), noise(1, 3, 32, 32, seed=1)
    objective = Objective(ModuleExtractor(network), GramStyleLoss("1"), styles=[style])
    evaluation = objective.evaluate(content)
    assert evaluation.gradient is not None
    assert evaluation.gradient.any()
    with pytest.raises(ValueError, match="layer '1': its positions depend on the whole picture"):
        objective.evaluate(content, tile=8)


def test_stylize_looks_through_it(residual: Residual) -> None:
    picture = torch.rand(1, 3, 40, 48)
    losses = ContentLoss("layer1") + GramStyleLoss(("conv1", "layer1"))
    encoder = ModuleExtractor(residual, ["conv1", "layer1"])
    result = stylize(
        picture, torch.rand(1, 3, 40, 40), losses=losses, encoder=encoder, size=48, iterations=2, progress=False
    )
    assert result.size == (48, 40)


# What is refused


def test_unknown_layers_are_refused_with_a_suggestion(
    network: ModuleExtractor, residual: Residual, noise: Noise
) -> None:
    for ask in (
        lambda: network(noise(1, 3, 16, 16), ["conv1", "layer1.conv3"]),
        lambda: ModuleExtractor(residual, ["layer1.conv3"]),
    ):
        with pytest.raises(ValueError, match=r"layer of Residual 'layer1.conv3': did you mean 'layer1.conv\d'"):
            ask()


def test_layers_that_do_not_run_are_refused(residual: Residual) -> None:
    with pytest.raises(
        ValueError, match=r"'layer1.relu:2' of Residual is no layer: it gives no tensor, or does not run"
    ):
        ModuleExtractor(residual, ["conv1", "layer1.relu:2"])


class Tokens(nn.Module):
    """A network with outputs that are no layers, and a vector."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 6, 4, stride=4)
        self.pair = Pair()
        self.sequence = nn.Flatten(2)
        self.pooled = nn.AdaptiveAvgPool2d(1)
        self.unused = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        maps = self.patches(x)
        result: Tensor = self.pooled(self.pair(maps)[0]) + self.sequence(maps).mean()
        return result


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


def test_what_is_left_out_says_why(noise: Noise) -> None:
    encoder = ModuleExtractor(Tokens(), **PLAIN)
    assert list(encoder.layers) == ["image", "patches", "pooled"]
    assert sorted(encoder.left_out) == ["pair", "sequence", "unused"]
    reason = r"'sequence' of Tokens is no layer: it gives \(1, 6, 16\) for a picture of 16 x 16 pixels .* neither a map"
    for ask in (
        lambda: encoder(noise(1, 3, 16, 16), ["sequence"]),
        lambda: ModuleExtractor(Tokens(), ["sequence"]),
        lambda: Objective(encoder, ContentLoss("sequence"), content=noise(1, 3, 16, 16)),
        lambda: Objective(InPrecision(encoder), ContentLoss("sequence"), content=noise(1, 3, 16, 16)),
    ):
        with pytest.raises(ValueError, match=reason):
            ask()
    for name in ("pair", "unused"):
        with pytest.raises(ValueError, match=f"{name!r} of Tokens is no layer: it gives no tensor, or does not run"):
            encoder(noise(1, 3, 16, 16), [name])


def test_a_vector_has_its_channels_alone(noise: Noise) -> None:
    encoder = ModuleExtractor(Tokens(), ["pooled"], **PLAIN)
    image = noise(2, 3, 19, 32)
    assert encoder(image, ["pooled"])["pooled"].shape == (2, 6)
    check_encoder(encoder)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"network": 3}, TypeError, "an nn.Module or a name of torchvision's, received 3"),
        ({"network": nn.Conv2d(3, 4, 1), "mean": (0.5,)}, ValueError, "three numbers each"),
        ({"network": nn.Conv2d(3, 4, 1), "std": (1, 0, 1)}, ValueError, "std none of them 0"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        ModuleExtractor(**options)


def test_what_is_no_picture_or_too_small_is_refused(network: ModuleExtractor, noise: Noise) -> None:
    with pytest.raises(ValueError, match="received torch"):
        network(torch.rand(3, 32, 32), ["conv1"])
    with pytest.raises(ValueError, match="40 x 7 pixels is too small for layer 'layer2', which needs 8"):
        network(noise(1, 3, 7, 40), ["conv1", "layer2"])


def test_torchvision_that_does_not_import_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torchvision", None)
    with pytest.raises(ImportError, match="'resnet50' needs a torchvision that matches torch"):
        ModuleExtractor("resnet50")


def test_a_missing_file_of_weights_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="resnet"):
        ModuleExtractor("resnet50", weights=tmp_path / "resnet.pth")
