"""The feed-forward network: its architecture, tiles, files and ONNX."""

from __future__ import annotations

import os
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from neuralstyle import feedforward, samples
from neuralstyle.checkpoint import load_state, save_state
from neuralstyle.feedforward import (
    TransformerNet,
    apply_files,
    apply_model,
    export_onnx,
    load_model,
    model_difference,
    models,
    run_model,
    save_model,
    shipped_models,
    tiled,
)
from neuralstyle.images import load_image, save_image


class TheirConv(nn.Module):
    """fast_neural_style's layer of a convolution, written from its description."""

    def __init__(self, inputs, outputs, kernel, stride, upsample=None):
        super().__init__()
        self.upsample = upsample
        self.reflection_pad = nn.ReflectionPad2d(kernel // 2)
        self.conv2d = nn.Conv2d(inputs, outputs, kernel, stride)

    def forward(self, x):
        if self.upsample:
            x = F.interpolate(x, mode="nearest", scale_factor=self.upsample)
        return self.conv2d(self.reflection_pad(x))


class TheirBlock(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv1 = TheirConv(channels, channels, 3, 1)
        self.in1 = nn.InstanceNorm2d(channels, affine=True)
        self.conv2 = TheirConv(channels, channels, 3, 1)
        self.in2 = nn.InstanceNorm2d(channels, affine=True)

    def forward(self, x):
        return self.in2(self.conv2(torch.relu(self.in1(self.conv1(x))))) + x


class TheirNet(nn.Module):
    """Of a width other than 32 where a test wants to be quick; values are from 0 to 255."""

    def __init__(self, width):
        super().__init__()
        sizes = (width, 2 * width, 4 * width)
        self.conv1, self.in1 = TheirConv(3, sizes[0], 9, 1), nn.InstanceNorm2d(sizes[0], affine=True)
        self.conv2, self.in2 = TheirConv(sizes[0], sizes[1], 3, 2), nn.InstanceNorm2d(sizes[1], affine=True)
        self.conv3, self.in3 = TheirConv(sizes[1], sizes[2], 3, 2), nn.InstanceNorm2d(sizes[2], affine=True)
        self.res1, self.res2, self.res3, self.res4, self.res5 = (TheirBlock(sizes[2]) for _ in range(5))
        self.deconv1, self.in4 = TheirConv(sizes[2], sizes[1], 3, 1, 2), nn.InstanceNorm2d(sizes[1], affine=True)
        self.deconv2, self.in5 = TheirConv(sizes[1], sizes[0], 3, 1, 2), nn.InstanceNorm2d(sizes[0], affine=True)
        self.deconv3 = TheirConv(sizes[0], 3, 9, 1)

    def forward(self, x):
        for convolution, norm in ((self.conv1, self.in1), (self.conv2, self.in2), (self.conv3, self.in3)):
            x = torch.relu(norm(convolution(x)))
        for block in (self.res1, self.res2, self.res3, self.res4, self.res5):
            x = block(x)
        for convolution, norm in ((self.deconv1, self.in4), (self.deconv2, self.in5)):
            x = torch.relu(norm(convolution(x)))
        return self.deconv3(x)


def test_every_name_of_the_package_can_be_had():
    assert {name for name in feedforward.__all__ if not hasattr(feedforward, name)} == set()
    assert set(feedforward.__all__) <= set(dir(feedforward))
    with pytest.raises(AttributeError, match="attribute apply"):
        feedforward.apply  # noqa: B018


def stir(network):
    """Norms that do something, and an output around middle grey that leaves [0, 1] here and there."""
    for module in network.modules():
        if isinstance(module, nn.InstanceNorm2d):
            nn.init.normal_(module.weight, 1, 0.3)
            nn.init.normal_(module.bias, 0, 0.3)
    return network


@pytest.fixture
def network():
    return stir(TransformerNet(width=4, blocks=2)).eval()


@pytest.fixture
def published():
    """A state dict as early versions saved it, running statistics and all, and its network."""
    theirs = stir(TheirNet(4)).eval()
    with torch.no_grad():  # of the trained networks' range
        theirs.deconv3.conv2d.weight *= 100
        theirs.deconv3.conv2d.bias.fill_(128.0)
    state = dict(theirs.state_dict())
    for name in [name for name in state if ".in" in f".{name}" and name.endswith("weight")]:
        state[name.replace("weight", "running_mean")] = torch.rand(state[name].shape)
        state[name.replace("weight", "running_var")] = torch.rand(state[name].shape)
        state[name.replace("weight", "num_batches_tracked")] = torch.tensor(7)
    return theirs, state


@pytest.mark.parametrize("suffix", [".pth", ".model"])
def test_published_state_dict_paints_as_in_its_own_architecture(published, tmp_path, noise, suffix):
    theirs, state = published
    torch.save(state, tmp_path / f"candy{suffix}")
    network = load_model(tmp_path / f"candy{suffix}")
    image = noise(2, 3, 40, 52)
    with torch.no_grad():
        expected = theirs(image * 255).clamp(0, 255) / 255
        assert expected.std() > 0.1
        torch.testing.assert_close(network(image), expected, atol=1e-5, rtol=0)


def test_width_32_has_the_tensors_of_the_published_networks():
    ours = {tuple(p.shape) for p in TransformerNet().parameters()}
    assert ours == {tuple(p.shape) for p in TheirNet(32).parameters()}
    assert sum(p.numel() for p in TransformerNet().parameters()) == 1_679_235


def test_sides_that_are_no_multiple_of_four_keep_their_pixels(published, noise):
    theirs, state = published
    network = models.load_published(state)
    image = noise(1, 3, 37, 50)
    with torch.no_grad():
        larger = theirs(image * 255)
        assert larger.shape[2:] == (40, 52)
        torch.testing.assert_close(network(image), (larger / 255).clamp(0, 1)[..., :37, :50], atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state: state.pop("in3.bias"), "in3.bias"),
        (lambda state: state.update(extra=torch.zeros(1)), "extra"),
        (lambda state: state.update({"in3.bias": torch.zeros(5)}), "do not fit"),
        (lambda state: state.pop("conv1.conv2d.weight"), "not a network of fast_neural_style"),
    ],
)
def test_state_dict_of_another_layout_is_named(published, change, words):
    state = dict(published[1])
    change(state)
    with pytest.raises(ValueError, match=words):
        models.load_published(state)


