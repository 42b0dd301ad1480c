"""Writing: a tensor becomes a PIL image, or a file that is written completely or not at all."""

from __future__ import annotations

import io
import os
import warnings
from pathlib import Path
from typing import Any

import torch
from PIL import ExifTags, Image
from torch import Tensor

from neuralstyle._errors import brief, is_whole, number, whole_number
from neuralstyle.files import check_target, writing
from neuralstyle.images.deep import MAX_TIFF_BYTES, vips, write_with_vips
from neuralstyle.images.formats import WRITTEN, is_installed, missing
from neuralstyle.images.notes import IMAGE_DESCRIPTION, add_to_exif, check_note, png_chunks
from neuralstyle.images.profiles import Profile, from_srgb, read_profile
from neuralstyle.images.reading import from_pil
from neuralstyle.images.strips import assemble, on_white, spans, straight
from neuralstyle.images.tensors import HALF, check_floating
from neuralstyle.machine.surroundings import plain_torch

ROUNDING_VARIANCE = 1 / (12 * 255**2)
"""The variance of the error of rounding to 8 bits, for values in [0, 1]: a smaller variance is invisible."""

_WITH_RESOLUTION = ("PNG", "JPEG", "TIFF")
_LOSSLESS = ("PNG", "TIFF")
_MOST_DPI = 65535  # of a JPEG
_PER_INCH = 2  # EXIF's number
_PREDICTOR, _HORIZONTAL = 317, 2  # TIFF tag and its value for differences along a row


@plain_torch()
def to_pil(image: Tensor) -> Image.Image:
    """Convert a picture to an 8-bit RGB or RGBA PIL image.

    Values are clamped to [0, 1] and rounded to the nearest of 256 levels, so ``to_pil(load_image(picture))`` gives an
    8-bit RGB picture back exactly.

    Args:
        image: (1, 3, H, W) or (3, H, W), floating, on any device; with a fourth channel for the opacity, RGBA.

    Raises:
        TypeError: ``image`` is not a dense floating tensor.
        ValueError: ``image`` has another shape, or a value is NaN or infinite.

    Example:
        ```python
        import torch
        from neuralstyle.images import to_pil

        assert to_pil(torch.full((1, 3, 16, 16), 0.5)).getpixel((0, 0)) == (128, 128, 128)
        ```

    """
    pixels = _checked(image)
    height, width = pixels.shape[1:]
    picture = Image.new("RGB" if pixels.shape[0] == 3 else "RGBA", (width, height))
    for top, end in spans(height, width):
        strip = pixels[:, top:end]
        strip = strip.float() if strip.dtype in HALF else strip
        levels = strip.clamp(0, 1).mul_(255).round_().to(torch.uint8)
        picture.paste(Image.fromarray(levels.permute(1, 2, 0).contiguous().cpu().numpy()), (0, top))
    return picture


