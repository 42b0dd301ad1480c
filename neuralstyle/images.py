"""Pictures in and out: everything that a user may hold, as one kind of tensor and back.

Inside the library a picture is an sRGB float tensor of shape (B,3,H,W) with values in [0,1]. Only this module
knows about files, modes, profiles, orientation and transparency.
"""

from __future__ import annotations

import io
import math
import os
import tempfile
import threading
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from torch import Tensor

Picture: TypeAlias = str | os.PathLike[str] | Image.Image | npt.NDArray[Any] | Tensor
"""Whatever `load_image` accepts: a path, a PIL image, a numpy array or a tensor."""

MIN_SIDE = 16
"""The shortest side, in pixels, that a picture may have: one cell of VGG's relu5 layers."""

_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"}
_SCALES = {"bool": 1, "uint8": 255, "uint16": 65535}
_HALF = (torch.float16, torch.bfloat16)
_FLOATS = (*_HALF, torch.float32, torch.float64)
_TOLERANCE = 1e-3  # overshoot of [0,1] that is taken for rounding, not for another range
_OPENING = threading.Lock()  # warnings.catch_warnings is not safe in threads


def load_image(picture: Picture, size: int | None = None) -> Tensor:
    """Load a picture as an RGB tensor of shape (1,3,H,W) with values in [0,1].

    Files and PIL images are turned upright by their EXIF orientation and converted to sRGB by their colour
    profile (16-bit grey is taken as it is; Pillow reads 16-bit *colour* as 8-bit). Of several frames or pages
    the first is taken. Transparent pixels are blended with white. Grey becomes three equal channels.

    Args:
        picture: A path; a PIL image; an array (H,W) or (H,W,C), uint8, uint16, bool or floating in [0,1]; or a
            tensor (C,H,W) or (1,C,H,W), uint8 or floating in [0,1]. C is 1, 3 or 4 (RGB and alpha).
        size: The longest side of the result in pixels, up or down; None keeps the picture's own.

    Returns:
        A float32 tensor on the CPU; from a tensor, one on the same device, detached, that keeps a floating
            dtype and shares the memory where nothing had to be changed.

    Raises:
        FileNotFoundError: There is no such file.
        IsADirectoryError: The path is a folder.
        TypeError: The picture, or the elements of an array or tensor, are of another type.
        ValueError: The file is broken, empty, not a picture or so large that Pillow suspects an attack; the
            shape is another one; a value is NaN, infinite or outside [0,1]; a side is below 16 pixels, before
            or after resizing; `size` is not an integer of at least 16.

    Examples:
        >>> import numpy as np
        >>> load_image(np.zeros((60, 80, 3), dtype=np.uint8), size=40).shape
        torch.Size([1, 3, 30, 40])

    """
    if size is not None and not (_is_integer(size) and size >= MIN_SIDE):
        raise ValueError(f"size must be an integer of at least {MIN_SIDE} (pixels, longest side), got {size!r}")
    if isinstance(picture, (str, os.PathLike)):
        image = _from_file(Path(picture))
        name = str(picture)
    elif isinstance(picture, Image.Image):
        image = _from_pil(picture, name := "the PIL image")
    elif isinstance(picture, np.ndarray):
        image = _from_array(picture, name := "the array")
    elif isinstance(picture, Tensor):
        image = _from_tensor(picture, name := "the tensor")
    else:
        kind = type(picture).__name__
        raise TypeError(f"a picture must be a path, a PIL image, a numpy array or a tensor, got {kind}")

    height, width = image.shape[-2:]
    if min(height, width) < MIN_SIDE:
        raise ValueError(f"{name} is {width} x {height} px; give a picture of at least {MIN_SIDE} px on each side")
    if size is None:
        return image
    rows, columns = fit_size(height, width, size)
    if min(rows, columns) < MIN_SIDE:
        enough = math.ceil(MIN_SIDE * max(height, width) / min(height, width))
        outcome = f"would be {columns} x {rows} px at size={size}, under {MIN_SIDE} px on a side"
        raise ValueError(f"{name}, {width} x {height} px, {outcome}; use size={enough} or more, or crop it")
    return resize_image(image, (rows, columns))