def test_output_is_clipped_only_out_of_training(network, noise):
    image = noise(1, 3, 32, 32)
    nn.init.constant_(network.parts()[2][-1].convolution.bias, 3.0)
    assert network(image).max() == 1
    assert network.train()(image).max() > 1


@pytest.mark.parametrize("size", [(64, 64), (65, 98), (47, 131)])
@pytest.mark.parametrize("tile", [32, 45])
def test_tiles_equal_the_whole(network, noise, size, tile):
    image = noise(2, 3, *size, dtype=torch.float64)
    network.double()
    with torch.no_grad():
        whole = network(image)
    assert whole.std() > 0.05
    torch.testing.assert_close(tiled.run_tiled(network, image, tile), whole, atol=1e-12, rtol=0)


def test_tiles_equal_the_whole_in_single_precision(network, noise):
    image = noise(1, 3, 150, 110)
    with torch.no_grad():
        difference = (run_model(network, image, 48) - network(image)).abs().max()
    assert 0 < difference < 1e-4


def test_larger_pictures_alone_are_tiled(network, noise, monkeypatch):
    asked = []
    monkeypatch.setattr(tiled, "run_tiled", lambda net, image, tile: asked.append(tile) or image)
    image = noise(1, 3, 64, 64)
    for tile in (None, 64, 63):
        run_model(network, image, tile)
    assert asked == [63]


def test_tile_of_few_pixels_is_refused(network, noise):
    with pytest.raises(ValueError, match="at least 32"):
        run_model(network, noise(1, 3, 64, 64), 16)


class Largest(TorchDispatchMode):
    """How large the largest tensor is that is computed. Views are none, and the result is made by empty_like."""

    numbers = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor) and function.name() not in ("aten::slice.Tensor", "aten::empty_like"):
            self.numbers = max(self.numbers, made.numel())
        return made


def test_memory_of_tiles_is_flat(network, noise):
    """A picture of twice the side has four times the pixels, and its tiles' maps are no larger."""
    largest = []
    for side in (112, 224):
        image = noise(1, 3, side, side)
        with Largest() as counted:
            tiled.run_tiled(network, image, 48)
        largest.append(counted.numbers)
    assert largest[1] == largest[0]
    assert largest[1] < 224 * 224


def test_full_disk_is_an_error_and_leaves_nothing(network, noise, monkeypatch, tmp_path):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(OSError, match="No space left"):
        tiled.run_tiled(network, noise(1, 3, 64, 64), 32)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("half", [False, True])
def test_model_file_gives_the_network_back(network, noise, tmp_path, half):
    path = save_model(network, tmp_path / "mosaic.safetensors", half=half)
    loaded = load_model(path)
    assert (loaded.width, loaded.blocks, loaded.training) == (4, 2, False)
    image = noise(1, 3, 32, 40)
    with torch.no_grad():
        torch.testing.assert_close(loaded(image), network(image), atol=5e-3 if half else 0, rtol=0)
    assert path.stat().st_size < sum(p.numel() for p in network.parameters()) * (2 if half else 4) + 8000


