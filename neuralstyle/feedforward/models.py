"""Trained networks in files: of this package, of fast_neural_style, and those shipped with the package."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from neuralstyle._errors import brief, unknown
from neuralstyle.checkpoint import load_state, save_state
from neuralstyle.feedforward.export import OnnxModel
from neuralstyle.feedforward.network import TransformerNet
from neuralstyle.files import check_target
from neuralstyle.files.pickles import read_state_dict
from neuralstyle.files.schema import Floats, Record, Table, Whole, check_finite, check_shapes, clip
from neuralstyle.machine.surroundings import plain_torch

KIND = "stylisation network"
SUFFIX = ".safetensors"
PUBLISHED_SUFFIXES = (".pth", ".pt", ".model")
_SHIPPED = "fast-"
_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")

_FIRST = "down.0.convolution.weight"
_TENSORS_OF_BLOCK = 8
_THEIR_NAMES = {"down.0": ("conv1", "in1"), "down.1": ("conv2", "in2"), "down.2": ("conv3", "in3"),
                "up.0": ("deconv1", "in4"), "up.1": ("deconv2", "in5"), "up.2": ("deconv3", "")}  # fmt: skip
"""Convolution and norm of each stage outside the residual blocks, as fast_neural_style calls them."""


@plain_torch()
def save_model(network: TransformerNet, path: str | os.PathLike[str], *, half: bool = False) -> Path:
    """Save a network in a safetensors file; its header has the width and the number of blocks.

    Args:
        network: the network.
        path: the file; it ends in .safetensors, and is replaced if it exists.
        half: store 16-bit floats, which halves the file.

    Raises:
        TypeError: it is another network.
        ValueError: ``path`` has another suffix.
        OSError: the file cannot be written.

    Example:
        ```python
        import tempfile
        from neuralstyle.feedforward import TransformerNet, load_model, save_model

        with tempfile.TemporaryDirectory() as folder:
            path = save_model(TransformerNet(width=8), f"{folder}/mosaic.safetensors")
            assert load_model(path).width == 8
        ```

    """
    if not isinstance(network, TransformerNet):
        raise TypeError(f"a network to save is a TransformerNet, received {brief(network)}")
    path = check_model_output(path)
    dtype = torch.float16 if half else torch.float32
    weights = {name: tensor.to(dtype) for name, tensor in network.state_dict().items()}
    architecture = {"width": network.width, "blocks": network.blocks}
    return save_state(path, {"architecture": architecture, "weights": weights}, kind=KIND)


@plain_torch()
def load_model(model: str | os.PathLike[str]) -> TransformerNet | OnnxModel:
    """Load a network in evaluation mode, on the CPU.

    No file can run code: .safetensors and .onnx files hold none, and only tensors are read from a .pth file. What a
    file says is compared with the tensors in it before a network is made.

    Args:
        model: a name of ``shipped_models()``, or a file: .safetensors, from ``save_model`` or ``train``; .onnx; or
            .pth, .pt or .model, a state dict of a ``TransformerNet`` or of fast_neural_style's, whose running
            statistics are ignored. The state dict may be in the dict of a training program ("state_dict"), and may be
            that of ``DataParallel``.

    Returns:
        The network; for a .onnx file an ``OnnxModel``, which has the same call and runs in onnxruntime.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, of another kind, or holds NaN or infinite weights.
        ImportError: the file is a .onnx file, and onnxruntime is not installed.

    Example:
        ```python
        import tempfile
        import torch
        from neuralstyle.feedforward import TransformerNet, load_model, save_model

        with tempfile.TemporaryDirectory() as folder:
            network = load_model(save_model(TransformerNet(width=8), f"{folder}/mosaic.safetensors"))
        picture = network(torch.rand(1, 3, 48, 64))
        ```

    """
    path = Path(model)
    if not path.exists():
        shipped = shipped_models()
        if str(model) in shipped:
            with resources.as_file(resources.files("neuralstyle.data") / f"{_SHIPPED}{model}{SUFFIX}") as file:
                return _load_saved(file)
        if not path.suffix:
            raise FileNotFoundError(
                f"there is no model {str(model)!r}; give a file"
                + (f", or one of the package's own: {', '.join(shipped)}" if shipped else "")
            )
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}; check the name and the folder")
    suffix = path.suffix.lower()
    if suffix == SUFFIX:
        return _load_saved(path)
    if suffix == ".onnx":
        return OnnxModel(path)
    if suffix in PUBLISHED_SUFFIXES:
        return load_published(read_state_dict(path), str(path))
    raise unknown(f"kind of model file, {path},", path.suffix, (SUFFIX, ".onnx", *PUBLISHED_SUFFIXES))


def shipped_models() -> tuple[str, ...]:
    """Return the names of the networks shipped with the package, for ``load_model`` and ``apply_model``.

    Example:
        ```python
        from neuralstyle.feedforward import load_model, shipped_models

        for name in shipped_models():
            print(name, load_model(name))
        ```

    """
    names = (entry.name for entry in resources.files("neuralstyle.data").iterdir())
    return tuple(
        sorted(n[len(_SHIPPED) : -len(SUFFIX)] for n in names if n.startswith(_SHIPPED) and n.endswith(SUFFIX))
    )


def check_model_output(path: str | os.PathLike[str]) -> Path:
    """Check before the work that a model can be saved at a path.

    Raises:
        ValueError: ``path`` does not end in .safetensors.
        OSError: ``path`` is a folder, or its folder does not exist or cannot be written.

    """
    path = Path(path)
    if path.suffix.lower() != SUFFIX:
        raise ValueError(f"{path}: a model is saved in a file whose name ends in {SUFFIX}, received {path.suffix!r}")
    return check_target(path, overwrite=True)


@plain_torch()
def load_published(state: Mapping[str, Tensor], name: str = "the state dict") -> TransformerNet:
    """Make a network from a state dict: of this package, or of fast_neural_style, whose values are from 0 to 255.

    For the latter the factor of 255 is multiplied into the first and the last convolution, so the network has values in
    [0, 1] and paints the same pictures. Width and number of blocks follow from the shapes of the tensors.

    Args:
        state: tensors by name. ``running_mean``, ``running_var`` and ``num_batches_tracked``, which fast_neural_style's
            early versions saved, are ignored.
        name: name of the state dict for messages.

    Raises:
        ValueError: a tensor is missing, unknown, of another shape, or not finite.

    """
    state = {key: value for key, value in state.items() if key.rpartition(".")[2] not in _STATISTICS}
    is_own = _FIRST in state
    first = state.get(_FIRST if is_own else "conv1.conv2d.weight")
    blocks = sum(key.endswith(".first.convolution.weight" if is_own else ".conv1.conv2d.weight") for key in state)
    if first is None or first.ndim != 4 or not first.shape[0] or not blocks:
        raise ValueError(
            f"{name} is not a network of fast_neural_style: it has no conv1.conv2d.weight or no residual blocks; "
            "give a state dict of its TransformerNet"
        )
    width = first.shape[0]
    try:
        own_names = _check_fit(state, width, blocks, str if is_own else _their_name)
    except ValueError as error:
        raise ValueError(
            f"the tensors of {name} do not fit a network of width {width} and {blocks} blocks ({clip(str(error))}); "
            "give the whole state dict of a TransformerNet, and nothing else"
        ) from error
    weights = {own_names[key]: tensor.float() for key, tensor in state.items()}
    if not is_own:
        weights[_FIRST] = weights[_FIRST] * 255
        weights |= {own: tensor / 255 for own, tensor in weights.items() if own.startswith("up.2.")}
    return _network(width, blocks, weights, name)


def _their_name(own: str) -> str:
    """Return fast_neural_style's name of a parameter of a ``TransformerNet``."""
    stage, module, parameter = own.rsplit(".", 2)
    if stage.startswith("residuals."):
        _, number, place = stage.split(".")
        index = {"first": 1, "second": 2}[place]
        convolution, norm = f"res{int(number) + 1}.conv{index}", f"res{int(number) + 1}.in{index}"
    else:
        convolution, norm = _THEIR_NAMES[stage]
    return f"{convolution}.conv2d.{parameter}" if module == "convolution" else f"{norm}.{parameter}"


