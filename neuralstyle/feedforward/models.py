"""Trained networks in files: of this package, of fast_neural_style, and those shipped with the package."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from neuralstyle._errors import unknown
from neuralstyle.checkpoint import load_state, save_state
from neuralstyle.feedforward.export import OnnxModel
from neuralstyle.feedforward.network import TransformerNet
from neuralstyle.machine.surroundings import plain_torch

KIND = "stylisation network"
SUFFIX = ".safetensors"
PUBLISHED_SUFFIXES = (".pth", ".pt", ".model")
_SHIPPED = "fast-"
_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


@plain_torch()
def save_model(network: TransformerNet, path: str | os.PathLike[str], *, half: bool = False) -> Path:
    """Save a network in a safetensors file; its header has the width and the number of blocks.

    Args:
        network: the network.
        path: the file; it ends in .safetensors, and is replaced if it exists.
        half: store 16-bit floats, which halves the file.

    Raises:
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
    path = check_model_output(path)
    dtype = torch.float16 if half else torch.float32
    weights = {name: tensor.to(dtype) for name, tensor in network.state_dict().items()}
    architecture = {"width": network.width, "blocks": network.blocks}
    return save_state(path, {"architecture": architecture, "weights": weights}, kind=KIND)


@plain_torch()
def load_model(model: str | os.PathLike[str]) -> TransformerNet | OnnxModel:
    """Load a network in evaluation mode, on the CPU.

    No file can run code: .safetensors and .onnx files hold none, and only tensors are read from a .pth file.

    Args:
        model: a name of ``shipped_models()``, or a file: .safetensors, from ``save_model`` or ``train``; .onnx; or
            .pth, .pt or .model, a state dict of fast_neural_style, whose running statistics are ignored.

    Returns:
        The network; for a .onnx file an ``OnnxModel``, which has the same call and runs in onnxruntime.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, or of another kind.
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
        return load_published(_read_tensors(path), str(path))
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
        FileNotFoundError: the folder of ``path`` does not exist.

    """
    path = Path(path)
    if path.suffix.lower() != SUFFIX:
        raise ValueError(f"{path}: a model is saved in a file whose name ends in {SUFFIX}, received {path.suffix!r}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent} to save {path.name} in; create it first")
    return path


@plain_torch()
def load_published(state: dict[str, Tensor], name: str = "the state dict") -> TransformerNet:
    """Make a network from a state dict of fast_neural_style's ``TransformerNet``, whose values are from 0 to 255.

    The factor of 255 is multiplied into the first and the last convolution, so the network has values in [0, 1] and
    paints the same pictures. Width and number of blocks follow from the shapes of the tensors.

    Args:
        state: tensors by fast_neural_style's names. ``running_mean``, ``running_var`` and ``num_batches_tracked``,
            which its early versions saved, are ignored.
        name: name of the state dict for messages.

    Raises:
        ValueError: a tensor is missing, unknown, or of another shape.

    """
    state = {key: value for key, value in state.items() if key.rpartition(".")[2] not in _STATISTICS}
    first = state.get("conv1.conv2d.weight")
    blocks = sum(key.startswith("res") and key.endswith(".conv1.conv2d.weight") for key in state)
    if first is None or first.ndim != 4 or not blocks:
        raise ValueError(
            f"{name} is not a network of fast_neural_style: it has no conv1.conv2d.weight or no residual blocks; "
            "give a state dict of its TransformerNet"
        )
    network = TransformerNet(first.shape[0], blocks, seed=0)  # with a seed, torch's generators do not advance
    renamed: dict[str, Tensor] = {}
    for own, published in _published_names(network):
        if published not in state:
            raise ValueError(f"{name} lacks the tensor {published}; give the whole state dict of a TransformerNet")
        renamed[own] = state.pop(published).float()
    if state:
        raise ValueError(
            f"{name} has tensors that a TransformerNet lacks: {', '.join(sorted(state)[:4])}; give its state dict alone"
        )
    _load_weights(network, renamed, name)
    down, _, up = network.parts()
    with torch.no_grad():
        down[0].convolution.weight.mul_(255)
        for parameter in up[-1].convolution.parameters():
            parameter.div_(255)
    return network.eval()


def _published_names(network: TransformerNet) -> list[tuple[str, str]]:
    """List the parameters' names in a ``TransformerNet``, and in fast_neural_style."""
    down = [("conv1", "in1"), ("conv2", "in2"), ("conv3", "in3")]
    residuals = [(f"res{b + 1}.conv{i}", f"res{b + 1}.in{i}") for b in range(network.blocks) for i in (1, 2)]
    up = [("deconv1", "in4"), ("deconv2", "in5"), ("deconv3", "")]
    names = [name for name, module in network.named_modules() if isinstance(module, nn.Conv2d)]
    pairs: list[tuple[str, str]] = []
    for own, (convolution, norm) in zip(names, down + residuals + up, strict=True):
        for parameter in ("weight", "bias"):
            pairs.append((f"{own}.{parameter}", f"{convolution}.conv2d.{parameter}"))
            if norm:
                pairs.append((f"{own.removesuffix('convolution')}norm.{parameter}", f"{norm}.{parameter}"))
    return pairs


def _load_saved(path: Path) -> TransformerNet:
    state = load_state(path, kind=KIND)
    try:
        network = TransformerNet(**state["architecture"], seed=0)
        weights = {name: tensor.float() for name, tensor in state["weights"].items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} does not describe a network of this version ({error}); train it again") from error
    _load_weights(network, weights, str(path))
    return network.eval()


def _load_weights(network: TransformerNet, weights: dict[str, Tensor], name: str) -> None:
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"the tensors of {name} do not fit a network of width {network.width}: {reason}") from error


def _read_tensors(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a .pth file without running any code that the file contains."""
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of nearly any class, depending on the wrong bytes
        reason = " ".join(str(error).split())[:120]
        raise ValueError(
            f"{path} is damaged, or holds more than tensors, which could run code and is not read ({reason}); "
            "give a state dict of fast_neural_style"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{path} does not hold a state dict; give one of fast_neural_style")
    return state
