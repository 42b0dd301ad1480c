"""Small films for tests: written through PyAV, with the times, tags, turns and sound that a test asks for."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from torch import Tensor

WHOLE = struct.pack(">9i", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
CLOCKWISE = struct.pack(">9i", 0, 0x10000, 0, -0x10000, 0, 0, 64 << 16, 0, 0x40000000)
BASE = Fraction(1, 1000)


def same(picture: Tensor) -> Tensor:
    """A network that paints what it sees."""
    return picture


def picture(number: int, width: int = 96, height: int = 64) -> npt.NDArray[np.uint8]:
    """A red left half, a blue top, and a white square that moves."""
    found = np.full((height, width, 3), 60, np.uint8)
    found[:, : width // 2] = (200, 40, 40)
    found[: height // 4] = (30, 30, 200)
    found[20 + number : 36 + number, 20 + 3 * number : 36 + 3 * number] = 255
    return found


def make_animation(path: Path, durations: Sequence[int], **options: Any) -> Path:
    first, *rest = [Image.fromarray(picture(number)) for number in range(len(durations))]
    first.save(path, save_all=True, append_images=rest, duration=list(durations), **options)
    return path


def make_film(
    path: Path,
    times: Sequence[int] = range(0, 400, 40),
    *,
    codec: str = "libx264",
    size: tuple[int, int] = (96, 64),
    sound: str | None = None,
    **context: Any,
) -> Path:
    """Write a film whose frames are shown at some milliseconds."""
    import av

    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25, options={"crf": "10"})
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = BASE
        stream.codec_context.max_b_frames = 0
        for name, value in context.items():
            setattr(stream.codec_context, name, value)
        audio = None if sound is None else out.add_stream(sound, rate=48000, layout="stereo")
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(picture(number, *size), format="rgb24")
            frame.pts, frame.time_base = time, BASE
            for packet in stream.encode(frame):
                packet.duration = 40
                out.mux(packet)
        for packet in stream.encode():
            packet.duration = 40
            out.mux(packet)
        if audio is not None:
            _add_sound(out, audio, seconds=(max(times) + 40) / 1000)
    return path


def _add_sound(out: Any, audio: Any, seconds: float) -> None:
    import av

    wave = (0.3 * np.sin(np.arange(int(48000 * seconds)) / 20)).astype(np.float32)
    fifo = av.AudioFifo()
    frame = av.AudioFrame.from_ndarray(np.stack([wave, wave]), format="fltp", layout="stereo")
    frame.sample_rate, frame.pts = 48000, 0
    fifo.write(frame)
    while (part := fifo.read(audio.codec_context.frame_size or 960, partial=True)) is not None:
        out.mux(audio.encode(part))
    out.mux(audio.encode())


def turned(film: Path) -> Path:
    """Have players turn an .mp4 by 90 degrees clockwise, as those of telephones that were held upright."""
    data = film.read_bytes()
    place = data.index(WHOLE, data.index(b"tkhd"))
    film.write_bytes(data[:place] + CLOCKWISE + data[place + len(WHOLE) :])
    return film


def facts(path: Path) -> dict[str, Any]:
    """What a film says of itself, and its first frame."""
    import av

    with av.open(str(path)) as film:
        stream = film.streams.video[0]
        frames = list(film.decode(stream))
        context = stream.codec_context
        return {
            "size": (frames[0].width, frames[0].height),
            "rotation": frames[0].rotation,
            "times": [round(float(frame.pts * stream.time_base), 4) for frame in frames],
            "seconds": float((stream.duration or 0) * stream.time_base),
            "rate": stream.average_rate,
            "tags": (context.colorspace, context.color_primaries, context.color_trc),
            "first": frames[0].to_ndarray(format="rgb24"),
        }


def packets(path: Path) -> list[tuple[float, bytes]]:
    """The packets of the sound, with their times in seconds."""
    import av

    with av.open(str(path)) as film:
        found = [packet for packet in film.demux(film.streams.audio[0]) if packet.dts is not None]
        return [(float(packet.pts * packet.time_base), bytes(packet)) for packet in found]
