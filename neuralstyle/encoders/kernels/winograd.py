"""3x3 convolution on the CPU with a quarter of the multiplications: Winograd's F(4x4, 3x3), computed by winograd.c."""

from __future__ import annotations

from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuralstyle.encoders.base import is_plain_cpu
from neuralstyle.encoders.kernels import library
from neuralstyle.encoders.kernels.library import (
    BORDERS,
    CHANNEL_MULTIPLE,
    MAX_PICTURE_CHANNELS,
    PICTURE_MULTIPLE,
    SCALE,
    TILE,
    WIDE_CHUNK,
    Fusion,
)
from neuralstyle.encoders.kernels.padding import fold, pad
from neuralstyle.encoders.kernels.pooling import defined_l2_pool
from neuralstyle.encoders.kernels.quantized import QuantizedConvolution

TILES_PER_BLOCK = 48  # the most for a block of a thread, so that intermediate results fit its cache (measured)
COLUMNS_PER_TILE = 8  # from which on threads share the columns (measured)
MIN_SIDE, MIN_ELEMENTS = 2 * TILE, 9 * 2**11  # of the smallest map for which ``convolve`` is faster (measured)

Convolution: TypeAlias = "nn.Conv2d | QuantizedConvolution"


def suits(x: Tensor, convolution: Convolution) -> bool:
    """Tell whether ``convolve`` can compute a convolution: on the CPU in float32, 3x3, padded by 1, frozen."""
    if isinstance(convolution, QuantizedConvolution):
        multiples = all(channels % CHANNEL_MULTIPLE == 0 for channels in convolution.codes.shape[:2])
        return x.numel() > 0 and multiples and _runs_here(x, convolution.table, convolution.bias)
    weight = convolution.weight
    return (
        _runs_here(x, weight, convolution.bias)
        and x.numel() > 0
        and weight.shape[0] % CHANNEL_MULTIPLE == weight.shape[1] % CHANNEL_MULTIPLE == 0
        and convolution.kernel_size == (3, 3)
        and convolution.padding == (1, 1)
        and convolution.padding_mode == "zeros"
        and convolution.stride == convolution.dilation == (1, 1)
        and convolution.groups == 1
    )


def pays(x: Tensor) -> bool:
    """Tell whether ``convolve`` is faster, at comparable rounding. Only the shape decides, so that results repeat.

    Tiles of the smallest maps are mostly outside the picture, and torch convolves such maps by another direct method,
    which rounds less.
    """
    channels, height, width = x.shape[1:]
    return min(height, width) >= MIN_SIDE and channels * height * width >= MIN_ELEMENTS


def convolve(x: Tensor, convolution: Convolution, fusion: Fusion = Fusion.NONE, *, kept: bool = True) -> Tensor:
    r"""Compute a convolution that ``suits``, with the ReLU, or the ReLU and 2x2 pooling, after it.

    With $d_c$ a 6x6 tile of input channel c and $U_{kc} = G g_{kc} G^\top$ the transformed kernels, a 4x4 tile of
    output k is

    $$
    Y_k = A^\top \Bigl[ \sum_c U_{kc} \odot (B^\top d_c B) \Bigr] A
    $$

    with 36 multiplications instead of 144, as 36 matrix products over the channels. The gradient of the input is
    computed in the same way with the tiles flipped. With pooling, the pre-pooling map is never materialised for
    "max", nor is its gradient for "l2". Rounding is about twice that of the direct convolution; the bits do not depend
    on the number of threads.

    Args:
        x: (B, C, H, W).
        convolution: C channels to K.
        fusion: the operations after the convolution.
        kept: with ``Fusion.RELU``, whether the result stays in memory for another reason. If not, the backward pass
            saves one byte per element instead of the result.

    Returns:
        (B, K, H, W), or with pooling (B, K, H // 2, W // 2), in channels_last.

    Raises:
        MemoryError: there is no memory for the intermediate results.

    Paper: Lavin and Gray, arXiv 1509.09308. Departure: other interpolation points (see winograd.c).

    """
    if fusion is Fusion.RELU_L2:
        return _L2Pooled.apply(x, convolution)[0]  # type: ignore[no-any-return, no-untyped-call]
    if fusion is Fusion.RELU_MAX:
        return _MaxPooled.apply(x, convolution)  # type: ignore[no-any-return, no-untyped-call]
    result: Tensor = _Convolution.apply(x, convolution, fusion, kept)  # type: ignore[no-untyped-call]
    return result


