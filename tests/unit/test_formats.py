"""Which files are opened as pictures, and what is said of all others."""

from __future__ import annotations

import io
import os
import socket
import struct
import threading
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from deep_files import chunk, png
from PIL import EpsImagePlugin, Image, ImageFile

from neuralstyle.cli import main
from neuralstyle.images import check_output, load_image, pixel_limit, save_image
from neuralstyle.images import formats as table
from neuralstyle.images.formats import HEAD_BYTES, KINDS, READ_SUFFIXES, WRITTEN, recognize
from neuralstyle.images.masks import load_mask
from neuralstyle.images.opening import MAX_PIXELS, most_pixels
from neuralstyle.images.profiles import read_profile

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8))
POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\n{ } loop\nshowpage\n"


def encoded(plugin: str, mode: str = "RGB", **options: Any) -> bytes:
    if plugin == "HEIF":
        heif = pytest.importorskip("pillow_heif")
        buffer = io.BytesIO()
        heif.from_pillow(PICTURE).save(buffer)
        return buffer.getvalue()
    buffer = io.BytesIO()
    PICTURE.convert(mode).save(buffer, plugin, **options)
    return buffer.getvalue()


READ = [kind.plugin for kind in KINDS if kind.plugin]


@pytest.mark.parametrize("plugin", [*READ, "MPO"])
def test_every_format_is_known_by_its_content(tmp_path: Path, plugin: str) -> None:
    options = {"HEIF": {}, "ICO": {"sizes": [(32, 24)]}}.get(plugin, {})
    data = encoded(plugin, **options)
    kind = recognize(data[:HEAD_BYTES])
    assert kind is not None
    assert kind.plugin == ("JPEG" if plugin == "MPO" else plugin)
    for name in ("picture", "picture.txt", "picture.jpg"):
        path = tmp_path / name
        path.write_bytes(data)
        assert load_image(path).shape == (1, 3, 24, 32)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA"])
@pytest.mark.parametrize("compression", [None, "tga_rle"])
def test_a_format_without_a_signature_is_known_too(mode: str, compression: str | None) -> None:
    kind = recognize(encoded("TGA", mode, compression=compression)[:HEAD_BYTES])
    assert kind is not None
    assert kind.plugin == "TGA"


def test_noise_and_text_are_no_pictures() -> None:
    random = np.random.default_rng(1)
    kinds = [recognize(random.bytes(HEAD_BYTES)) for _ in range(2000)]
    assert sum(kind is not None and bool(kind.plugin) for kind in kinds) < 3
    for text in (
        b"hello\n",
        b"BM is what the bitmap of old begins with, like this letter",
        b"P7 and P9 are no pictures",
    ):
        kind = recognize(text)
        assert kind is None or not kind.plugin


OTHERS = {
    "a PostScript program": POSTSCRIPT,
    "a PDF document": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
    "an SVG drawing": b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>',
    "a web page (HTML)": b"<!DOCTYPE html><html><body>404</body></html>",
    "a Photoshop document (PSD)": b"8BPS\x00\x01" + bytes(20),
    "a ZIP archive": b"PK\x03\x04" + bytes(30),
    "a video": b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2",
    "a camera's RAW file": b"II*\x00\x10\x00\x00\x00CR\x02\x00" + bytes(30),
    "text": b"this is no picture\n",
    "a JPEG XL picture": b"\xff\x0a" + bytes(30),
    "a NumPy array": b"\x93NUMPY\x01\x00" + bytes(30),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_what_a_file_really_is_is_said(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "holiday.jpg"
    path.write_bytes(OTHERS[kind])
    with pytest.raises(ValueError, match="not a picture in a known format; convert it to PNG or JPEG") as caught:
        load_image(path)
    assert f"holiday.jpg is {kind}, not" in str(caught.value)


def test_postscript_reaches_no_reader_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "holiday.jpg"
    path.write_bytes(POSTSCRIPT)
    run = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *given, **options: run.append(given))
    monkeypatch.setattr(EpsImagePlugin.EpsImageFile, "_open", lambda self: run.append(self))
    for use in (load_image, load_mask, read_profile, lambda file: save_image(load_image(file), tmp_path / "a.png")):
        with pytest.raises(ValueError, match=r"holiday\.jpg is (a PostScript program|neither a picture nor)"):
            use(path)
    assert run == []


class Foreign(ImageFile.ImageFile):
    """A reader that another package has registered."""

    format = "FOREIGN"

    def _open(self) -> None:
        self._mode, self._size = "L", (32, 32)


def test_no_reader_of_another_package_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(Image.OPEN, "FOREIGN", (Foreign, lambda prefix: True))
    monkeypatch.setattr(Image, "ID", ["FOREIGN", *Image.ID])
    path = tmp_path / "a.png"
    path.write_bytes(b"anything at all, of which that reader says yes")
    with Image.open(path) as image:
        assert image.format == "FOREIGN"
    with pytest.raises(ValueError, match=r"a\.png is text"):
        load_image(path)
    path.write_bytes(encoded("PNG"))
    assert load_image(path).shape == (1, 3, 24, 32)


def test_heic_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "is_installed", lambda plugin: False)
    path = tmp_path / "IMG_1.HEIC"
    path.write_bytes(b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(100))
    with pytest.raises(ValueError, match=r"IMG_1\.HEIC is a HEIC picture, which needs pillow-heif; run 'pip install"):
        load_image(path)


