"""Against torchvision's own networks, with weights drawn at random and written to files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from neuralstyle import FeatureExtractor, ModuleExtractor

try:
    from torchvision import models
except Exception as error:  # a build that does not match torch fails with RuntimeError
    pytest.skip(f"torchvision does not import here: {error}", allow_module_level=True)

Noise = Callable[..., Tensor]
MEAN, STD = (torch.tensor(v).view(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))


def randomise(network: nn.Module) -> nn.Module:
    """Statistics that a batch normalisation could have, and those of the biases."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = 0.3 * torch.randn(module.num_features)
            module.running_var = 0.5 + torch.rand(module.num_features)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
    return network.eval()


@pytest.mark.parametrize("name", ["vgg16", "vgg16_bn"])
def test_a_vgg_has_torchvisions_features_layer_by_layer(tmp_path: Path, noise: Noise, name: str) -> None:
    # Without the classifier, whose weights are four fifths of the network.
    features = models.vgg.make_layers(models.vgg.cfgs["D"], batch_norm=name.endswith("_bn"))
    randomise(features)
    path = tmp_path / f"{name}.pth"
    torch.save({f"features.{key}": value for key, value in features.state_dict().items()}, path)
    encoder = FeatureExtractor(name, weights=path, normalize=False, convolution="direct")
    image = noise(1, 3, 40, 52)
    names = [layer.name for layer in encoder.layers.values() if layer.kind != "image"]
    actual = encoder(image, names)
    expected: list[Tensor] = []
    x = (image - MEAN) / STD
    with torch.no_grad():
        for module in features:
            x = module(x.clone())  # torchvision's ReLU works in place
            if isinstance(module, nn.BatchNorm2d):
                expected.pop()
            expected.append(x)
    assert len(expected) == len(names)
    for layer, reference in zip(names, expected, strict=True):
        assert (actual[layer] - reference).abs().max() < 1e-5 * reference.abs().max(), layer


@pytest.fixture(scope="module")
def resnet() -> nn.Module:
    torch.manual_seed(0)
    return randomise(models.resnet18(weights=None))


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_network_by_name_takes_weights_from_a_file(
    tmp_path: Path, noise: Noise, resnet: nn.Module, suffix: str
) -> None:
    path = tmp_path / f"resnet{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(resnet.state_dict(), path)
    encoder = ModuleExtractor("resnet18", ["bn1", "layer1.0", "layer2"], weights=path)
    image = noise(2, 3, 45, 70)
    actual = encoder(image, ["bn1", "layer1.0", "layer2"])
    with torch.no_grad():
        first = resnet.bn1(resnet.conv1((image - MEAN) / STD))
        block = resnet.layer1[0](resnet.maxpool(first.relu()))
        second = resnet.layer2(resnet.layer1[1](block))
    torch.testing.assert_close(actual["bn1"], first[..., :22, :35])
    torch.testing.assert_close(actual["layer1.0"], block[..., :11, :17])
    torch.testing.assert_close(actual["layer2"], second[..., :5, :8])


def test_reach_is_the_known_receptive_field(resnet: nn.Module) -> None:
    # That of layer4 is 435 pixels wide: 217 on either side of a cell's first pixel.
    layers = ModuleExtractor(resnet, ["conv1", "layer2", "layer4"]).layers
    assert [(layer.stride, layer.reach) for layer in layers.values()] == [(1, 0), (2, 3), (8, 49), (32, 217)]


def test_attention_and_excitation_are_global(noise: Noise) -> None:
    layers = ModuleExtractor("mobilenet_v3_small", ["features.0", "features.1"], weights=None).layers
    assert [layers[name].is_global for name in ("features.0", "features.1")] == [False, True]


def test_files_and_names_that_do_not_fit_are_refused(tmp_path: Path, resnet: nn.Module) -> None:
    path = tmp_path / "resnet.pth"
    torch.save({"conv1.weight": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match=r"resnet\.pth does not fit torchvision's resnet18 \(.*Missing key"):
        ModuleExtractor("resnet18", weights=path)
    with pytest.raises(ValueError, match="unknown torchvision network 'resnet_18': did you mean 'resnet18'"):
        ModuleExtractor("resnet_18", weights=None)
    with pytest.raises(ValueError, match=r"the network fails on pictures of 256 x 256"):
        ModuleExtractor("vit_b_32", weights=None)