def _check_fit(
    tensors: Mapping[str, Tensor], width: int, blocks: int, name_of: Callable[[str], str] = str
) -> dict[str, str]:
    """Check that tensors are those of a network, without making it; return their names in a ``TransformerNet``.

    Args:
        tensors: the tensors by name.
        width: width of the network.
        blocks: number of its residual blocks.
        name_of: from a name in a ``TransformerNet`` to that in ``tensors``.

    Raises:
        ValueError: they are others; the message names the first.

    """
    most = len(tensors) // _TENSORS_OF_BLOCK
    if blocks > most:
        raise ValueError(f"there are tensors for {most} blocks at most")
    shapes: dict[str, tuple[int, ...]] = {}
    for name, tensor in TransformerNet(1, 1, seed=0).state_dict().items():
        # Outputs and inputs are 1, 2 or 4 times the width, or the 3 of RGB; then follow the sides of the kernel.
        shape = (*(side if side == 3 else side * width for side in tensor.shape[:2]), *tensor.shape[2:])
        numbers = range(blocks) if name.startswith("residuals.0.") else range(1)
        shapes |= {name.replace("residuals.0.", f"residuals.{n}."): shape for n in numbers}
    own_names = {name_of(name): name for name in shapes}
    check_shapes(tensors, {key: shapes[name] for key, name in own_names.items()})
    return own_names


class _SavedNetwork:
    """The schema of a network's file: its tensors are those of the width and the blocks that it says."""

    fields = Record(
        {
            "architecture": Record({"width": Whole(1, 2**16), "blocks": Whole(1)}),
            "weights": Table(Floats()),
        }
    )

    def check(self, value: Any, at: str) -> None:
        """Check a value, see ``Schema``."""
        self.fields.check(value, at)
        width, blocks = value["architecture"]["width"], value["architecture"]["blocks"]
        try:
            _check_fit(value["weights"], width, blocks)
        except ValueError as error:
            raise ValueError(f"it says a width of {width} and {blocks} blocks, and {error}") from error


def _load_saved(path: Path) -> TransformerNet:
    # Networks of earlier versions have no checksum.
    state = load_state(path, kind=KIND, schema=_SavedNetwork(), checksum=False)
    return _network(state["architecture"]["width"], state["architecture"]["blocks"], state["weights"], str(path))


def _network(width: int, blocks: int, weights: Mapping[str, Tensor], name: str) -> TransformerNet:
    """Make a network of tensors that fit it."""
    weights = {own: tensor.to("cpu", torch.float32) for own, tensor in weights.items()}
    try:
        check_finite(weights)
    except ValueError as error:
        raise ValueError(f"{name}: {error}, so it cannot paint; its training has diverged, train it again") from error
    network = TransformerNet(width, blocks, seed=0)  # with a seed, torch's generators do not advance
    network.load_state_dict(weights)
    return network.eval()
