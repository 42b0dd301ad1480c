"""ONNX: writing a network as a graph of standard operators, and running such files in onnxruntime."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neuralstyle import samples
from neuralstyle._errors import whole_number
from neuralstyle.feedforward.graph import Graph
from neuralstyle.feedforward.network import TransformerNet
from neuralstyle.files import check_target, writing
from neuralstyle.files.schema import clip, shown
from neuralstyle.images import MAX_SIDE, MIN_SIDE, load_image
from neuralstyle.machine.surroundings import plain_torch

WHITE_KEY = "neuralstyle.range"
"""Key of a file's metadata for the value of white. A file without it counts as one of fast_neural_style, 0 to 255."""

MAX_WHITE = 65535.0
MAX_PADDING = 3
"""Pixels by which a side of a model's output may be too long: many round sides up to a multiple of 4."""

MAX_DIFFERENCE = 1e-3  # of the exported network's output from the original's
MAX_QUANTIZED_DIFFERENCE = 0.03  # of one with quantized weights, on average
_NO_ONNX = "needs the packages onnx and onnxruntime; run 'pip install neuralstyle-torch[onnx]'"


class OnnxModel:
    """A network in a .onnx file, run by onnxruntime: call it like a ``TransformerNet``, with whole pictures only.

    A file of ``export_onnx`` has values in [0, 1] and takes any size. Any other file counts as one of
    fast_neural_style, which has values from 0 to 255, and sometimes takes pictures of one size only. If it rounds sides
    up to a multiple of 4, what is too much is cut off.

    A graph may compute for ever. Ctrl-C, or another exception in the thread that called, stops it at the end of the
    operation that runs.

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
        self.path = Path(path)
        self._run_options = onnxruntime.RunOptions
        try:
            self._session = _session(self.path.read_bytes())
            inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
            is_network = len(inputs) == len(outputs) == 1 and all(map(_is_picture, (*inputs, *outputs)))
            self._input = inputs[0].name if is_network else ""
            white = self._session.get_modelmeta().custom_metadata_map.get(WHITE_KEY, "255")
        except Exception as error:  # onnxruntime's exceptions have no common class
            raise ValueError(
                f"{path} is damaged or not an ONNX model ({_first_line(error)}); give a complete one"
            ) from error
        if not is_network:
            raise ValueError(f"{path} is not a network from a picture (B, 3, H, W) of 32-bit floats to another")
        self.white = _white(white, path)

    def __call__(self, image: Tensor) -> Tensor:
        """Paint a picture, ``(B, 3, H, W)`` in [0, 1] -> ``(B, 3, H, W)`` in [0, 1].

        Raises:
            ValueError: the file takes only pictures of another size, or returns something else than a picture of finite
                numbers and of that size.

        """
        array = (image.detach().float().cpu() * self.white).numpy()
        try:
            result = self._run(array)
        except Exception as error:  # of no common class, as above
            wanted = self._session.get_inputs()[0].shape
            sides = list(image.shape[2:])
            if len(wanted) == 4 and all(isinstance(side, int) for side in wanted[2:]) and list(wanted[2:]) != sides:
                raise ValueError(
                    f"{self.path} takes pictures of {wanted[3]} x {wanted[2]} pixels alone, and this one is "
                    f"{sides[1]} x {sides[0]}; resize it, or give a model for any size"
                ) from error
            raise ValueError(
                f"{self.path} cannot take pictures of the shape {tuple(image.shape)}, but {clip(str(wanted), 60)} "
                f"({_first_line(error)})"
            ) from error
        styled = (torch.from_numpy(self._checked(result, array.shape)) / self.white).clamp(0, 1)
        return styled[..., : image.shape[2], : image.shape[3]].to(image)

    def _run(self, array: np.ndarray[Any, Any]) -> Any:
        """Run the graph in a thread, so that an exception in this one can end a graph that does not end."""
        options = self._run_options()
        options.log_severity_level = 4
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(self._session.run, None, {self._input: array}, options)
            try:
                while not running.done():
                    wait([running], timeout=1)  # on Windows a signal does not end the waiting
            except BaseException:
                options.terminate = True
                raise
        return running.result()[0]

    def _checked(self, result: Any, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
        """Return what the graph has made, if it is a picture for one of this shape."""
        if not isinstance(result, np.ndarray) or result.dtype != np.float32:
            raise ValueError(f"the model {self.path} returns {shown(result)}, not 32-bit floats")
        longer = [made - given for made, given in zip(result.shape[2:], shape[2:], strict=False)]
        if result.ndim != 4 or result.shape[:2] != shape[:2] or not all(0 <= more <= MAX_PADDING for more in longer):
            raise ValueError(
                f"the model {self.path} returns the shape {clip(str(result.shape), 60)} for a picture of {shape}; a "
                "model for pictures returns one of the same size"
            )
        if not np.isfinite(result).all():
            raise ValueError(f"the model {self.path} returns NaN or infinite values; its training has diverged")
        return result


@dataclass(frozen=True)
class Difference:
    """How much the pictures of two models differ: on average and at most, of values in [0, 1]."""

    mean: float
    largest: float

    def __str__(self) -> str:
        return f"{255 * self.mean:.2g} of 255 levels on average, {255 * self.largest:.2g} at most"


@plain_torch()
def export_onnx(
    network: TransformerNet,
    path: str | os.PathLike[str],
    *,
    size: tuple[int, int] | None = None,
    quantize: bool = False,
) -> Path:
    """Write a network as an ONNX file, for batches and pictures of any size, and check it.

    The graph has one input, ``image``, and one output, ``stylized``, both ``(B, 3, H, W)``, RGB in [0, 1], and only
    standard operators of opset 17. Before the file is renamed to ``path``, onnxruntime's output for pictures of two
    sizes is compared with PyTorch's.

    Args:
        network: the network.
        path: the file; it ends in .onnx, and is replaced if it exists.
        size: (height, width) of the only pictures that the graph takes, one at a time, for programs and devices that
            need to know it; None: any.
        quantize: store the weights of convolutions in 8 bits, with a scale for each output channel. The file has a
            quarter of the size; activations stay floats. ``model_difference`` measures what is lost.

    Raises:
        ImportError: onnx or onnxruntime is not installed (``pip install neuralstyle-torch[onnx]``).
        ValueError: ``path`` has another suffix, or a side is below 16.
        OSError: ``path`` is a folder, or its folder does not exist or cannot be written.
        ArithmeticError: onnxruntime's output differs from PyTorch's by more than 1e-3, or of quantized weights by more
            than 0.03 on average.

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
    for side in size or ():
        whole_number("a side of an ONNX model's pictures", side, MIN_SIDE, MAX_SIDE, hint=" pixels")
    check_target(path, overwrite=True)
    try:
        import onnx
        import onnxruntime  # noqa: F401 - needed by OnnxModel below
    except ImportError as error:
        raise ImportError(f"the export to ONNX {_NO_ONNX}") from error
    model = Graph(network, size, quantize).model({WHITE_KEY: "1"})
    onnx.checker.check_model(model, full_check=True)
    with writing(path) as temporary:
        temporary.write_bytes(model.SerializeToString())
        _compare(network, OnnxModel(temporary), size, quantize)
    return path


