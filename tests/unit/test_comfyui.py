"""The node for ComfyUI, against a stub of its interface."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from ladder import ROOT
from torch import Tensor

from neuralstyle import DEFAULT_LOSSES, load_image, samples, stylize, with_style_loss
from neuralstyle._words import COLORS, SCHEDULE_NAMES
from neuralstyle.recipes import STYLE_LOSSES

FOLDER = ROOT / "integrations" / "comfyui"
PACKAGE = "custom_nodes_neuralstyle"
DIALS: dict[str, Any] = {"size": 24, "schedule": "preview"}


class CancelledError(Exception):
    """As ComfyUI's own."""


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module of the node, loaded as ComfyUI loads a folder of custom_nodes."""
    spec = importlib.util.spec_from_file_location(PACKAGE, FOLDER / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, PACKAGE, package)
    spec.loader.exec_module(package)
    assert package.NODE_CLASS_MAPPINGS.keys() == package.NODE_DISPLAY_NAME_MAPPINGS.keys() == {"NeuralStyle"}
    yield sys.modules[f"{PACKAGE}.neuralstyle_node"]
    del sys.modules[f"{PACKAGE}.neuralstyle_node"]


@pytest.fixture
def comfy(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A stub of the parts of ComfyUI that the node calls."""
    seen = SimpleNamespace(bars=[], cancel_at=None, asked=0)

    class ProgressBar:
        def __init__(self, total: int) -> None:
            self.total, self.values = total, [0.0]
            seen.bars.append(self)

        def update_absolute(self, value: int, total: int | None = None, preview: object = None) -> None:
            self.values.append(value / (self.total if total is None else total))

    def ask() -> None:
        seen.asked += 1
        if seen.asked == seen.cancel_at:
            raise CancelledError

    modules = {name: ModuleType(f"comfy.{name}") for name in ("utils", "model_management")}
    vars(modules["utils"])["ProgressBar"] = ProgressBar
    vars(modules["model_management"]).update(
        throw_exception_if_processing_interrupted=ask, get_torch_device=lambda: torch.device("cpu")
    )
    package = ModuleType("comfy")
    vars(package).update(modules)
    monkeypatch.setitem(sys.modules, "comfy", package)
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, f"comfy.{name}", module)
    return seen


@pytest.fixture(scope="module")
def content() -> Tensor:
    """(1, 16, 24, 3), as ComfyUI has pictures."""
    return load_image(samples.photo(), 24).movedim(1, 3)


@pytest.fixture(scope="module")
def style() -> Tensor:
    return load_image(samples.painting("mosaic"), 32).movedim(1, 3)


def test_the_node_can_be_imported_without_comfyui(node: Any, content: Tensor, style: Tensor) -> None:
    assert "comfy" not in sys.modules
    (image,) = node.NeuralStyle().paint(content, style, **DIALS)
    assert image.shape == (1, 16, 24, 3)
    assert image.dtype == torch.float32


def test_without_the_package_the_error_names_the_command(node: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "neuralstyle", None)
    monkeypatch.delitem(sys.modules, f"{PACKAGE}.neuralstyle_node")
    with pytest.raises(ImportError, match="python -m pip install neuralstyle-torch"):
        importlib.import_module(f"{PACKAGE}.neuralstyle_node")
    sys.modules[f"{PACKAGE}.neuralstyle_node"] = node


def test_dials_offer_the_words_of_the_library(node: Any) -> None:
    inputs = node.NeuralStyle.INPUT_TYPES()
    required = inputs["required"]
    assert set(required["schedule"][0]) == set(SCHEDULE_NAMES)
    assert required["color"][0] == list(COLORS)
    assert required["style_loss"][0] == list(STYLE_LOSSES)
    assert with_style_loss(DEFAULT_LOSSES, required["style_loss"][1]["default"]) == DEFAULT_LOSSES
    assert [inputs["optional"][name][0] for name in ("region", "style_mask")] == ["MASK", "MASK"]
    assert node.NeuralStyle.RETURN_TYPES == ("IMAGE",)
    assert callable(getattr(node.NeuralStyle(), node.NeuralStyle.FUNCTION))
    listed = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert [name for group in inputs.values() for name in group if f"| `{name}` |" not in listed] == []