def suits_picture(x: Tensor, convolution: nn.Conv2d) -> bool:
    """Tell whether ``convolve_picture`` can compute a network's first convolution."""
    outputs, *kernel = convolution.weight.shape
    few = outputs <= MAX_PICTURE_CHANNELS
    return _runs_here(x, convolution.weight, convolution.bias) and few and kernel == [3, 3, 3]


def convolve_picture(x: Tensor, convolution: nn.Conv2d, padding: str, *, relu: bool = False) -> Tensor:
    """Compute the first convolution of a network, padded by 1: torch's values, with a faster gradient.

    Args:
        x: (B, 3, H, W).
        convolution: 3 channels to K, at most 64.
        padding: one of ``BORDERS``.
        relu: whether the ReLU follows.

    Returns:
        (B, K, H, W).

    """
    result: Tensor = _Picture.apply(x, convolution.weight, convolution.bias, padding, relu)  # type: ignore[no-untyped-call]
    return result


def _runs_here(x: Tensor, *others: Tensor | None) -> bool:
    """Whether the compiled functions are built, all tensors are float32 on the CPU, and all but the first frozen."""
    frozen = (t is not None and t.device.type == "cpu" and t.dtype == x.dtype and not t.requires_grad for t in others)
    if not (is_plain_cpu(x) and x.dtype == torch.float32 and all(frozen)):
        return False
    if not library.is_built():
        library.warn_of_absence()
    return library.is_built()


class _Picture(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, padding: str, relu: bool) -> Tensor:
        result = _features(x, weight, bias, padding, relu)
        ctx.save_for_backward(weight, *([result] if relu else []))
        ctx.padding = padding
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        weight, *results = ctx.saved_tensors
        result = results[0] if results else None
        if torch.is_grad_enabled():  # a second derivative is wanted
            if ctx.padding == "zeros":
                return _defined_gradient(gradient, weight, result), None, None, None, None
            return fold(_defined_gradient(gradient, weight, result, 0), ctx.padding), None, None, None, None
        batch, channels, height, width = gradient.shape
        back = gradient.new_empty((batch, 3, height, width))
        inputs, kernels = _channels_last(gradient), _channels_last(weight)
        masks = None if result is None else _channels_last(result)
        addresses = (None if t is None else t.data_ptr() for t in (inputs, masks, kernels, back))
        library.library().picture_gradient(*addresses, batch, height, width, channels, BORDERS.index(ctx.padding))
        return back, None, None, None, None