@plain_torch()
def save_image(
    image: Tensor | Image.Image,
    path: str | os.PathLike[str],
    overwrite: bool = False,
    quality: int = 95,
    *,
    depth: int = 8,
    profile: Profile | None = None,
    dpi: float | None = None,
    note: str | None = None,
) -> Path:
    """Save a picture in the format that the suffix of ``path`` names, as sRGB unless a profile is given.

    The file is written under another name beside ``path`` and renamed when it is complete, so a failure leaves
    neither half a file nor a damaged old one. A PIL image is first converted as in ``load_image``, but keeps its
    alpha. JPEG has no transparency: there the picture is blended with white, with a warning.

    Args:
        image: a tensor (1, 3, H, W) or (3, H, W) in [0, 1], with a fourth channel if it has an opacity; or a PIL image.
        path: the file; it ends in .png, .jpg, .jpeg, .jfif, .webp, .tif, .tiff or .avif.
        overwrite: replace an existing file.
        quality: 1 to 100, for JPEG, WebP and AVIF; PNG and TIFF are lossless (TIFF is compressed by deflate).
        depth: bits per channel: 8, or 16 for PNG and TIFF. A tensor is rounded to that many levels; a PIL image has
            only 8 bits. 16 needs libvips (``pip install 'neuralstyle-torch[large]'``), and so does a TIFF of more than
            4 GB of pixels, which becomes a BigTIFF.
        profile: an RGB colour profile to convert the picture into and to embed, so that it looks the same in every
            program that respects profiles: the bytes of an ICC profile, or the path of a profile or of a picture that
            has one. A picture without a profile is sRGB.
        dpi: resolution to write into the file, in pixels per inch; programs that print or lay out pages use it. It does
            not change the pixels.
        note: a short ASCII text that travels in the file, such as the settings that made the picture.

    Returns:
        The path of the file.

    Raises:
        TypeError: ``image`` is neither a PIL image nor a dense floating tensor, or ``profile`` neither bytes nor a
            path.
        ValueError: the image, quality, depth or profile cannot be used.
        ImportError: libvips is needed and not installed, or Pillow was built without the format.
        OSError: as in ``check_output``, or writing failed.

    Example:
        ```python
        import tempfile
        import torch
        from neuralstyle import save_image

        with tempfile.TemporaryDirectory() as folder:
            assert save_image(torch.rand(1, 3, 32, 32), f"{folder}/out.png").name == "out.png"
        ```

    """
    if not isinstance(image, (Tensor, Image.Image)):
        raise TypeError(
            f"save_image takes a tensor or a PIL image, received {type(image).__name__}; read paths and arrays with "
            "load_image first"
        )
    path = check_output(path, overwrite, depth=depth, profile=profile, dpi=dpi)
    quality = whole_number("quality", quality, 1, 100)
    kind = WRITTEN[path.suffix.lower()]
    check_note(note)
    icc = None if profile is None else read_profile(profile)
    pixels = image.shape[-2:].numel() if isinstance(image, Tensor) else image.height * image.width
    big = kind == "TIFF" and pixels * _channels(image) * depth // 8 > MAX_TIFF_BYTES
    if big:
        vips("a TIFF of more than 4 GB")
    if kind == "JPEG":
        image = _without_alpha(image, path)
    picture = _to_cpu_tensor(image) if depth == 16 or big else _to_rgb(image, icc)

    with writing(path, overwrite=overwrite) as temporary:
        if isinstance(picture, Tensor):
            write_with_vips(picture, temporary, kind, depth, icc, big, dpi, note)
        else:
            with _Complete(io.FileIO(temporary, "r+")) as file:
                picture.save(file, kind, icc_profile=icc, **_options(kind, quality, dpi, note))
    return path


class _Complete(io.BufferedRandom):
    """A file that Pillow writes through Python, which writes everything or raises.

    With the number of a file Pillow writes by itself, and takes a part for the whole where a disk becomes full.
    """

    def fileno(self) -> int:
        raise io.UnsupportedOperation("fileno")


def check_output(
    path: str | os.PathLike[str],
    overwrite: bool = False,
    *,
    depth: int = 8,
    profile: Profile | None = None,
    dpi: float | None = None,
) -> Path:
    """Check before the work that a picture can be saved at ``path``.

    Args:
        path: the output file; its suffix names the format.
        overwrite: whether an existing file may be replaced.
        depth: bits per channel, as in ``save_image``.
        profile: the colour profile, as in ``save_image``.
        dpi: the resolution, as in ``save_image``.

    Returns:
        ``path`` as a ``Path``.

    Raises:
        ValueError: the suffix names no known format, the format does not have that depth, the profile cannot be used,
            or ``dpi`` is not a number from 1 to 65,535.
        TypeError: ``profile`` is neither bytes nor a path.
        IsADirectoryError: the path is a folder.
        FileNotFoundError: the folder of the file, or the file of the profile, does not exist.
        FileExistsError: the file exists and ``overwrite`` is false.
        PermissionError: the folder cannot be written.
        ImportError: ``depth`` is 16 and libvips is not installed, or Pillow was built without the format.

    Example:
        ```python
        from neuralstyle.images import check_output

        try:
            check_output("picture.gif")
        except ValueError as error:
            print(error)  # picture.gif: unknown suffix '.gif'; use one of .png .jpg .jpeg .jfif .webp .tif .tiff .avif
        ```

    """
    path = check_target(path, overwrite, suffixes=WRITTEN)
    kind = WRITTEN[path.suffix.lower()]
    if not is_installed(kind):
        raise ImportError(f"{path} needs {missing(kind)}, or give another suffix")
    _check_depth(depth, path)
    if profile is not None:
        read_profile(profile)
    if dpi is not None:
        number("dpi", dpi, least=1, most=_MOST_DPI, hint=" pixels per inch")
    return path