def resize_image(image: Tensor, size: int | tuple[int, int]) -> Tensor:
    """Resize a picture with an antialiased bicubic filter.

    Args:
        image: (B,C,H,W), floating, in [0,1].
        size: The longest side in pixels, keeping the aspect to within a pixel, or the exact (height, width).

    Returns:
        (B,C,height,width), same dtype and device, clamped to [0,1] since the filter overshoots; `image` itself
            if it has that size already.

    Raises:
        ValueError: `image` is not a floating (B,C,H,W) tensor, or `size` is not made of positive integers.

    Examples:
        >>> resize_image(torch.rand(1, 3, 60, 80), 40).shape
        torch.Size([1, 3, 30, 40])

    """
    if image.ndim != 4 or image.dtype not in _FLOATS:
        raise ValueError(f"image must be a floating (B,C,H,W) tensor, got {tuple(image.shape)} of {image.dtype}")
    sides = size if isinstance(size, tuple) else (size, size)
    if len(sides) != 2 or not all(_is_integer(side) and side > 0 for side in sides):
        raise ValueError(f"size must be a positive integer or a pair (height, width) of them, got {size!r}")
    shape = size if isinstance(size, tuple) else fit_size(image.shape[-2], image.shape[-1], size)
    if shape == image.shape[-2:]:
        return image
    working = image.float() if image.dtype in _HALF else image  # the CPU has no such filter in half precision
    return F.interpolate(working, shape, mode="bicubic", antialias=True).clamp(0, 1).to(image.dtype)


def fit_size(height: int, width: int, longest: int) -> tuple[int, int]:
    """The (height, width) that keeps the aspect to within a pixel and has `longest` as its longest side.

    Examples:
        >>> fit_size(60, 80, 40)
        (30, 40)

    """
    scale = longest / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def to_pil(image: Tensor) -> Image.Image:
    """Convert a picture to an 8-bit RGB PIL image.

    Args:
        image: (1,3,H,W) or (3,H,W), floating, on any device; clamped to [0,1] and rounded to the nearest of
            256 levels, so that `to_pil(load_image(picture))` gives an 8-bit RGB picture back exactly.

    Raises:
        ValueError: The shape or dtype is another one, or a value is NaN or infinite.

    Examples:
        >>> to_pil(torch.full((1, 3, 16, 16), 0.5)).getpixel((0, 0))
        (128, 128, 128)

    """
    pixels = image.detach()
    if pixels.ndim == 4 and pixels.shape[0] == 1:
        pixels = pixels[0]
    if pixels.ndim != 3 or pixels.shape[0] != 3 or pixels.dtype not in _FLOATS:
        received = f"{tuple(image.shape)} of {image.dtype}"
        raise ValueError(f"image must be a floating (1,3,H,W) or (3,H,W) tensor, got {received}")
    if not pixels.isfinite().all():
        raise ValueError("image holds NaN or infinite values; the computation that made it has diverged")
    working = pixels.float() if pixels.dtype in _HALF else pixels
    levels = working.clamp(0, 1).mul(255).round().to(torch.uint8)
    return Image.fromarray(levels.permute(1, 2, 0).contiguous().cpu().numpy())


