"""3x3 convolution on the CPU with a quarter of the multiplications: Winograd's F(4x4, 3x3), as winograd.c has it."""

from __future__ import annotations

from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuralstyle.encoders.base import is_plain_cpu
from neuralstyle.encoders.kernels import library
from neuralstyle.encoders.kernels.padding import fold, pad
from neuralstyle.encoders.kernels.pooling import SCALE, defined_l2_pool
from neuralstyle.encoders.kernels.quantized import CodedConvolution

OUTPUTS = 4  # of a tile, on each side
PIECE = 32  # channels, or twice as many, that are computed at once
FIRST = 64  # channels of a network's first convolution, at most
NOTHING, RELU, MAXIMUM, ROOT = range(4)  # what follows a convolution, by its number in winograd.c
BORDERS = ("zeros", "replicate", "reflect")  # by their numbers in winograd.c
BLOCK = 48  # tiles that a thread takes through all stages: what lies between them stays in its cache (measured)


Convolution: TypeAlias = "nn.Conv2d | CodedConvolution"


def suits(x: Tensor, convolution: Convolution) -> bool:
    """Whether ``convolve`` can take the place of a convolution here: on the CPU, 3x3 padded by 1, frozen."""
    if isinstance(convolution, CodedConvolution):
        pieces = all(channels % PIECE == 0 for channels in convolution.codes.shape[:2])
        return x.numel() > 0 and pieces and _is_served(x, convolution.table, convolution.bias)
    weight = convolution.weight
    return (
        _is_served(x, weight, convolution.bias)
        and x.numel() > 0
        and weight.shape[0] % PIECE == weight.shape[1] % PIECE == 0
        and convolution.kernel_size == (3, 3)
        and convolution.padding == (1, 1)
        and convolution.padding_mode == "zeros"
        and convolution.stride == convolution.dilation == (1, 1)
        and convolution.groups == 1
    )


def pays(x: Tensor) -> bool:
    """Whether ``convolve`` is the faster, at comparable rounding; by shape alone, so that results repeat to the bit.

    The smallest maps lie in large part outside of their tiles, and torch convolves them directly by another method,
    whose rounding is lower.
    """
    channels, height, width = x.shape[1:]
    return min(height, width) >= 2 * OUTPUTS and channels * height * width >= 2**15


def convolve(
    x: Tensor, convolution: Convolution, *, relu: bool = False, pool: str | None = None, kept: bool = True
) -> Tensor:
    r"""A convolution that ``suits``, with the ReLU after it, or the ReLU and 2x2 pooling, "max" or "l2", if asked for.

    With $d_c$ a 6x6 tile of input channel c and $U_{kc} = G g_{kc} G^\top$ the transformed kernels, a 4x4 tile of
    output k is

    $$
    Y_k = A^\top \Bigl[ \sum_c U_{kc} \odot (B^\top d_c B) \Bigr] A
    $$

    with 36 multiplications instead of 144, as 36 matrix products over the channels. The gradient of the input goes
    the same way with the tiles turned round; of the forward pass it needs the ReLU's output, or, where that is not
    ``kept`` by others anyway, a byte a number, or a byte a maximum, and nothing else. The map of which maxima are
    taken, the largest by far, never exists; nor does the gradient of one whose squares are added. Rounding is about
    twice that of the direct convolution: the same precision, other bits. They do not depend on the number of threads.

    Shapes: (B, C, H, W) -> (B, K, H, W), or (B, K, H // 2, W // 2), in channels_last.

    Paper: Lavin and Gray, arXiv 1509.09308. Departure: other points of interpolation (see winograd.c).

    """
    if pool == "l2":
        return _L2Pooled.apply(x, convolution)[0]  # type: ignore[no-any-return, no-untyped-call]
    if pool == "max":
        return _Pooled.apply(x, convolution)  # type: ignore[no-any-return, no-untyped-call]
    result: Tensor = _Convolution.apply(x, convolution, relu, kept)  # type: ignore[no-untyped-call]
    return result


def suits_picture(x: Tensor, convolution: nn.Conv2d) -> bool:
    """Whether ``convolve_picture`` can take the place of a network's first convolution."""
    outputs, *kernel = convolution.weight.shape
    return _is_served(x, convolution.weight, convolution.bias) and outputs <= FIRST and kernel == [3, 3, 3]