def _check_depth(depth: int, path: Path) -> None:
    if not is_whole(depth) or depth not in (8, 16):
        raise ValueError(f"depth is 8 or 16 bits per channel, received {brief(depth)}")
    if depth == 16:
        if WRITTEN[path.suffix.lower()] not in _LOSSLESS:
            deep = " ".join(suffix for suffix, kind in WRITTEN.items() if kind in _LOSSLESS)
            raise ValueError(f"{path}: this format has 8 bits per channel; for depth=16 use one of {deep}")
        vips("depth=16")


def _options(kind: str, quality: int, dpi: float | None, note: str | None) -> dict[str, Any]:
    """The options of Pillow; WebP and AVIF have no field for a resolution but in their EXIF block."""
    found: dict[str, Any] = {} if dpi is None or kind not in _WITH_RESOLUTION else {"dpi": (dpi, dpi)}
    if kind == "PNG":
        return {**found, **({} if note is None else {"pnginfo": png_chunks(note)})}
    if kind == "TIFF":
        noted = {} if note is None else {IMAGE_DESCRIPTION: note}
        return {**found, "compression": "tiff_adobe_deflate", "tiffinfo": {_PREDICTOR: _HORIZONTAL, **noted}}
    exif = Image.Exif()
    if dpi is not None and kind not in _WITH_RESOLUTION:
        exif[ExifTags.Base.XResolution] = exif[ExifTags.Base.YResolution] = dpi
        exif[ExifTags.Base.ResolutionUnit] = _PER_INCH
    if note is not None:
        add_to_exif(exif, note)
    if len(exif) or note is not None:
        found["exif"] = exif.tobytes()
    # Full chroma resolution: many painted edges are changes of hue alone.
    return {**found, "quality": quality, "subsampling": "4:4:4" if kind == "AVIF" else 0}


def _checked(image: Tensor) -> Tensor:
    """Check a picture and return it as (3, H, W)."""
    pixels = check_floating(image, "the image").detach()
    if pixels.ndim == 4 and pixels.shape[0] == 1:
        pixels = pixels[0]
    if pixels.ndim != 3 or pixels.shape[0] not in (3, 4) or not pixels.numel():
        raise ValueError(
            f"an image to save has shape (1, 3, H, W) or (3, H, W), received {tuple(image.shape)}; a fourth channel is "
            "its opacity"
        )
    if not all(pixels[:, top:end].isfinite().all() for top, end in spans(*pixels.shape[1:])):
        raise ValueError("the image holds NaN or infinite values; the computation that made it has diverged")
    return pixels


def _to_cpu_tensor(image: Tensor | Image.Image) -> Tensor:
    """Convert a picture to (3, H, W), or with an alpha (4, H, W), on the CPU, for libvips."""
    if isinstance(image, Tensor):
        pixels = _checked(image).cpu()
        return pixels.float() if pixels.dtype in HALF else pixels
    raster = from_pil(image)
    return assemble(raster, raster.sides, straight)[0]


def _channels(image: Tensor | Image.Image) -> int:
    """The number of channels of a picture in a file: 4 with an alpha, else 3."""
    has_alpha = image.shape[-3:-2] == (4,) if isinstance(image, Tensor) else image.has_transparency_data
    return 4 if has_alpha else 3


def _without_alpha(image: Tensor | Image.Image, path: Path) -> Tensor | Image.Image:
    """Blend a picture with white, with a warning if any of it is transparent."""
    if isinstance(image, Image.Image):
        if not image.has_transparency_data:
            return image
        image = _to_cpu_tensor(image)
    pixels = _checked(image)
    if pixels.shape[0] == 3:
        return image
    if float(pixels[3].min()) < 1 - 0.5 / 255:
        warnings.warn(
            f"{path.name}: JPEG has no transparency, and what is transparent becomes white; .png, .webp, .avif and "
            ".tif keep it",
            stacklevel=3,
        )
    return on_white(pixels[None].float().clamp(0, 1))


def _to_rgb(image: Tensor | Image.Image, profile: bytes | None) -> Image.Image:
    """Convert a picture to mode RGB or RGBA, in a profile or in sRGB."""
    if isinstance(image, Tensor):
        picture = to_pil(image)
    elif _is_plain(image):
        picture = image
    else:
        picture = to_pil(_to_cpu_tensor(image))
    return picture if profile is None else from_srgb(picture, profile)


def _is_plain(image: Image.Image) -> bool:
    """Tell whether a PIL image can be saved unchanged: RGB or RGBA pixels, without a profile or EXIF."""
    return image.mode in ("RGB", "RGBA") and not image.info and not image.getexif()
