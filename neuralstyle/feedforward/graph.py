"""A network as a graph of ONNX's standard operators."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from neuralstyle.feedforward.network import Stage, TransformerNet

OPSET, IR_VERSION = 17, 8
MOST_CODE = 127
"""Largest number of a quantized weight."""


class Graph:
    """The nodes and constants of a network's graph, see ``export_onnx``.

    Args:
        network: the network.
        size: (height, width) of the only pictures that the graph takes; None: any.
        quantize: store the weights of convolutions in 8 bits.

    """

    def __init__(self, network: TransformerNet, size: tuple[int, int] | None = None, quantize: bool = False) -> None:
        self.size, self.quantize = size, quantize
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
        ends = self.node("Shape", ["image"], start=2) if size is None else self.constant(size)
        x = self.node("Slice", [x, self.constant([0, 0]), ends, self.constant([2, 3])])
        self.node("Clip", [x, self.constant(0.0), self.constant(1.0)], output="stylized")

    def stage(self, stage: Stage, x: str) -> str:
        """Add the operators of a stage; return the name of their result."""
        if stage.upsample > 1:
            scales = self.constant([1.0, 1.0, float(stage.upsample), float(stage.upsample)])
            options = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
            x = self.node("Resize", [x, "", scales], **options)
        pad = stage.kernel // 2
        x = self.node("Pad", [x, self.constant([0, 0, pad, pad, 0, 0, pad, pad])], mode="reflect")
        weights = [self.weight(stage.convolution.weight), self.constant(stage.convolution.bias)]
        x = self.node("Conv", [x, *weights], strides=[stage.stride, stage.stride])
        if stage.norm is not None:
            affine = [self.constant(stage.norm.weight), self.constant(stage.norm.bias)]
            x = self.node("InstanceNormalization", [x, *affine], epsilon=stage.norm.eps)
        return self.node("Relu", [x]) if stage.relu else x

    def weight(self, weight: Tensor) -> str:
        """Add the weight of a convolution, (K, C, h, w); return its name.

        Quantized, it is ``codes * scale`` with whole numbers from -127 to 127 and a scale for each output channel.
        """
        if not self.quantize:
            return self.constant(weight)
        values = weight.detach().float().cpu()
        scales = (values.abs().amax((1, 2, 3)) / MOST_CODE).clamp(min=torch.finfo(torch.float32).tiny)
        codes = (values / scales.view(-1, 1, 1, 1)).round().to(torch.int8)
        zeros = torch.zeros(len(scales), dtype=torch.int8)
        return self.node(
            "DequantizeLinear", [self.constant(codes), self.constant(scales), self.constant(zeros)], axis=0
        )

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
            array = (value if value.dtype == torch.int8 else value.detach().float().cpu()).numpy()
        else:
            array = np.array(value)
            array = array.astype(np.float32) if array.dtype.kind == "f" else array.astype(np.int64)
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def model(self, facts: dict[str, str]) -> Any:
        """Make a ModelProto of the graph, with some facts as its metadata."""
        from onnx import TensorProto, helper

        sides: list[str | int | None] = ["batch", 3, "height", "width"] if self.size is None else [1, 3, *self.size]
        image, stylized = (
            helper.make_tensor_value_info(name, TensorProto.FLOAT, sides) for name in ("image", "stylized")
        )
        graph = helper.make_graph(self.nodes, "TransformerNet", [image], [stylized], self.constants)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="neuralstyle"
        )
        helper.set_model_props(model, facts)
        return model