def convolve_picture(x: Tensor, convolution: nn.Conv2d, padding: str, *, relu: bool = False) -> Tensor:
    """The first convolution, padded by 1 in some way, and the ReLU if asked for: as it is, but for a faster gradient.

    Shapes: (B, 3, H, W) -> (B, K, H, W), K at most 64.

    """
    result: Tensor = _Picture.apply(x, convolution.weight, convolution.bias, padding, relu)  # type: ignore[no-untyped-call]
    return result


def _is_served(x: Tensor, *others: Tensor | None) -> bool:
    """Whether the compiled functions are there, and these are in float32 on the CPU, all but the first frozen."""
    frozen = (t is not None and t.device.type == "cpu" and t.dtype == x.dtype and not t.requires_grad for t in others)
    return is_plain_cpu(x) and x.dtype == torch.float32 and all(frozen) and library.is_built()


class _Picture(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, padding: str, relu: bool) -> Tensor:
        result = padded_convolution(x, weight, bias, padding)
        result = result.relu_() if relu else result
        ctx.save_for_backward(weight, *([result] if relu else []))
        ctx.padding = padding
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        weight, *results = ctx.saved_tensors
        result = results[0] if results else None
        if torch.is_grad_enabled():  # somebody wants to differentiate once more
            if ctx.padding == "zeros":
                return _defined_back(gradient, weight, result), None, None, None, None
            return fold(_defined_back(gradient, weight, result, 0), ctx.padding), None, None, None, None
        batch, channels, height, width = gradient.shape
        back = gradient.new_empty((batch, 3, height, width))
        inputs, kernels = _channels_last(gradient), _channels_last(weight)
        masks = None if result is None else _channels_last(result)
        addresses = (None if t is None else t.data_ptr() for t in (inputs, masks, kernels, back))
        library.library().picture_gradient(*addresses, batch, height, width, channels, BORDERS.index(ctx.padding))
        return back, None, None, None, None


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, convolution: Convolution, relu: bool, kept: bool) -> Tensor:
        result = x.new_empty((x.shape[0], *x.shape[2:], len(_kernels(convolution))))
        codes = torch.empty_like(result, dtype=torch.uint8) if relu and not kept else None
        _run(x, convolution, result, codes=codes, after=RELU if relu else NOTHING)
        result = result.permute(0, 3, 1, 2)
        opened = result if codes is None else codes.permute(0, 3, 1, 2)
        ctx.save_for_backward(*([opened] if relu else []))
        ctx.convolution = convolution
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        opened = ctx.saved_tensors[0] if ctx.saved_tensors else None
        if torch.is_grad_enabled():  # somebody wants to differentiate once more
            back = _defined_back(gradient, ctx.convolution.weight, opened)
        else:
            back = gradient.new_empty((gradient.shape[0], *gradient.shape[2:], _kernels(ctx.convolution).shape[1]))
            _run(gradient, ctx.convolution, back, mask=opened, after=NOTHING if opened is None else RELU, turned=True)
            back = back.permute(0, 3, 1, 2)
        return back, None, None, None