def test_each_picture_is_the_one_of_stylize_even_in_inference_mode(
    node: Any, comfy: Any, content: Tensor, style: Tensor
) -> None:
    options = {"size": 24, "schedule": "preview", "strength": 0.7, "color": "match", "seed": 3}
    with torch.inference_mode():  # as ComfyUI calls nodes
        batch = torch.cat([content, content.flip(2)])
        (images,) = node.NeuralStyle().paint(batch, style, style_loss="mean-std", **options)
    losses = with_style_loss(DEFAULT_LOSSES, "mean-std")
    for image, single in zip(images, (content, content.flip(2)), strict=True):
        expected = stylize(single.movedim(3, 1), style.movedim(3, 1), losses=losses, progress=False, **options)
        assert torch.equal(image[None].movedim(3, 1), load_image(expected))


def test_masks_say_where_and_what(node: Any, content: Tensor, style: Tensor) -> None:
    region, shown = torch.zeros(16, 24), torch.zeros(1, 8, 8)
    region[:, :12], shown[:, :4] = 1, 1
    paint = node.NeuralStyle().paint
    (plain,) = paint(content, style, **DIALS)
    (placed,) = paint(content, style, region=region, **DIALS)
    (masked,) = paint(content, style, style_mask=shown, **DIALS)
    assert not torch.equal(plain, placed)
    assert not torch.equal(plain, masked)
    far = slice(18, None)  # well outside of the region
    assert (placed - content)[:, :, far].abs().mean() < 0.7 * (plain - content)[:, :, far].abs().mean()


def test_opacity_is_kept(node: Any, content: Tensor, style: Tensor) -> None:
    opacity = torch.ones(1, 16, 24, 1)
    opacity[:, :8, :8] = 0
    batch = torch.cat([torch.cat([content, opacity], 3), torch.cat([content, torch.ones(1, 16, 24, 1)], 3)])
    (images,) = node.NeuralStyle().paint(batch, style, size=0, schedule="preview")
    assert images.shape == (2, 16, 24, 4)
    assert torch.equal(images[..., 3:], batch[..., 3:])


def test_the_bar_moves_to_its_end(node: Any, comfy: Any, content: Tensor, style: Tensor) -> None:
    node.NeuralStyle().paint(torch.cat([content, content]), style, **DIALS)
    (bar,) = comfy.bars
    assert bar.values == sorted(bar.values)
    assert bar.values[-1] == 1
    assert 0.4 < bar.values[len(bar.values) // 2] < 0.6


def test_cancel_stops_at_the_next_evaluation(node: Any, comfy: Any, content: Tensor, style: Tensor) -> None:
    comfy.cancel_at = 3
    with pytest.raises(CancelledError):
        node.NeuralStyle().paint(content, style, **DIALS)
    assert comfy.asked == 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"content": torch.zeros(16, 24)}, r"content is a batch .*received the shape \(16, 24\)"),
        ({"content": torch.zeros(0, 16, 24, 3)}, r"content is a batch .*received the shape \(0, 16, 24, 3\)"),
        ({"style": torch.zeros(1, 3, 16, 24)}, r"style is a batch .*received the shape \(1, 3, 16, 24\)"),
        ({"style": None}, "style is a batch .*received NoneType"),
        ({"region": torch.zeros(3, 16, 24)}, "region holds 3 masks for 1 pictures"),
        ({"style_mask": torch.zeros(1, 1, 16, 24)}, "style_mask is a batch of masks"),
        ({"size": 3}, "size is a whole number of at least 16"),
        ({"style_loss": "gran"}, "style loss"),
    ],
)
def test_bad_input_is_named(node: Any, content: Tensor, style: Tensor, change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        node.NeuralStyle().paint(**{"content": content, "style": style, **DIALS, **change})