def save_image(
    image: Tensor | Image.Image, path: str | os.PathLike[str], overwrite: bool = False, quality: int = 95
) -> Path:
    """Save a picture as 8-bit sRGB, in the format that the suffix of `path` names.

    The file is written under a temporary name beside `path` and renamed when complete, so a failure leaves
    neither half a file nor a lost old one. A PIL image is first converted as `load_image` does it.

    Args:
        image: A tensor (1,3,H,W) or (3,H,W) in [0,1], or a PIL image.
        path: Ends in .png, .jpg, .jpeg, .webp, .tif or .tiff.
        overwrite: Replace an existing file instead of refusing.
        quality: 1 to 100, for JPEG and WebP; PNG and TIFF are lossless.

    Returns:
        The path of the file.

    Raises:
        ValueError: The image or the quality cannot be used.
        OSError: See `check_output`; or the disk failed.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_image(torch.rand(1, 3, 32, 32), f"{folder}/out.png").name
        'out.png'

    """
    path = check_output(path, overwrite)
    if not (_is_integer(quality) and 1 <= quality <= 100):
        raise ValueError(f"quality must be an integer from 1 to 100, got {quality!r}")
    picture = to_pil(_from_pil(image, "the PIL image") if isinstance(image, Image.Image) else image)
    kind = _FORMATS[path.suffix.lower()]
    # Full chroma resolution: painted edges are mostly changes of hue.
    options = {"quality": int(quality), "subsampling": 0} if kind in ("JPEG", "WEBP") else {}

    temporary = path.with_name(f".neuralstyle-{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("xb") as file:  # unlike tempfile's, with the permissions of an ordinary file
            picture.save(file, kind, **options)
            file.flush()
            os.fsync(file.fileno())
        _publish(temporary, path, overwrite)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def check_output(path: str | os.PathLike[str], overwrite: bool = False) -> Path:
    """Find out before the work whether a picture can be saved at `path`.

    Args:
        path: The output file; its suffix names the format.
        overwrite: Whether an existing file may be replaced.

    Returns:
        `path` as a `Path`.

    Raises:
        ValueError: The suffix names no known format.
        IsADirectoryError: The path is a folder.
        FileNotFoundError: The folder that it lies in does not exist.
        FileExistsError: The file exists and `overwrite` is false.
        PermissionError: The folder cannot be written.

    Examples:
        >>> check_output("picture.gif")
        Traceback (most recent call last):
        ValueError: picture.gif: unknown suffix '.gif'; use one of .png .jpg .jpeg .webp .tif .tiff

    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; give the name of a file in it")
    if path.suffix.lower() not in _FORMATS:
        raise ValueError(f"{path}: unknown suffix {path.suffix!r}; use one of {' '.join(_FORMATS)}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent} to save {path.name} in; create it first")
    if not overwrite and os.path.lexists(path):
        raise FileExistsError(f"{path} exists; pass overwrite=True (--overwrite) or give another name")
    try:  # os.access says yes to root, even where the disk is read-only
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        reason = error.strerror or error
        raise PermissionError(f"cannot write in folder {path.parent} ({reason}); use another") from error
    return path


def _publish(temporary: Path, path: Path, overwrite: bool) -> None:
    if not overwrite:
        try:
            os.link(temporary, path)  # unlike replace, refuses a file that has appeared meanwhile
            return
        except OSError:  # one has, or this file system has no hard links
            check_output(path)
    temporary.replace(path)


def _from_file(path: Path) -> Tensor:
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; give the name of a picture in it")
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}; check the name and the folder")
    with path.open("rb") as file:
        if not file.peek(1):
            raise ValueError(f"{path} is an empty file; give a picture")
        with _OPENING, warnings.catch_warnings(), _decoding(str(path)):
            # Large is no fault here. Twice that is an error, which stays.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(file)
        return _from_pil(image, str(path))


def _from_pil(image: Image.Image, name: str) -> Tensor:
    with _decoding(name):
        image.load()
    try:
        image = ImageOps.exif_transpose(image)
    except Exception as error:  # whatever a malformed EXIF block makes the parser raise
        warnings.warn(f"{name}: EXIF orientation ignored, it cannot be read ({error})", stacklevel=2)
    if image.mode.startswith("I;16") or image.mode == "F":
        return _from_array(np.asarray(image), name)
    if image.mode == "I":
        values = np.asarray(image)
        low, high = values.min(), values.max()
        if low < 0 or high > 65535:
            raise ValueError(f"{name} holds integers from {low} to {high}; scale them to 16 bits, 0 to 65535")
        return _from_array(values.astype(np.uint16), name)
    return _from_array(np.asarray(_to_srgb(image, name)), name)


@contextmanager
def _decoding(name: str) -> Iterator[None]:
    try:
        yield
    except Image.DecompressionBombError as error:
        remedy = "raise PIL.Image.MAX_IMAGE_PIXELS if you trust it"
        raise ValueError(f"{name} is too large: {str(error).rstrip('.')}; {remedy}") from error
    except UnidentifiedImageError as error:
        raise ValueError(f"{name} is not a picture in a known format; convert it to PNG or JPEG") from error
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error and more
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"{name} is broken, decoding it failed ({reason}); get a whole copy") from error


def _to_srgb(image: Image.Image, name: str) -> Image.Image:
    """To mode RGB, or RGBA where something may be transparent."""
    embedded = image.info.get("icc_profile")
    grey = image.mode in ("1", "L", "LA")
    alpha = None
    if image.has_transparency_data:
        image = image.convert("RGBA")
        alpha = image.getchannel("A")
    if embedded and image.mode != "LAB":  # LAB is absolute, and Pillow converts it so
        try:
            image = _apply_profile(image, embedded, grey)
        except Exception as error:  # pyCMS wraps some of its errors and not others
            warnings.warn(f"{name}: colour profile ignored, it cannot be used ({error})", stacklevel=2)
    image = image.convert("RGB")
    if alpha is not None:
        image.putalpha(alpha)
    return image


def _apply_profile(image: Image.Image, embedded: bytes, grey: bool) -> Image.Image:
    profile = ImageCms.ImageCmsProfile(io.BytesIO(embedded))
    if image.mode != "CMYK":  # a palette's profile is about the colours that it lists
        image = image.convert("L" if grey and profile.profile.xcolor_space == "GRAY" else "RGB")
    transform = ImageCms.buildTransform(
        profile,
        ImageCms.createProfile("sRGB"),
        image.mode,
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    return transform.apply(image)


def _from_array(array: npt.NDArray[Any], name: str) -> Tensor:
    pixels = array[:, :, None] if array.ndim == 2 else array
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3, 4) or not pixels.size:
        raise ValueError(f"{name} has shape {array.shape}; an array must be (H,W) or (H,W,C), C being 1, 3 or 4")
    scale = 1 if pixels.dtype.kind == "f" else _SCALES.get(pixels.dtype.name)
    if scale is None:
        raise TypeError(f"{name} holds {pixels.dtype}; convert it to uint8, uint16, bool or float in [0,1]")
    with np.errstate(over="ignore"):  # becomes infinite, which is refused below
        pixels = np.array(pixels.transpose(2, 0, 1), dtype=np.float32, order="C")
    if scale != 1:
        pixels /= scale
    return _from_tensor(torch.from_numpy(pixels), name)


def _from_tensor(tensor: Tensor, name: str) -> Tensor:
    image = tensor.detach()
    if image.ndim == 3:
        image = image[None]
    if image.ndim != 4 or image.shape[0] != 1 or image.shape[1] not in (1, 3, 4) or not image.numel():
        shape = tuple(tensor.shape)
        raise ValueError(f"{name} has shape {shape}; a tensor must be (C,H,W) or (1,C,H,W), C being 1, 3 or 4")
    if image.dtype == torch.uint8:
        image = image.float() / 255
    elif image.dtype not in _FLOATS:
        raise TypeError(f"{name} holds {image.dtype}; convert it to torch.uint8 or to float in [0,1]")

    low, high = (bound.item() for bound in image.aminmax())  # NaN spreads to both
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"{name} holds NaN or infinite values; replace them by values in [0,1]")
    if low < -_TOLERANCE or high > 1 + _TOLERANCE:
        received = f"{low:g} to {high:g}"
        raise ValueError(f"{name} holds values from {received}, not in [0,1]; divide 8-bit values by 255")
    if low < 0 or high > 1:
        image = image.clamp(0, 1)
    if image.shape[1] == 4:
        color, alpha = image[:, :3], image[:, 3:]
        image = color * alpha + (1 - alpha)
    return image if image.shape[1] == 3 else image.repeat(1, 3, 1, 1)


def _is_integer(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