def _features(x: Tensor, weight: Tensor, bias: Tensor | None, padding: str, relu: bool) -> Tensor:
    """The values of ``convolve_picture``."""
    channels = len(weight)
    if channels % PICTURE_MULTIPLE:
        result = padded_convolution(x, weight, bias, padding)
        return result.relu_() if relu else result
    batch, _, height, width = x.shape
    result = x.new_empty((batch, height, width, channels))
    # The variables keep contiguous copies alive until the call returns.
    pixels, kernels = x.contiguous(), _channels_last(weight)
    shift = weight.new_zeros(channels) if bias is None else bias.contiguous()
    addresses = (t.data_ptr() for t in (pixels, kernels, shift, result))
    if library.library().picture_features(*addresses, batch, height, width, channels, BORDERS.index(padding), relu):
        raise MemoryError("no memory for a convolution; use a smaller size, or tile=")
    return result.permute(0, 3, 1, 2)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, convolution: Convolution, fusion: Fusion, kept: bool) -> Tensor:
        relu = fusion is Fusion.RELU
        result = x.new_empty((x.shape[0], *x.shape[2:], len(_kernels(convolution))))
        routes = torch.empty_like(result, dtype=torch.uint8) if relu and not kept else None
        _run(x, convolution, result, routes=routes, fusion=fusion)
        result = result.permute(0, 3, 1, 2)
        active = result if routes is None else routes.permute(0, 3, 1, 2)
        ctx.save_for_backward(*([active] if relu else []))
        ctx.convolution = convolution
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        active = next(iter(ctx.saved_tensors), None)
        if torch.is_grad_enabled():  # a second derivative is wanted
            back = _defined_gradient(gradient, ctx.convolution.weight, active)
        else:
            fusion = Fusion.NONE if active is None else Fusion.RELU
            back = gradient.new_empty((gradient.shape[0], *gradient.shape[2:], _kernels(ctx.convolution).shape[1]))
            _run(gradient, ctx.convolution, back, mask=active, fusion=fusion, turned=True)
            back = back.permute(0, 3, 1, 2)
        return back, None, None, None