def test_reading_heic_leaves_pillow_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(encoded("HEIF"))
    before = set(Image.OPEN)
    load_image(path)
    assert "HEIF" not in set(Image.OPEN) - before


def camera_raw(tags: list[tuple[int, int]]) -> bytes:
    """A grey TIFF of 16 x 16 pixels with more tags."""
    plain = [(256, 16), (257, 16), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 16), (279, 256)]
    entries = sorted([*plain, *tags])
    rows = b"".join(struct.pack("<HHII", number, 4, 1, value) for number, value in entries)
    pixels = bytes(range(256))
    return b"II*\x00" + (8 + 256).to_bytes(4, "little") + pixels + len(entries).to_bytes(2, "little") + rows + bytes(4)


@pytest.mark.parametrize("tags", [[(254, 1), (330, 8)], [(50706, 0x00000401)]])
def test_the_preview_in_a_raw_file_is_not_taken_for_the_photograph(tmp_path: Path, tags: list[tuple[int, int]]) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(camera_raw([]))
    assert load_image(path).shape == (1, 3, 16, 16)
    path.write_bytes(camera_raw(tags))
    with pytest.raises(ValueError, match=r"a\.tif is a camera's RAW file .*; develop it to TIFF or JPEG"):
        load_image(path)


def test_a_palette_without_colours(tmp_path: Path) -> None:
    path = tmp_path / "nopalette.png"
    rows = zlib.compress(bytes(33 * 32))
    header = chunk(b"IHDR", (32).to_bytes(4, "big") * 2 + bytes([8, 3, 0, 0, 0]))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
    with pytest.raises(ValueError, match=r"nopalette\.png is broken, decoding it failed .*; get a whole copy"):
        load_image(path)


@pytest.mark.parametrize("raised", [RecursionError("x" * 9000), OverflowError(), KeyError("a\nb"), MemoryError()])
def test_whatever_a_decoder_raises_is_one_short_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: Exception
) -> None:
    def fail(self: object) -> None:
        raise raised

    path = tmp_path / ("long" * 40 + ".png")
    PICTURE.save(path)
    monkeypatch.setattr(ImageFile.ImageFile, "load", fail)
    with pytest.raises(ValueError, match=r"longlong\.png is (broken|too large)") as caught:
        load_image(path)
    assert len(str(caught.value)) <= 300
    assert "\n" not in str(caught.value)


def test_floating_tiffs(tmp_path: Path) -> None:
    values = np.linspace(0, 1, 400, dtype=np.float32).reshape(20, 20)
    Image.fromarray(values).save(tmp_path / "unit.tif")
    assert torch.equal(load_image(tmp_path / "unit.tif")[0, 0], torch.tensor(values))
    Image.fromarray(values * 255 + 3).save(tmp_path / "bytes.tif")
    with pytest.raises(ValueError, match=r"bytes\.tif holds floating values from 3 to 258, .*; divide them, or save"):
        load_image(tmp_path / "bytes.tif")