def test_shipped_model_is_loaded_by_name_and_small(tmp_path, monkeypatch, network):
    monkeypatch.setattr(models.resources, "files", lambda package: tmp_path)
    save_model(network, tmp_path / "fast-dots.safetensors")
    assert shipped_models() == ("dots",)
    assert load_model("dots").width == 4
    with pytest.raises(FileNotFoundError, match="the package's own: dots"):
        load_model("stripes")


def test_what_the_package_ships_is_small_and_loads():
    from importlib import resources

    for name in shipped_models():
        assert load_model(name).blocks >= 1
        assert (resources.files("neuralstyle.data") / f"fast-{name}.safetensors").stat().st_size <= 2_000_000


class Trap:
    """What a malicious pickle does when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_pickle_that_would_run_code_is_refused(tmp_path):
    torch.save({"conv1.conv2d.weight": Trap(tmp_path / "sprung")}, tmp_path / "evil.pth")
    with pytest.raises(ValueError, match="more than tensors"):
        load_model(tmp_path / "evil.pth")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("suffix", [".safetensors", ".onnx", ".pth", ".model"])
@pytest.mark.parametrize("content", [b"", b"no model", b"\x80\x02garbage" * 50, "cut", "foreign"])
def test_damaged_or_foreign_file_is_one_clear_error(network, tmp_path, suffix, content):
    path = tmp_path / f"model{suffix}"
    if content == "cut":
        whole = tmp_path / f"whole{suffix}"
        if suffix == ".onnx":
            export_onnx(network, whole)
        elif suffix == ".safetensors":
            save_model(network, whole)
        else:
            torch.save(network.state_dict(), whole)
        content = whole.read_bytes()[: whole.stat().st_size // 2]
    elif content == "foreign":
        save_state(path, {"architecture": {"depth": 3}, "weights": {}}, kind=models.KIND)
        content = path.read_bytes()
    path.write_bytes(content)
    with pytest.raises(ValueError, match="model") as caught:
        load_model(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_state_of_another_kind_is_no_model(tmp_path):
    save_state(tmp_path / "run.safetensors", {"step": 1})
    with pytest.raises(ValueError, match="not a stylisation network"):
        load_model(tmp_path / "run.safetensors")
    assert load_state(tmp_path / "run.safetensors") == {"step": 1}


def test_missing_files_and_unknown_suffixes(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file"):
        load_model(tmp_path / "gone.safetensors")
    (tmp_path / "model.h5").touch()
    with pytest.raises(ValueError, match=r"known are .safetensors, .onnx"):
        load_model(tmp_path / "model.h5")


@pytest.fixture
def exported(network, tmp_path):
    return load_model(export_onnx(network, tmp_path / "mosaic.onnx"))


@pytest.mark.parametrize("shape", [(1, 3, 32, 32), (1, 3, 47, 90), (3, 3, 64, 21)])
def test_onnx_agrees_with_torch(network, exported, noise, shape):
    image = noise(*shape)
    with torch.no_grad():
        expected = network(image)
    assert expected.std() > 0.05
    torch.testing.assert_close(exported(image), expected, atol=1e-4, rtol=0)


def test_onnx_file_says_what_it_is(exported, tmp_path):
    import onnx

    model = onnx.load(tmp_path / "mosaic.onnx")
    onnx.checker.check_model(model, full_check=True)
    (given,), (made,) = model.graph.input, model.graph.output
    for value in (given, made):
        sides = value.type.tensor_type.shape.dim
        assert [side.dim_param or side.dim_value for side in sides] == ["batch", 3, "height", "width"]
    assert {node.domain for node in model.graph.node} == {""}


def test_onnx_of_fast_neural_style_is_in_0_to_255_and_may_have_one_size(tmp_path, noise):
    from onnx import TensorProto, helper

    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 32, 32]) for name in "xy"]
    half = helper.make_tensor("half", TensorProto.FLOAT, [], [100.0])
    graph = helper.make_graph([helper.make_node("Min", ["x", "half"], ["y"])], "theirs", infos[:1], infos[1:], [half])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    (tmp_path / "candy.onnx").write_bytes(model.SerializeToString())
    candy = load_model(tmp_path / "candy.onnx")
    image = noise(1, 3, 32, 32)
    torch.testing.assert_close(candy(image), image.clamp(max=100 / 255))
    with pytest.raises(ValueError, match="32 x 32 pixels alone"):
        candy(noise(1, 3, 40, 32))


def test_export_that_differs_is_refused_and_leaves_the_old_file(network, tmp_path, monkeypatch):
    from neuralstyle.feedforward import export

    (tmp_path / "mosaic.onnx").write_text("old")
    monkeypatch.setattr(export.Graph, "stage", _without_norm(export.Graph.stage))
    with pytest.raises(ArithmeticError, match="differs"):
        export_onnx(network, tmp_path / "mosaic.onnx")
    assert (tmp_path / "mosaic.onnx").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("size", [(32, 48), (37, 30)])
def test_onnx_of_one_size(network, tmp_path, noise, size):
    import onnx

    exported = load_model(export_onnx(network, tmp_path / "m.onnx", size=size))
    image = noise(1, 3, *size)
    with torch.no_grad():
        torch.testing.assert_close(exported(image), network(image), atol=1e-4, rtol=0)
    graph = onnx.load(tmp_path / "m.onnx").graph
    assert [side.dim_value for side in graph.input[0].type.tensor_type.shape.dim] == [1, 3, *size]
    assert "Shape" not in {node.op_type for node in graph.node}
    with pytest.raises(ValueError, match=f"{size[1]} x {size[0]} pixels alone, and this one is 64 x 64"):
        exported(noise(1, 3, 64, 64))


def test_quantized_onnx_is_small_and_its_loss_is_measured(tmp_path, noise):
    network = load_model("swirl")
    paths = [export_onnx(network, tmp_path / f"{each}.onnx", quantize=each) for each in (False, True)]
    sizes = [path.stat().st_size for path in paths]
    assert sizes[1] < 0.3 * sizes[0]
    image = noise(1, 3, 48, 64)
    exact, coarse = (model_difference(network, load_model(path), image) for path in paths)
    assert exact.largest < 1e-3 < coarse.largest
    assert exact.mean < coarse.mean < 0.02
    assert "of 255 levels on average" in str(coarse)


def test_side_of_an_onnx_model_is_checked(network, tmp_path):
    with pytest.raises(ValueError, match="a whole number from 16"):
        export_onnx(network, tmp_path / "m.onnx", size=(8, 32))


def _without_norm(stage):
    def plain(self, module, x):
        norm, module.norm = module.norm, None
        try:
            return stage(self, module, x)
        finally:
            module.norm = norm

    return plain


def test_onnx_without_its_packages_says_what_to_install(network, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    (tmp_path / "x.onnx").touch()
    with pytest.raises(ImportError, match=r"pip install neuralstyle-torch\[onnx\]"):
        load_model(tmp_path / "x.onnx")
    with pytest.raises(ImportError, match=r"pip install neuralstyle-torch\[onnx\]"):
        export_onnx(network, tmp_path / "y.onnx")


def test_apply_paints_one_picture(network):
    image = apply_model(network, samples.photo(), content_scale=4)
    assert image.size == (113, 75)
    in_tiles = apply_model(network, samples.photo(), content_scale=4, tile=48)
    assert (load_image(image) - load_image(in_tiles)).abs().max() <= 1.01 / 255  # a level, by rounding


@pytest.fixture
def album(tmp_path, noise):
    folder = tmp_path / "album"
    (folder / "trip").mkdir(parents=True)
    for index, (name, size) in enumerate(
        [("a.png", (32, 40)), ("b.jpg", (32, 40)), ("trip/c.png", (32, 40)), ("trip/d.png", (48, 20))]
    ):
        save_image(noise(1, 3, *size, seed=index), folder / name)
    return folder


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_folders_are_painted_as_picture_by_picture(network, album, tmp_path, batch_size):
    failures = apply_files(network, album, tmp_path / "out", batch_size=batch_size, device="cpu", progress=False)
    assert failures == {}
    for name in ("a.png", "trip/c.png", "trip/d.png"):
        got, alone = load_image(tmp_path / "out" / name), load_image(apply_model(network, album / name, device="cpu"))
        assert (got - alone).abs().max() <= 1.01 / 255
    assert (tmp_path / "out/b.jpg").is_file()


def test_equal_sizes_share_a_batch(album, tmp_path):
    seen = []
    apply_files(lambda x: seen.append(tuple(x.shape)) or x, album, tmp_path / "out", batch_size=3, progress=False)
    assert sorted(seen) == [(1, 3, 48, 20), (3, 3, 32, 40)]


def test_failures_are_listed_and_the_rest_is_painted(network, album, tmp_path):
    (album / "broken.png").write_text("no picture")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a.png").write_text("old")
    painted = []
    failures = apply_files(
        lambda x: painted.extend(x) or network(x), album, tmp_path / "out", batch_size=2, progress=False
    )
    assert len(painted) == 3  # a file that exists is known before the work
    assert set(failures) == {album / "a.png", album / "broken.png"}
    assert "exists" in failures[album / "a.png"]
    assert (tmp_path / "out/a.png").read_text() == "old"
    assert sorted(p.name for p in (tmp_path / "out").rglob("*.*")) == ["a.png", "b.jpg", "c.png", "d.png"]


def test_two_files_for_one_place_are_refused_before_any_work(network, album, tmp_path):
    (tmp_path / "other").mkdir()
    (album / "a.png").rename(tmp_path / "other/c.png")
    with pytest.raises(ValueError, match="two folders"):
        apply_files(network, [album / "trip/c.png", tmp_path / "other/c.png"], tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()
