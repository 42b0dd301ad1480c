"""Writing: a tensor to a PIL image or to a file, which comes into being whole or not at all."""

from __future__ import annotations

import os
import tempfile
import uuid
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from neuralstyle.images.deep import LARGEST_TIFF, save_deep, vips
from neuralstyle.images.profiles import Profile, from_srgb, read_profile
from neuralstyle.images.reading import from_pil
from neuralstyle.images.resizing import FLOATS, HALF
from neuralstyle.images.sizes import is_integer
from neuralstyle.images.strips import assemble, spans

_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"}
_LOSSLESS = ("PNG", "TIFF")
_PREDICTOR, _HORIZONTAL = 317, 2  # a tag of TIFF, and its value for differences along a row


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
    pixels = _checked(image)
    height, width = pixels.shape[1:]
    picture = Image.new("RGB", (width, height))
    for top, end in spans(height, width):
        strip = pixels[:, top:end]
        strip = strip.float() if strip.dtype in HALF else strip
        levels = strip.clamp(0, 1).mul_(255).round_().to(torch.uint8)
        picture.paste(Image.fromarray(levels.permute(1, 2, 0).contiguous().cpu().numpy()), (0, top))
    return picture


def save_image(
    image: Tensor | Image.Image,
    path: str | os.PathLike[str],
    overwrite: bool = False,
    quality: int = 95,
    *,
    depth: int = 8,
    profile: Profile | None = None,
) -> Path:
    """Save a picture, as sRGB unless told otherwise, in the format that the suffix of `path` names.

    The file is written under a temporary name beside `path` and renamed when complete, so a failure leaves
    neither half a file nor a lost old one. A PIL image is first converted as `load_image` does it.

    Args:
        image: A tensor (1,3,H,W) or (3,H,W) in [0,1], or a PIL image.
        path: Ends in .png, .jpg, .jpeg, .webp, .tif or .tiff.
        overwrite: Replace an existing file instead of refusing.
        quality: 1 to 100, for JPEG and WebP; PNG and TIFF are lossless (TIFF is compressed by deflate).
        depth: Bits a channel: 8, or for PNG and TIFF 16. A tensor is rounded to that many levels; what a PIL image
            has are 8 bits. 16 needs libvips (`pip install 'neuralstyle[large]'`), and so does a TIFF of more than
            4 GB of pixels, which becomes a BigTIFF.
        profile: An RGB colour profile to convert the picture into and to embed, so that it looks the same wherever
            profiles are obeyed: the bytes of an ICC profile, or the path of one or of the picture whose own is to be
            carried through. One without a profile is sRGB, and so is what is saved.

    Returns:
        The path of the file.

    Raises:
        ValueError: The image, quality, depth or profile cannot be used.
        TypeError: `profile` is neither bytes nor a path.
        ImportError: libvips is needed, and not installed.
        OSError: See `check_output`; or the disk failed.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_image(torch.rand(1, 3, 32, 32), f"{folder}/out.png").name
        'out.png'

    """
    path = check_output(path, overwrite, depth=depth, profile=profile)
    if not (is_integer(quality) and 1 <= quality <= 100):
        raise ValueError(f"quality must be an integer from 1 to 100, got {quality!r}")
    kind = _FORMATS[path.suffix.lower()]
    icc = None if profile is None else read_profile(profile)
    height, width = image.shape[-2:] if isinstance(image, Tensor) else (image.height, image.width)
    big = kind == "TIFF" and height * width * 3 * depth // 8 > LARGEST_TIFF
    if big:
        vips("a TIFF of more than 4 GB")
    picture = _deep(image) if depth == 16 or big else _shallow(image, icc)

    temporary = path.with_name(f".neuralstyle-{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("xb") as file:  # unlike tempfile's, with the permissions of an ordinary file
            if isinstance(picture, Tensor):
                save_deep(picture, temporary, kind, depth, icc, big)
            else:
                picture.save(file, kind, icc_profile=icc, **_options(kind, int(quality)))
            file.flush()
            os.fsync(file.fileno())
        _publish(temporary, path, overwrite)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def check_output(
    path: str | os.PathLike[str], overwrite: bool = False, *, depth: int = 8, profile: Profile | None = None
) -> Path:
    """Find out before the work whether a picture can be saved at `path`.

    Args:
        path: The output file; its suffix names the format.
        overwrite: Whether an existing file may be replaced.
        depth: Bits a channel, as in `save_image`.
        profile: The colour profile, as in `save_image`.

    Returns:
        `path` as a `Path`.

    Raises:
        ValueError: The suffix names no known format, or that format has no such depth, or the profile does not serve.
        TypeError: `profile` is neither bytes nor a path.
        IsADirectoryError: The path is a folder.
        FileNotFoundError: The folder that it lies in, or the file of the profile, does not exist.
        FileExistsError: The file exists and `overwrite` is false.
        PermissionError: The folder cannot be written.
        ImportError: `depth` is 16, and libvips is not installed.

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
    _check_depth(depth, path)
    if profile is not None:
        read_profile(profile)
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


def _check_depth(depth: int, path: Path) -> None:
    if not is_integer(depth) or depth not in (8, 16):
        raise ValueError(f"depth must be 8 or 16 (bits a channel), got {depth!r}")
    if depth == 16:
        if _FORMATS[path.suffix.lower()] not in _LOSSLESS:
            deep = " ".join(suffix for suffix, kind in _FORMATS.items() if kind in _LOSSLESS)
            raise ValueError(f"{path}: this format holds 8 bits a channel; for depth=16 use one of {deep}")
        vips("depth=16")


def _options(kind: str, quality: int) -> dict[str, object]:
    if kind == "TIFF":
        return {"compression": "tiff_adobe_deflate", "tiffinfo": {_PREDICTOR: _HORIZONTAL}}
    # Full chroma resolution: painted edges are mostly changes of hue.
    return {} if kind == "PNG" else {"quality": quality, "subsampling": 0}


def _checked(image: Tensor) -> Tensor:
    """The picture as (3,H,W), of finite numbers."""
    pixels = image.detach()
    if pixels.ndim == 4 and pixels.shape[0] == 1:
        pixels = pixels[0]
    if pixels.ndim != 3 or pixels.shape[0] != 3 or pixels.dtype not in FLOATS:
        received = f"{tuple(image.shape)} of {image.dtype}"
        raise ValueError(f"image must be a floating (1,3,H,W) or (3,H,W) tensor, got {received}")
    if not all(pixels[:, top:end].isfinite().all() for top, end in spans(*pixels.shape[1:])):
        raise ValueError("image holds NaN or infinite values; the computation that made it has diverged")
    return pixels


def _deep(image: Tensor | Image.Image) -> Tensor:
    """(3,H,W) on the CPU, as libvips takes it."""
    if isinstance(image, Tensor):
        pixels = _checked(image).cpu()
        return pixels.float() if pixels.dtype in HALF else pixels
    raster = from_pil(image)
    return assemble(raster, raster.sides)[0]


def _shallow(image: Tensor | Image.Image, profile: bytes | None) -> Image.Image:
    """Mode RGB, in the profile or in sRGB."""
    if isinstance(image, Tensor):
        picture = to_pil(image)
    elif _is_plain(image):
        picture = image
    else:
        picture = to_pil(_deep(image))
    return picture if profile is None else from_srgb(picture, profile)


def _is_plain(image: Image.Image) -> bool:
    """Whether a PIL image is saved as it is: opaque, upright, without a profile and anything else beside its pixels."""
    return image.mode == "RGB" and not image.info and not image.getexif()


def _publish(temporary: Path, path: Path, overwrite: bool) -> None:
    if not overwrite:
        try:
            os.link(temporary, path)  # unlike replace, refuses a file that has appeared meanwhile
            return
        except OSError:  # one has, or this file system has no hard links
            check_output(path)
    temporary.replace(path)
