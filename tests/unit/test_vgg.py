"""The VGG family: names, weights from files and from torchvision, batch normalisation, measured scales."""

from __future__ import annotations

import pickle
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from neuralstyle import FeatureExtractor, default_encoder
from neuralstyle.encoders import measure_activation_scales
from neuralstyle.encoders.vgg import NETWORKS, vgg_layers

Noise = Callable[..., Tensor]
State = dict[str, Tensor]
MEAN, STD = (torch.tensor(v).view(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
# Configurations A, B, D and E of the paper: output channels, "M" where the picture is halved.
CONFIGURATIONS: dict[str, list[int | str]] = {
    "vgg11": [64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"],
    "vgg13": [64, 64, "M", 128, 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"],
    "vgg16": [64, 64, "M", 128, 128, "M"] + ([256] * 3 + ["M"]) + 2 * ([512] * 3 + ["M"]),
    "vgg19": [64, 64, "M", 128, 128, "M"] + ([256] * 4 + ["M"]) + 2 * ([512] * 4 + ["M"]),
}


def network(name: str) -> nn.Sequential:
    """The convolutional part as torchvision builds it, with weights and running statistics drawn at random."""
    modules: list[nn.Module] = []
    width = 3
    for entry in CONFIGURATIONS[name.removesuffix("_bn")]:
        if isinstance(entry, str):
            modules.append(nn.MaxPool2d(2))
            continue
        modules.append(nn.Conv2d(width, entry, 3, padding=1))
        if name.endswith("_bn"):
            norm = nn.BatchNorm2d(entry)
            norm.running_mean = 0.3 * torch.randn(entry)
            norm.running_var = 0.5 + torch.rand(entry)
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias, std=0.2)
            modules.append(norm)
        modules.append(nn.ReLU())
        width = entry
    return nn.Sequential(*modules).eval()


def state_of(features: nn.Module) -> State:
    return {f"features.{key}": value for key, value in features.state_dict().items()}


@pytest.fixture(scope="module")
def small() -> tuple[nn.Sequential, State]:
    torch.manual_seed(1)
    features = network("vgg11")
    return features, state_of(features)


@pytest.fixture(scope="module")
def stored(small: tuple[nn.Sequential, State], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of the weights of a vgg11, with a classifier that nobody needs."""
    path = tmp_path_factory.mktemp("weights") / "vgg11.pth"
    torch.save(small[1] | {"classifier.0.weight": torch.zeros(2, 2)}, path)
    return path


# Names and geometry


@pytest.mark.parametrize("name", [name for name in NETWORKS if name.startswith("vgg")])
def test_layers_are_those_of_the_configuration(name: str) -> None:
    expected: list[tuple[str, int, int]] = [("image", 3, 1)]
    block, index, channels, stride = 1, 0, 3, 1
    for entry in CONFIGURATIONS[name.removesuffix("_bn")]:
        if isinstance(entry, str):
            stride *= 2
            expected.append((f"pool{block}", channels, stride))
            block, index = block + 1, 0
        else:
            index, channels = index + 1, entry
            expected += [(f"{kind}{block}_{index}", channels, stride) for kind in ("conv", "relu")]
    layers = vgg_layers(name)
    assert [(layer.name, layer.channels, layer.stride) for layer in layers.values()] == expected
    assert list(layers) == [layer.name for layer in layers.values()]


@pytest.mark.parametrize(("name", "layer", "reach"), [("vgg11", "relu5_1", 43), ("vgg16_bn", "relu4_1", 26)])
def test_reach_adds_up_the_convolutions_on_the_way(name: str, layer: str, reach: int) -> None:
    assert vgg_layers(name)[layer].reach == reach


def test_unknown_networks_are_refused_with_a_suggestion() -> None:
    for ask in (vgg_layers, FeatureExtractor, default_encoder):
        with pytest.raises(ValueError, match=r"unknown network 'vgg16bn': did you mean 'vgg16_bn'\? known are vgg11"):
            ask("vgg16bn")


# Weights from a file


def features_of(name: str, source: Path, image: Tensor, layers: list[str], **options: Any) -> dict[str, Tensor]:
    return FeatureExtractor(name, weights=source, normalize=False, **options)(image, layers)


@pytest.mark.parametrize(("name", "suffix"), [("vgg11", ".safetensors"), ("vgg11", ".pth"), ("vgg13_bn", ".pth")])
def test_weights_of_a_file_are_those_of_the_network(tmp_path: Path, noise: Noise, name: str, suffix: str) -> None:
    reference = network(name)
    path = tmp_path / f"weights{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(state_of(reference), path)
    image = noise(1, 3, 36, 41)
    layers = [layer.name for layer in vgg_layers(name).values() if layer.kind in ("conv", "relu", "pool")]
    actual = iter(features_of(name, path, image, layers).values())
    x = (image - MEAN) / STD
    with torch.no_grad():
        for position, module in enumerate(reference):
            x = module(x)
            if isinstance(module, nn.Conv2d) and isinstance(reference[position + 1], nn.BatchNorm2d):
                continue  # "conv" is what the ReLU is given
            error = (next(actual) - x).abs().max() / x.abs().max()
            assert error < 1e-5, module
    assert next(actual, None) is None


def test_a_path_may_be_a_string_and_relative(
    stored: Path, monkeypatch: pytest.MonkeyPatch, noise: Noise, small: tuple[nn.Sequential, State]
) -> None:
    monkeypatch.chdir(stored.parent)
    encoder = FeatureExtractor("vgg11", weights="vgg11.pth", normalize=False)
    assert encoder.weights == "vgg11.pth"
    image = noise(1, 3, 16, 16)
    expected = small[0][0]((image - MEAN) / STD)
    torch.testing.assert_close(encoder(image, ["conv1_1"])["conv1_1"], expected, rtol=1e-5, atol=1e-5)


def test_caffe_preprocessing_is_bgr_in_0_255_less_the_mean(
    stored: Path, noise: Noise, small: tuple[nn.Sequential, State]
) -> None:
    image = noise(1, 3, 16, 16)
    bgr = 255 * image.flip(1) - torch.tensor([103.939, 116.779, 123.68]).view(1, 3, 1, 1)
    actual = features_of("vgg11", stored, image, ["conv1_1"], preprocessing="caffe")["conv1_1"]
    torch.testing.assert_close(actual, small[0][0](bgr), rtol=1e-5, atol=1e-3)


def test_half_precision_files_give_a_single_precision_network(
    tmp_path: Path, small: tuple[nn.Sequential, State]
) -> None:
    path = tmp_path / "half.safetensors"
    save_file({key: value.half() for key, value in small[1].items()}, path)
    encoder = FeatureExtractor("vgg11", weights=path, normalize=False)
    assert {parameter.dtype for parameter in encoder.parameters()} == {torch.float32}


# Files that do not fit


def without(key: str) -> Callable[[State], State]:
    return lambda state: {name: value for name, value in state.items() if name != key}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("features.3.weight"), r"does not fit vgg11: 'features\.3\.weight' is missing"),
        (
            lambda state: state | {"features.3.bias": torch.zeros(7)},
            r"'features\.3\.bias' is a tensor of shape \(7,\) and torch\.float32, expected the shape \(128,\)",
        ),
        (lambda state: state | {"features.21.weight": torch.zeros(7)}, r"'features\.21\.weight' is left over"),
        (
            lambda state: {f"net.{key}": value for key, value in state.items()},
            "layout of torchvision's VGG networks",
        ),
    ],
    ids=["missing", "shape", "left over", "prefix"],
)
def test_a_file_that_does_not_fit_says_what_is_wrong(
    tmp_path: Path, small: tuple[nn.Sequential, State], change: Callable[[State], State], message: str
) -> None:
    path = tmp_path / "weights.pth"
    torch.save(change(small[1]), path)
    with pytest.raises(ValueError, match=message) as caught:
        FeatureExtractor("vgg11", weights=path, normalize=False)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("asked", ["vgg16", "vgg11_bn"])
def test_a_file_of_another_network_is_recognised(stored: Path, asked: str) -> None:
    with pytest.raises(ValueError, match=f"does not fit {asked}: 'features.*; it fits 'vgg11'"):
        FeatureExtractor(asked, weights=stored, normalize=False)


class Payload:
    def __reduce__(self) -> Any:
        return (print, ("a pickle was run",))


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "damaged"), (b"damaged", "damaged"), (pickle.dumps(Payload(), protocol=2), "damaged")],
    ids=["empty", "damaged", "pickle"],
)
def test_files_that_hold_more_than_tensors_are_refused_unopened(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str, content: bytes, message: str
) -> None:
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{re.escape(str(path))}.*{message}"):
        FeatureExtractor("vgg11", weights=path, normalize=False)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (Payload(), r"holds more than tensors, .*; save the weights alone, with torch\.save\(network\.state_dict\(\)"),
        ({"epoch": 3}, r"more than tensors: 'epoch' is 3; save the weights alone"),
        (torch.zeros(2), r"holds a tensor of shape \(2,\) and torch\.float32 and not tensors by name"),
    ],
    ids=["object", "number", "tensor"],
)
def test_saved_things_that_are_no_state_dict_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: object, message: str
) -> None:
    path = tmp_path / "weights.pth"
    torch.save(content, path)
    with pytest.raises(ValueError, match=message):
        FeatureExtractor("vgg11", weights=path, normalize=False)
    assert capsys.readouterr().out == ""


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for source in (tmp_path / "weights", tmp_path / "weights.pth", "weights_that_are_not_there.pth"):
        with pytest.raises(FileNotFoundError, match=re.escape(str(source))):
            FeatureExtractor("vgg16", weights=source, normalize=False)


# What weights a network has


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"network": "vgg16", "weights": "simonyan"}, "those of vgg19, received the network 'vgg16'"),
        ({"network": "vgg16"}, "no activation scales for vgg16 with weights='torchvision'; pass normalize=False, or"),
        ({"weights": "file.pth"}, "no activation scales for vgg19 with weights='file.pth'"),
        ({"weights": "file.pth", "normalize": False, "preprocessing": "cafe"}, "did you mean 'caffe'"),
        ({"preprocessing": "caffe"}, "those of 'simonyan' have their own, so leave it out"),
        ({"weights": "weights"}, "unknown weights 'weights': known are simonyan, torchvision, distilled, the path of"),
        (
            {"network": "vgg16", "weights": "distilled"},
            "those of compact19, received the network 'vgg16'; use",
        ),
        ({"network": "compact19", "weights": "simonyan"}, "those of vgg19, received .* use weights='distilled' or"),
        ({"network": "compact19", "weights": "torchvision"}, "of VGG networks, received the network 'compact19'"),
        ({"network": "compact19", "normalize": False}, "was trained on normalised features and has no raw version"),
    ],
)
def test_weights_that_do_not_go_together_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FeatureExtractor(**options)


def test_default_weights_are_those_that_come_with_the_package_or_torchvisions(encoder: FeatureExtractor) -> None:
    assert encoder.weights == "simonyan"
    assert FeatureExtractor(weights=None, normalize=False).weights == "simonyan"


class Mismatched(ModuleType):
    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("operator torchvision::nms does not exist")


@pytest.mark.parametrize("module", [None, Mismatched("torchvision")], ids=["missing", "mismatched"])
@pytest.mark.parametrize("options", [{"weights": "torchvision"}, {"network": "vgg13"}])
def test_torchvision_that_does_not_import_is_named(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType | None, options: dict[str, Any]
) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", module)
    with pytest.raises(ImportError, match=r'matches torch .*FeatureExtractor\("vgg19"\)') as caught:
        FeatureExtractor(**options, normalize=False)
    assert caught.value.__cause__ is not None


def pretend_torchvision(monkeypatch: pytest.MonkeyPatch, get_model: Callable[..., Any]) -> None:
    models = SimpleNamespace(get_model=get_model, list_models=lambda module: list(CONFIGURATIONS))
    package = ModuleType("torchvision")
    package.models = models  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchvision", package)


def test_torchvision_is_asked_for_its_imagenet_weights(
    monkeypatch: pytest.MonkeyPatch, small: tuple[nn.Sequential, State], noise: Noise
) -> None:
    asked: list[object] = []

    def get_model(name: str, *, weights: object) -> object:
        asked.append((name, weights))
        return SimpleNamespace(state_dict=lambda: small[1])

    pretend_torchvision(monkeypatch, get_model)
    image = noise(1, 3, 40, 36)
    with torch.no_grad():
        actual = FeatureExtractor("vgg11", normalize=False)(image, ["relu3_2"])["relu3_2"]
        expected = small[0][:10]((image - MEAN) / STD)
    assert asked == [("vgg11", "IMAGENET1K_V1")]
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)


def test_a_failed_download_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def get_model(name: str, *, weights: object) -> None:
        raise OSError("no route to host")

    pretend_torchvision(monkeypatch, get_model)
    with pytest.raises(ConnectionError, match=r"weights of vgg16 \(no route to host\).*path of a file"):
        FeatureExtractor("vgg16", normalize=False)


# Measured scales


def test_measured_scales_make_the_mean_activation_1(stored: Path, noise: Noise) -> None:
    pictures = [noise(1, 3, 32, 48, seed=1), noise(1, 3, 64, 32, seed=2)]
    options: dict[str, Any] = {"weights": stored, "pooling": "average"}
    raw = FeatureExtractor("vgg11", normalize=False, **options)
    scales = measure_activation_scales(raw, pictures, size=None)
    assert list(scales) == [name for name, layer in raw.layers.items() if layer.kind == "conv"]
    encoder = FeatureExtractor("vgg11", normalize=scales, **options)
    relus = [name for name, layer in raw.layers.items() if layer.kind == "relu" and layer.stride < 16]
    sums = {name: torch.zeros(()) for name in relus}
    positions = dict.fromkeys(relus, 0)
    fires = {name: measured_fires(raw, pictures, name) for name in relus}
    for picture in pictures:
        for name, features in encoder(picture, relus).items():
            sums[name] = sums[name] + features.sum((0, 2, 3))
            positions[name] += features.shape[2] * features.shape[3]
    for name in relus:
        mean = sums[name][fires[name]] / positions[name]
        torch.testing.assert_close(mean, torch.ones_like(mean), rtol=1e-3, atol=1e-3)


def measured_fires(encoder: FeatureExtractor, pictures: list[Tensor], name: str) -> Tensor:
    """The filters that fire at all."""
    return torch.stack([encoder(picture, [name])[name].amax((0, 2, 3)) > 0 for picture in pictures]).any(0)


def test_measured_scales_divide_the_raw_features(stored: Path, noise: Noise) -> None:
    raw = FeatureExtractor("vgg11", weights=stored, normalize=False)
    scales = measure_activation_scales(raw, [noise(1, 3, 32, 32)], size=None)
    scaled = FeatureExtractor("vgg11", weights=stored, normalize=scales)
    image = noise(1, 3, 32, 32, seed=3)
    for name in ("relu1_1", "relu3_2", "relu5_1"):
        expected = raw(image, [name])[name] / scales[name.replace("relu", "conv")].view(1, -1, 1, 1)
        torch.testing.assert_close(scaled(image, [name])[name], expected, rtol=1e-3, atol=1e-4)


def test_filters_that_never_fire_have_the_mean_of_their_layer(
    tmp_path: Path, small: tuple[nn.Sequential, State]
) -> None:
    bias = small[1]["features.0.bias"].clone()
    bias[5] = -1e4
    path = tmp_path / "dead.pth"
    torch.save(small[1] | {"features.0.bias": bias}, path)
    raw = FeatureExtractor("vgg11", weights=path, normalize=False)
    picture = torch.rand(1, 3, 32, 32)
    scale = measure_activation_scales(raw, [picture], size=None)["conv1_1"]
    others = torch.cat([scale[:5], scale[6:]])
    torch.testing.assert_close(scale[5], others.sum() / 64)
    torch.save(small[1] | {"features.0.bias": torch.full((64,), -1e4)}, path)
    with pytest.raises(ValueError, match=r"no filter of 'conv1_1' fires"):
        measure_activation_scales(FeatureExtractor("vgg11", weights=path, normalize=False), [picture], size=None)


def test_scales_are_measured_on_a_raw_network_and_on_pictures(
    encoder: FeatureExtractor, raw_encoder: FeatureExtractor, noise: Noise
) -> None:
    with pytest.raises(ValueError, match="normalised already"):
        measure_activation_scales(encoder, [noise(1, 3, 32, 32)])
    with pytest.raises(ValueError, match="there are no pictures"):
        measure_activation_scales(raw_encoder, [])


@pytest.mark.parametrize(
    ("scales", "message"),
    [
        ({}, "the scales have no 'conv1_1'; measure them on this network"),
        ({"conv1_1": torch.ones(3)}, r"'conv1_1' have the shape \(3,\), expected \(64,\)"),
        ({"conv1_1": torch.zeros(64)}, "'conv1_1' are not all positive"),
        ({"conv1_1": torch.full((64,), torch.nan)}, "'conv1_1' are not all positive"),
    ],
)
def test_scales_that_do_not_fit_are_refused(scales: dict[str, Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FeatureExtractor(normalize=scales)


def test_scales_are_a_mapping() -> None:
    with pytest.raises(TypeError, match="normalize is True, False or scales by convolution, received 'yes'"):
        FeatureExtractor(normalize="yes")  # type: ignore[arg-type]


def test_a_folder_stands_for_the_one_file_in_it_that_says_the_network(
    stored: Path, tmp_path: Path, small: tuple[nn.Sequential, State]
) -> None:
    with pytest.raises(FileNotFoundError, match="holds no weights of vgg11"):
        FeatureExtractor("vgg11", weights=tmp_path, normalize=False)
    for name in ("vgg11-8a719046.pth", "vgg11_bn.pth", "notes.txt"):
        (tmp_path / name).write_bytes(stored.read_bytes() if name.startswith("vgg11-") else b"")
    found = FeatureExtractor("vgg11", weights=tmp_path, normalize=False)
    wanted = FeatureExtractor("vgg11", weights=stored, normalize=False)
    assert torch.equal(found.convolutions["conv1_1"].weight, wanted.convolutions["conv1_1"].weight)
    (tmp_path / "vgg11.safetensors").touch()
    with pytest.raises(ValueError, match=r"several weights of vgg11.*vgg11-8a719046\.pth.*vgg11\.safetensors"):
        FeatureExtractor("vgg11", weights=tmp_path, normalize=False)
