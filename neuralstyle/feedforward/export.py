"""ONNX: writing a network as a graph of standard operators, and running such files in onnxruntime."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neuralstyle.feedforward.network import Stage, TransformerNet
from neuralstyle.machine.surroundings import plain_torch

OPSET, IR_VERSION = 17, 8
WHITE_KEY = "neuralstyle.range"
"""Key of a file's metadata for the value of white. A file without it counts as one of fast_neural_style, 0 to 255."""

MAX_DIFFERENCE = 1e-3  # of the exported network's output from the original's
_NO_ONNX = "needs the packages onnx and onnxruntime; run 'pip install neuralstyle[onnx]'"


class OnnxModel:
    """A network in a .onnx file, run by onnxruntime: call it like a ``TransformerNet``, with whole pictures only.

    A file of ``export_onnx`` has values in [0, 1] and takes any size. Any other file counts as one of
    fast_neural_style, which has values from 0 to 255, and sometimes takes pictures of one size only.

    Args:
        path: the file.

    Raises:
        ValueError: the file is damaged, or is not a network from a picture to a picture.
        ImportError: onnxruntime is not installed.

    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise ImportError(f"{path}: an ONNX model {_NO_ONNX}") from error
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        self.path = Path(path)
        try:
            self._session = onnxruntime.InferenceSession(
                self.path.read_bytes(), options, providers=onnxruntime.get_available_providers()
            )
        except Exception as error:  # onnxruntime's exceptions have no common class
            raise ValueError(
                f"{path} is damaged or not an ONNX model ({_first_line(error)}); give a complete one"
            ) from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1 or inputs[0].type != "tensor(float)" or len(inputs[0].shape) != 4:
            raise ValueError(f"{path} is not a network from a picture (B, 3, H, W) of 32-bit floats to another")
        self._input = inputs[0].name
        self.white = float(self._session.get_modelmeta().custom_metadata_map.get(WHITE_KEY, 255))

    def __call__(self, image: Tensor) -> Tensor:
        """Paint a picture, ``(B, 3, H, W)`` in [0, 1] -> ``(B, 3, H, W)`` in [0, 1].

        Raises:
            ValueError: the file takes only pictures of another size.

        """
        array = (image.detach().float().cpu() * self.white).numpy()
        try:
            (result,) = self._session.run(None, {self._input: array})
        except Exception as error:  # of no common class, as above
            wanted = self._session.get_inputs()[0].shape
            raise ValueError(
                f"{self.path} cannot take pictures of the shape {tuple(image.shape)}, but {wanted} "
                f"({_first_line(error)})"
            ) from error
        styled = (torch.from_numpy(np.asarray(result)) / self.white).clamp(0, 1)
        return styled[..., : image.shape[2], : image.shape[3]].to(image)


@plain_torch()
def export_onnx(network: TransformerNet, path: str | os.PathLike[str]) -> Path:
    """Write a network as an ONNX file, for batches and pictures of any size, and check it.

    The graph has one input, ``image``, and one output, ``stylized``, both ``(B, 3, H, W)``, RGB in [0, 1], and only
    standard operators of opset 17. Before the file is renamed to ``path``, onnxruntime's output for pictures of two
    sizes is compared with PyTorch's.

    Args:
        network: the network.
        path: the file; it ends in .onnx, and is replaced if it exists.

    Raises:
        ImportError: onnx or onnxruntime is not installed (``pip install neuralstyle[onnx]``).
        ValueError: ``path`` has another suffix.
        FileNotFoundError: the folder of ``path`` does not exist.
        ArithmeticError: onnxruntime's output differs from PyTorch's by more than 1e-3.

    Example:
        ```python
        import tempfile
        import torch
        from neuralstyle.feedforward import TransformerNet, export_onnx, load_model

        network = TransformerNet(width=4, blocks=1).eval()
        image = torch.rand(1, 3, 40, 56)
        with tempfile.TemporaryDirectory() as folder:
            exported = load_model(export_onnx(network, f"{folder}/mosaic.onnx"))
        assert torch.allclose(exported(image), network(image), atol=1e-3)
        ```

    """
    path = Path(path)
    if path.suffix.lower() != ".onnx":
        raise ValueError(f"{path}: an ONNX model's file name ends in .onnx, received {path.suffix!r}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent} to save {path.name} in; create it first")
    try:
        import onnx
        import onnxruntime  # noqa: F401 - needed by OnnxModel below
    except ImportError as error:
        raise ImportError(f"the export to ONNX {_NO_ONNX}") from error
    model = _Graph(network).model()
    onnx.checker.check_model(model, full_check=True)
    temporary = path.with_name(f".{path.name}-{uuid.uuid4().hex}.tmp")
    try:
        temporary.write_bytes(model.SerializeToString())
        _compare(network, OnnxModel(temporary))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _compare(network: TransformerNet, exported: OnnxModel) -> None:
    training, device = network.training, next(network.parameters()).device
    network.eval()
    try:
        for shape in ((1, 3, 32, 48), (2, 3, 37, 30)):
            image = torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float32)
            with torch.no_grad():
                expected = network(image.to(device)).cpu()
            difference = float((exported(image) - expected).abs().max())
            if not difference <= MAX_DIFFERENCE:
                raise ArithmeticError(f"the exported model differs from the network by {difference:g} at {shape}")
    finally:
        network.train(training)


class _Graph:
    """The nodes and constants of a network's graph."""

    def __init__(self, network: TransformerNet) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        x = "image"
        down, blocks, up = network.parts()
        for stage in down:
            x = self.stage(stage, x)
        for block in blocks:
            x = self.node("Add", [x, self.stage(block.second, self.stage(block.first, x))])
        for stage in up:
            x = self.stage(stage, x)
        size = self.node("Shape", ["image"], start=2)
        x = self.node("Slice", [x, self.constant([0, 0]), size, self.constant([2, 3])])
        self.node("Clip", [x, self.constant(0.0), self.constant(1.0)], output="stylized")

    def stage(self, stage: Stage, x: str) -> str:
        """Add the operators of a stage; return the name of their result."""
        if stage.upsample > 1:
            scales = self.constant([1.0, 1.0, float(stage.upsample), float(stage.upsample)])
            options = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
            x = self.node("Resize", [x, "", scales], **options)
        pad = stage.kernel // 2
        x = self.node("Pad", [x, self.constant([0, 0, pad, pad, 0, 0, pad, pad])], mode="reflect")
        weights = [self.constant(parameter) for parameter in (stage.convolution.weight, stage.convolution.bias)]
        x = self.node("Conv", [x, *weights], strides=[stage.stride, stage.stride])
        if stage.norm is not None:
            affine = [self.constant(stage.norm.weight), self.constant(stage.norm.bias)]
            x = self.node("InstanceNormalization", [x, *affine], epsilon=stage.norm.eps)
        return self.node("Relu", [x]) if stage.relu else x

    def node(self, kind: str, inputs: list[str], *, output: str = "", **attributes: Any) -> str:
        """Add an operator; return the name of its result."""
        from onnx import helper

        name = output or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=f"{kind}_{len(self.nodes)}", **attributes))
        return name

    def constant(self, value: Any) -> str:
        """Add a constant; return its name."""
        from onnx import numpy_helper

        name = f"constant_{len(self.constants)}"
        if isinstance(value, Tensor):
            array = value.detach().float().cpu().numpy()
        else:
            array = np.array(value)
            array = array.astype(np.float32) if array.dtype.kind == "f" else array.astype(np.int64)
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def model(self) -> Any:
        """Make a ModelProto of the graph."""
        from onnx import TensorProto, helper

        image, stylized = (
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3, "height", "width"])
            for name in ("image", "stylized")
        )
        graph = helper.make_graph(self.nodes, "TransformerNet", [image], [stylized], self.constants)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="neuralstyle"
        )
        helper.set_model_props(model, {WHITE_KEY: "1"})
        return model


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