# Files that are none


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes of POSIX systems")
def test_named_pipes_and_devices_are_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "pipe.png")
    for name in ("pipe.png", "link.png"):
        with pytest.raises(ValueError, match=f"{name} is a named pipe, not a file; give a picture"):
            load_image(tmp_path / name)
    for device in ("/dev/zero", "/dev/null"):
        with pytest.raises(ValueError, match=f"{device} is a device"):
            load_image(device)
    monkeypatch.chdir(tmp_path)  # the address of a socket is short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s.png")
        with pytest.raises(ValueError, match=r"s\.png is a socket"):
            load_image(tmp_path / "s.png")


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="open files by their numbers")
@pytest.mark.parametrize("depth", [8, 16])
def test_a_pipe_of_the_shell_is_read(tmp_path: Path, depth: int, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (24, 32, 3), dtype=np.uint16)
    data = encoded("PNG") if depth == 8 else png(deep)
    if depth == 16:
        pytest.importorskip("pyvips")
    (tmp_path / "a.png").write_bytes(data)
    for place in ("/dev/fd", "/proc/self/fd"):
        if not Path(place).exists():
            continue
        read, write = os.pipe()
        writer = threading.Thread(target=lambda end: (os.write(end, data), os.close(end)), args=(write,))
        writer.start()
        assert torch.equal(load_image(f"{place}/{read}"), load_image(tmp_path / "a.png"))
        writer.join()
        with pytest.raises(ValueError, match=r"is a pipe with nothing in it, or nothing more; save the picture"):
            load_image(f"{place}/{read}")
        os.close(read)


def test_a_pipe_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neuralstyle.images.opening.MAX_PIPE_BYTES", 2**10)
    read, write = os.pipe()
    os.write(write, bytes(2**11))
    os.close(write)
    with pytest.raises(ValueError, match="is a pipe with more than 0 MiB; save it to a file first"):
        load_image(f"/dev/fd/{read}")
    os.close(read)


@pytest.mark.parametrize("path", ["a\0b.png", "absent/b.png"])
def test_paths_of_nothing(path: str) -> None:
    with pytest.raises(FileNotFoundError, match="check the name and the folder"):
        load_image(path)


# The limit


def test_the_limit_is_that_of_the_thread() -> None:
    seen = []
    with pixel_limit(1000):
        thread = threading.Thread(target=lambda: seen.append(most_pixels()))
        thread.start()
        thread.join()
        assert most_pixels() == 1000
    assert (most_pixels(), *seen) == (MAX_PIXELS, MAX_PIXELS)


@pytest.mark.parametrize("plugin", ["WEBP", "GIF", "TIFF", "ICO", "AVIF"])
def test_the_limit_holds_for_readers_that_ask_pillows(
    tmp_path: Path, plugin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.write_bytes(encoded(plugin, **({"sizes": [(32, 24)]} if plugin == "ICO" else {})))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert load_image(path).shape == (1, 3, 24, 32)
    with pixel_limit(100), pytest.raises(ValueError, match=r"a is too large: 0\.000768 megapixels"):
        load_image(path)
    assert Image.MAX_IMAGE_PIXELS == 100


def test_the_command_line_sets_the_limit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for side in (64, 1001):
        Image.new("L", (side, side), 99).save(tmp_path / f"{side}.png")
    output = tmp_path / "out.png"
    line = ["recolor", str(tmp_path / "64.png"), str(tmp_path / "1001.png"), "-o", str(output), "--max-megapixels"]
    assert main([*line, "1"]) == 2
    assert "1001.png is too large: 1.002 megapixels, and the limit is 1; raise it with" in capsys.readouterr().err
    assert main([*line, "0"]) == 2
    assert "--max-megapixels is a whole number of at least 1, received 0" in capsys.readouterr().err
    assert not output.exists()
    assert main([*line, "2"]) == 0
    assert output.exists()
    assert most_pixels() == MAX_PIXELS


# What is written


def test_avif_is_written(tmp_path: Path) -> None:
    image = torch.linspace(0, 1, 64).expand(3, 64, 64)
    good, poor = (save_image(image, tmp_path / f"{quality}.avif", quality=quality) for quality in (95, 5))
    with Image.open(good) as picture:
        assert picture.format == "AVIF"
    assert (load_image(good)[0] - image).abs().max() < 0.03
    assert poor.stat().st_size < good.stat().st_size


def test_a_pillow_without_the_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neuralstyle.images.writing.is_installed", lambda plugin: plugin != "AVIF")
    with pytest.raises(ImportError, match=r"a\.avif needs a Pillow with AVIF; run 'pip install -U pillow', or give"):
        check_output(tmp_path / "a.avif")


def test_the_table_is_whole() -> None:
    assert set(WRITTEN) <= set(READ_SUFFIXES)
    assert len(set(READ_SUFFIXES)) == len(READ_SUFFIXES)
    for suffix in (".png", ".jpg", ".jpeg", ".jfif", ".webp", ".tif", ".tiff", ".avif"):
        assert suffix in WRITTEN
    assert ".mpo" not in WRITTEN
    assert not any(kind.written and not kind.plugin for kind in KINDS)