class _MaxPooled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, convolution: Convolution) -> Tensor:
        batch, _, height, width = x.shape
        result = x.new_empty((batch, height // 2, width // 2, len(_kernels(convolution))))
        routes = torch.empty_like(result, dtype=torch.uint8)
        _run(x, convolution, result, routes=routes, fusion=Fusion.RELU_MAX)
        ctx.save_for_backward(routes.permute(0, 3, 1, 2))
        ctx.convolution, ctx.shape = convolution, x.shape
        return result.permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (routes,) = ctx.saved_tensors
        batch, channels, height, width = ctx.shape
        if torch.is_grad_enabled():  # a second derivative is wanted
            spread = torch.stack([gradient * (routes == corner) for corner in range(4)], 2)
            full = F.pixel_shuffle(spread.flatten(1, 2), 2)
            full = F.pad(full, (0, width - full.shape[3], 0, height - full.shape[2]))
            return F.conv_transpose2d(full, ctx.convolution.weight, padding=1), None
        back = gradient.new_empty((batch, height, width, channels))
        _run(gradient, ctx.convolution, back, mask=routes, fusion=Fusion.RELU_MAX, turned=True)
        return back.permute(0, 3, 1, 2), None


class _L2Pooled(torch.autograd.Function):
    """Returns the pre-pooling map too, so that second derivatives pass through it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, convolution: Convolution) -> tuple[Tensor, Tensor]:
        batch, _, height, width = x.shape
        columns = len(_kernels(convolution))
        result = x.new_empty((batch, height, width, columns))
        pooled = x.new_empty((batch, height // 2, width // 2, columns))
        _run(x, convolution, result, pooled=pooled, fusion=Fusion.RELU_L2)
        result, pooled = result.permute(0, 3, 1, 2), pooled.permute(0, 3, 1, 2)
        ctx.save_for_backward(result, pooled)
        ctx.convolution = convolution
        ctx.set_materialize_grads(False)
        return pooled, result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor | None, of_map: Tensor | None) -> tuple[Tensor | None, ...]:
        result, pooled = ctx.saved_tensors
        again = torch.is_grad_enabled()
        if again or gradient is None or of_map is not None:  # a second derivative is wanted, or computed
            total = torch.zeros_like(result) if of_map is None else of_map
            if gradient is not None:
                with torch.enable_grad():
                    maps = result if again else result.detach().requires_grad_()
                    total = total + torch.autograd.grad(defined_l2_pool(maps), maps, gradient, create_graph=again)[0]
            return _defined_gradient(total, ctx.convolution.weight, result), None
        share = _channels_last(gradient.div(pooled).mul_(SCALE**2))
        back = gradient.new_empty((result.shape[0], *result.shape[2:], _kernels(ctx.convolution).shape[1]))
        _run(result, ctx.convolution, back, pooled=share, fusion=Fusion.RELU_L2, turned=True)
        return back.permute(0, 3, 1, 2), None


def padded_convolution(x: Tensor, weight: Tensor, bias: Tensor | None, padding: str) -> Tensor:
    """Compute a 3x3 convolution of a picture padded by one pixel: "zeros", "replicate" or "reflect"."""
    if padding == "zeros":
        return F.conv2d(x.contiguous(memory_format=torch.channels_last), weight, bias, padding=1)
    return F.conv2d(pad(x, padding).contiguous(memory_format=torch.channels_last), weight, bias)


def _defined_gradient(gradient: Tensor, weight: Tensor, active: Tensor | None, padding: int = 1) -> Tensor:
    """The gradient of the input in torch operations; that of the ReLU passes where ``active`` is positive."""
    masked = gradient if active is None else gradient * (active > 0)
    return F.conv_transpose2d(masked, weight, padding=padding)


def _kernels(convolution: Convolution) -> Tensor:
    """The weight of a convolution, (K, C, 3, 3), or its codes."""
    return convolution.codes if isinstance(convolution, QuantizedConvolution) else convolution.weight


def _run(
    x: Tensor,
    convolution: Convolution,
    result: Tensor,
    *,
    fusion: Fusion,
    mask: Tensor | None = None,
    routes: Tensor | None = None,
    pooled: Tensor | None = None,
    turned: bool = False,
) -> None:
    """Call ``convolve`` of winograd.c, which describes the arguments.

    Args:
        x: (B, C, H, W), as is the mask.
        convolution: the convolution with the weight and the bias.
        result: (B, H, W, K), as are routes and pooled: written to.
        fusion: the operations after the convolution.
        mask: positive where a gradient passes; or bytes, which are then the routes.
        routes: bytes that say where a gradient goes.
        pooled: the pooled map; if ``turned``, the factors of its cells.
        turned: compute the gradient of the input instead.

    Raises:
        MemoryError: there is no memory for the intermediate results.

    """
    # The variables keep contiguous copies alive until the call returns.
    inputs, kernels = _channels_last(x), _channels_last(_kernels(convolution))
    masks = None if mask is None else _channels_last(mask)
    if masks is not None and masks.dtype == torch.uint8:
        routes, masks = masks, None
    shift = None if turned or convolution.bias is None else convolution.bias.contiguous()
    quantized: tuple[Tensor | None, ...] = (None, None, None)
    if isinstance(convolution, QuantizedConvolution):
        quantized = (convolution.table, convolution.outputs, convolution.inputs)
    batch, height, width = (result if turned else inputs).shape[:3]
    tensors = (inputs, masks, kernels, *quantized, shift, result, routes, pooled)
    failed = library.library().convolve(
        *(None if t is None else t.data_ptr() for t in tensors),
        *(batch, height, width, inputs.shape[3], result.shape[3]),
        fusion,
        turned,
        *_rounds(batch * -(-height // TILE) * -(-width // TILE), inputs.shape[3], result.shape[3]),
    )
    if failed:
        raise MemoryError("no memory for a convolution; use a smaller size, or tile=")


def _rounds(tiles: int, channels: int, columns: int) -> tuple[int, int]:
    """How the threads share the work: the tiles in a block, and the shares of the columns.

    With few tiles the threads share the columns, so that each transforms its part of the kernels and not all of them;
    but all the tiles.
    """
    threads = torch.get_num_threads()
    chunk = CHANNEL_MULTIPLE if channels % WIDE_CHUNK or columns % WIDE_CHUNK else WIDE_CHUNK
    if COLUMNS_PER_TILE * tiles <= columns and columns // chunk >= threads:
        return tiles, threads
    rounds = -(-tiles // (TILES_PER_BLOCK * threads))
    return -(-tiles // (rounds * threads)), 1


def _channels_last(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H, W, C), contiguous."""
    return x.permute(0, 2, 3, 1).contiguous()