def _compare(network: TransformerNet, exported: OnnxModel, size: tuple[int, int] | None, quantize: bool) -> None:
    shapes = ((1, 3, 32, 48), (2, 3, 37, 30)) if size is None else ((1, 3, *size),)
    for shape in shapes:
        image = torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float32)
        found = model_difference(network, exported, image)
        if not (found.mean <= MAX_QUANTIZED_DIFFERENCE if quantize else found.largest <= MAX_DIFFERENCE):
            raise ArithmeticError(f"the exported model differs from the network by {found} at {shape}")


@plain_torch()
def model_difference(
    network: TransformerNet, exported: Callable[[Tensor], Tensor], image: Tensor | None = None
) -> Difference:
    """Measure how much an exported model paints otherwise than its network.

    Args:
        network: the network.
        exported: the other model, such as ``load_model("quantized.onnx")``.
        image: the picture to paint, (B, 3, H, W) in [0, 1]; None: the package's photograph.

    Example:
        ```python
        import tempfile
        from neuralstyle.feedforward import TransformerNet, export_onnx, load_model, model_difference

        network = TransformerNet(width=4, blocks=1, seed=0)
        with tempfile.TemporaryDirectory() as folder:
            exported = load_model(export_onnx(network, f"{folder}/mosaic.onnx", quantize=True))
        assert 0 < model_difference(network, exported).mean < 0.03
        ```

    """
    image = load_image(samples.photo()) if image is None else image
    training, device = network.training, next(network.parameters()).device
    network.eval()
    try:
        with torch.no_grad():
            off = (exported(image) - network(image.to(device)).cpu()).abs()
    finally:
        network.train(training)
    return Difference(float(off.mean()), float(off.max()))


def _session(model: bytes) -> Any:
    """Make a session of onnxruntime on the best device that takes the model, without a word on the standard output."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(
            model, options, providers=onnxruntime.get_available_providers(), enable_fallback=0
        )
    except Exception:  # of no common class; onnxruntime's own fallback prints
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"], enable_fallback=0)


def _is_picture(value: Any) -> bool:
    """Tell whether an input or output is, as far as the file says, a picture (B, 3, H, W) of 32-bit floats."""
    sides = value.shape or [None, None, None, None]  # without sides: the file does not say
    return value.type == "tensor(float)" and len(sides) == 4 and (not isinstance(sides[1], int) or sides[1] == 3)


def _white(text: str, path: str | os.PathLike[str]) -> float:
    """Return the value of white that a file names.

    Raises:
        ValueError: it is no number, or not one that a picture can be multiplied with.

    """
    try:
        white = float(text)
    except ValueError:
        white = math.nan
    if not 0 < white <= MAX_WHITE:
        raise ValueError(
            f"{path} says that white is {shown(text)} (its metadata {WHITE_KEY!r}); white is a number above 0 and at "
            f"most {MAX_WHITE:g}"
        )
    return white


def _first_line(error: Exception) -> str:
    return clip(str(error), 120) or type(error).__name__