class _Pooled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, convolution: Convolution) -> Tensor:
        batch, _, height, width = x.shape
        result = x.new_empty((batch, height // 2, width // 2, len(_kernels(convolution))))
        codes = torch.empty_like(result, dtype=torch.uint8)
        _run(x, convolution, result, codes=codes, after=MAXIMUM)
        ctx.save_for_backward(codes.permute(0, 3, 1, 2))
        ctx.convolution, ctx.shape = convolution, x.shape
        return result.permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (codes,) = ctx.saved_tensors
        batch, channels, height, width = ctx.shape
        if torch.is_grad_enabled():  # somebody wants to differentiate once more
            spread = torch.stack([gradient * (codes == code) for code in range(4)], 2)
            full = F.pixel_shuffle(spread.flatten(1, 2), 2)
            full = F.pad(full, (0, width - full.shape[3], 0, height - full.shape[2]))
            return F.conv_transpose2d(full, ctx.convolution.weight, padding=1), None
        back = gradient.new_empty((batch, height, width, channels))
        _run(gradient, ctx.convolution, back, mask=codes, after=MAXIMUM, turned=True)
        return back.permute(0, 3, 1, 2), None


class _L2Pooled(torch.autograd.Function):
    """Puts out the map as well, only so that second derivatives find their way through it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, convolution: Convolution) -> tuple[Tensor, Tensor]:
        batch, _, height, width = x.shape
        columns = len(_kernels(convolution))
        result = x.new_empty((batch, height, width, columns))
        pooled = x.new_empty((batch, height // 2, width // 2, columns))
        _run(x, convolution, result, pooled=pooled, after=ROOT)
        result, pooled = result.permute(0, 3, 1, 2), pooled.permute(0, 3, 1, 2)
        ctx.save_for_backward(result, pooled)
        ctx.convolution = convolution
        ctx.set_materialize_grads(False)
        return pooled, result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor | None, of_map: Tensor | None) -> tuple[Tensor | None, ...]:
        result, pooled = ctx.saved_tensors
        again = torch.is_grad_enabled()
        if again or gradient is None or of_map is not None:  # somebody wants to differentiate once more, or does
            total = torch.zeros_like(result) if of_map is None else of_map
            if gradient is not None:
                with torch.enable_grad():
                    maps = result if again else result.detach().requires_grad_()
                    total = total + torch.autograd.grad(defined_l2_pool(maps), maps, gradient, create_graph=again)[0]
            return _defined_back(total, ctx.convolution.weight, result), None
        share = _channels_last(gradient.div(pooled).mul_(SCALE**2))
        back = gradient.new_empty((result.shape[0], *result.shape[2:], _kernels(ctx.convolution).shape[1]))
        _run(result, ctx.convolution, back, pooled=share, after=ROOT, turned=True)
        return back.permute(0, 3, 1, 2), None


def padded_convolution(x: Tensor, weight: Tensor, bias: Tensor | None, padding: str) -> Tensor:
    """A 3x3 convolution of a picture with a border of one pixel: "zeros", "replicate" or "reflect"."""
    if padding == "zeros":
        return F.conv2d(x.contiguous(memory_format=torch.channels_last), weight, bias, padding=1)
    return F.conv2d(pad(x, padding).contiguous(memory_format=torch.channels_last), weight, bias)


def _defined_back(gradient: Tensor, weight: Tensor, opened: Tensor | None, padding: int = 1) -> Tensor:
    """The gradient of the input, from that of a ReLU that is open where this is positive, as autograd can follow it."""
    masked = gradient if opened is None else gradient * (opened > 0)
    return F.conv_transpose2d(masked, weight, padding=padding)


def _kernels(convolution: Convolution) -> Tensor:
    """The weights of a convolution, (K, C, 3, 3), or their codes."""
    return convolution.codes if isinstance(convolution, CodedConvolution) else convolution.weight


def _run(
    x: Tensor,
    convolution: Convolution,
    result: Tensor,
    *,
    after: int,
    mask: Tensor | None = None,
    codes: Tensor | None = None,
    pooled: Tensor | None = None,
    turned: bool = False,
) -> None:
    """What winograd.c says, into a result that is (B, H, W, C), as codes and pooled are; the mask may be bytes."""
    # They are kept in variables until the call is over.
    inputs, kernels = _channels_last(x), _channels_last(_kernels(convolution))
    masks = None if mask is None else _channels_last(mask)
    if masks is not None and masks.dtype == torch.uint8:
        codes, masks = masks, None
    shift = None if turned or convolution.bias is None else convolution.bias.contiguous()
    coded: tuple[Tensor | None, ...] = (None, None, None)
    if isinstance(convolution, CodedConvolution):
        coded = (convolution.table, convolution.outputs, convolution.inputs)
    batch, height, width = (result if turned else inputs).shape[:3]
    failed = library.library().convolve(
        *(None if t is None else t.data_ptr() for t in (inputs, masks, kernels, *coded, shift, result, codes, pooled)),
        *(batch, height, width, inputs.shape[3], result.shape[3]),
        after,
        turned,
        _block(batch * -(-height // OUTPUTS) * -(-width // OUTPUTS)),
    )
    if failed:
        raise MemoryError("no memory for a convolution; use a smaller size, or tile=")


def _block(tiles: int) -> int:
    """Tiles of a block: a share of all that is the same for each thread."""
    threads = torch.get_num_threads()
    rounds = -(-tiles // (BLOCK * threads))
    return -(-tiles // (rounds * threads))


def _channels_last(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H, W, C), contiguous."""
    return x.permute(0, 2, 3, 1).contiguous()
