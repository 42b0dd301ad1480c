"""Films: .mp4, .mov, .mkv and .webm, through PyAV."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from neuralstyle.files import check_target, writing
from neuralstyle.images.opening import short_name
from neuralstyle.video.clips import Clip, Finished, Frame, Target

CODECS = {".mp4": "libx264", ".mov": "libx264", ".mkv": "libx264", ".webm": "libvpx-vp9"}
"""The suffixes of films that are written, and what encodes them."""

FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}

HDR = {16: "PQ (SMPTE ST 2084)", 18: "HLG (ARIB STD-B67)"}
"""Transfer functions of light that 8 bits of sRGB cannot hold, by their numbers in H.273."""

UNSPECIFIED = 2
BT709, BT601 = 1, 5
"""Matrices of luma and chroma, by FFmpeg's numbers."""

HD_HEIGHT = 720
"""Height in pixels from which players take a film without a tag for BT.709, and below it for BT.601."""

HD_TAG, SD_TAGS = 1, (5, 6)
"""The same in H.273."""

LIMITED_RANGE = 1


def pyav() -> Any:
    """Return the module ``av``.

    Raises:
        ImportError: it is not installed.

    """
    try:
        import av
    except ImportError as error:
        raise ImportError(
            "films are read and written through PyAV; run 'pip install neuralstyle-torch[video]'"
        ) from error
    return av


@dataclass(frozen=True)
class Film(Clip):
    """A film that PyAV reads.

    Raises:
        ImportError: PyAV is not installed.
        ValueError: the file cannot be decoded, has no pictures, or is HDR.

    """

    path: Path

    def __post_init__(self) -> None:
        with self.opened() as (_, stream):
            _check_light(stream.codec_context.color_trc, self.path)

    def opened(self) -> _Opened:
        """The container and its stream of pictures, for a ``with`` block."""
        return _Opened(self.path)

    def frames(self) -> Iterator[Frame]:
        """The frames, at the times that the file gives them."""
        av = pyav()
        with self.opened() as (container, stream):
            stream.thread_type = "AUTO"
            rate = stream.average_rate or stream.guessed_rate or Fraction(25)
            base: Fraction = stream.time_base
            first: Fraction | None = None
            following = Fraction(0)
            try:
                for number, frame in enumerate(container.decode(stream)):
                    if not number:
                        _check_light(frame.color_trc, self.path)
                    time = following if frame.pts is None else frame.pts * base
                    first = time if first is None else first
                    duration = (frame.duration or 0) * base or 1 / Fraction(rate)
                    following = time + duration
                    yield Frame(time - first, duration, _Upright(frame))
            except av.FFmpegError as error:
                raise _broken(self.path, error) from error

    @property
    def beginning(self) -> Fraction:
        """The time of the first frame, by the clock of the file, in seconds."""
        with self.opened() as (container, stream):
            frame = next(container.decode(stream))
            return Fraction(0) if frame.pts is None else Fraction(frame.pts * stream.time_base)


class _Opened:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> tuple[Any, Any]:
        av = pyav()
        try:
            self.container = av.open(str(self.path))
        except av.FFmpegError as error:
            raise _broken(self.path, error) from error
        streams = [each for each in self.container.streams.video if not _is_cover(each)]
        if not streams:
            self.container.close()
            raise ValueError(f"{short_name(self.path)} has no moving pictures; give a film")
        return self.container, streams[0]

    def __exit__(self, *_: object) -> None:
        self.container.close()


@dataclass(frozen=True, eq=False)
class _Upright:
    """A decoded frame, converted to RGB by its tags and turned upright when it is called: uint8, (H, W, 3)."""

    frame: Any

    def __call__(self) -> npt.NDArray[np.uint8]:
        frame = self.frame
        matrix = frame.colorspace if frame.colorspace != UNSPECIFIED else BT709 if frame.height >= HD_HEIGHT else BT601
        rgb = frame.reformat(format="rgb24", src_colorspace=matrix).to_ndarray()
        return np.ascontiguousarray(np.rot90(rgb, round(frame.rotation / 90) % 4))


@dataclass(frozen=True)
class FilmFile(Target):
    """A film that is written: H.264, or VP9 for .webm, with the sound of its clip.

    Args:
        path: the file.
        quality: 1 to 100.
        sound: whether to copy the sound.

    """

    path: Path
    quality: int = 95
    sound: bool = True
    multiple: ClassVar[int] = 2  # chroma has half the sides

    def check(self, clip: Clip, overwrite: bool) -> None:
        """Check that the file can be written, and that it can hold the sound."""
        check_target(self.path, overwrite, suffixes=tuple(CODECS))
        av = pyav()
        suffix = self.path.suffix.lower()
        if not (self.sound and isinstance(clip, Film)):
            return
        with av.open(io.BytesIO(), "w", format=FORMATS[suffix]) as out:
            known = out.supported_codecs
        with clip.opened() as (container, _):
            for stream in container.streams.audio:
                if stream.codec_context.name not in known:
                    raise ValueError(
                        f"the sound of {short_name(clip.path)} is {stream.codec_context.name}, which {suffix} cannot "
                        "hold; write .mkv, which holds any, or leave the sound out (--no-sound)"
                    )

    def write(self, frames: Iterator[Finished], clip: Clip, start: Fraction, end: Fraction | None) -> None:
        """Encode the frames, and copy the packets of the sound."""
        av = pyav()
        suffix = self.path.suffix.lower()
        with writing(self.path) as temporary:
            form = {"fflags": "+bitexact"}  # no random numbers, so that the same frames give the same bytes
            if FORMATS[suffix] in ("mp4", "mov"):
                form["movflags"] = "+faststart"
            with av.open(str(temporary), "w", format=FORMATS[suffix], options=form) as out:
                source = clip if isinstance(clip, Film) else None
                _mux(out, frames, source, self, start, end)


def _mux(
    out: Any, frames: Iterator[Finished], film: Film | None, target: FilmFile, start: Fraction, end: Fraction | None
) -> None:
    """Write pictures and sound in the order of their times."""
    with film.opened() if film is not None else _Nothing() as (container, source):
        first = next(frames)
        picture = _Encoder(out, target, source, first.image.size)  # before the first packet, which writes the header
        copies = {}
        if container is not None and target.sound:
            copies = {each.index: out.add_stream_from_template(each) for each in container.streams.audio}
        offset = start + (film.beginning if film is not None else 0)
        sound = (
            _packets(container, copies, offset if start else None, None if end is None else end - start + offset)
            if copies
            else iter(())
        )
        shift = offset if start else Fraction(0)  # a whole clip keeps the clock of its file
        waiting = next(sound, None)
        for finished in chain([first], frames):
            at = finished.time + offset - shift
            while waiting is not None and waiting[0] - shift <= at:
                _copy(out, waiting[1], copies, shift)
                waiting = next(sound, None)
            picture.add(finished, at)
        picture.end()
        while waiting is not None:
            _copy(out, waiting[1], copies, shift)
            waiting = next(sound, None)


class _Encoder:
    """Encodes pictures at their times, with the tags of a source."""

    def __init__(self, out: Any, target: FilmFile, source: Any, size: tuple[int, int]) -> None:
        suffix = target.path.suffix.lower()
        self._out = out
        self._base = Fraction(1, 90000) if source is None else Fraction(source.time_base)
        self._durations: dict[int, int] = {}
        rate = (None if source is None else source.average_rate) or 25
        crf = round(40 - 0.25 * target.quality)
        options = {"crf": str(crf), "preset": "medium", "threads": "1"}
        if CODECS[suffix] == "libvpx-vp9":
            options = {"crf": str(crf + 8), "b": "0", "row-mt": "0", "threads": "1", "cpu-used": "3"}
        stream = self._stream = out.add_stream(CODECS[suffix], rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        context = stream.codec_context
        context.max_b_frames = 0  # or a film of varying rate ends too early for players that add up durations
        stream.time_base = context.time_base = self._base
        self._matrix = _tag(source)
        context.colorspace, context.color_range = self._matrix, LIMITED_RANGE
        if source is not None:
            context.color_primaries = source.codec_context.color_primaries
            context.color_trc = source.codec_context.color_trc
            if source.sample_aspect_ratio:
                context.sample_aspect_ratio = source.sample_aspect_ratio

    def add(self, finished: Finished, at: Fraction) -> None:
        """Encode a picture that is shown from a time on."""
        frame = pyav().VideoFrame.from_image(finished.image)
        matrix = BT601 if self._matrix in SD_TAGS else self._matrix
        frame = frame.reformat(format="yuv420p", dst_colorspace=matrix, dst_color_range=LIMITED_RANGE)
        frame.pts, frame.time_base = round(at / self._base), self._base
        self._durations[frame.pts] = max(round((at + finished.duration) / self._base) - frame.pts, 1)
        self._send(self._stream.encode(frame))

    def end(self) -> None:
        """Encode what waits."""
        self._send(self._stream.encode())

    def _send(self, packets: Any) -> None:
        for packet in packets:
            packet.duration = self._durations.pop(packet.pts, packet.duration)
            self._out.mux(packet)


def _tag(source: Any) -> int:
    """The tag of the matrix that a film gets: its source's, or what players take that for."""
    if source is None:
        return HD_TAG
    found = source.codec_context.colorspace
    if found and found != UNSPECIFIED:
        return int(found)
    return HD_TAG if source.codec_context.height >= HD_HEIGHT else SD_TAGS[1]


class _Nothing:
    def __enter__(self) -> tuple[None, None]:
        return None, None

    def __exit__(self, *_: object) -> None:
        pass


def _packets(container: Any, copies: dict[int, Any], first: Fraction | None, last: Fraction | None) -> Iterator[Any]:
    """The packets of sound that sound after a time and before another, each with its own time."""
    for packet in container.demux([container.streams[index] for index in copies]):
        if packet.dts is None:  # the end of a stream
            continue
        time = Fraction(packet.pts if packet.pts is not None else packet.dts) * packet.time_base
        until = time + (packet.duration or 0) * packet.time_base
        if (first is None or until > first) and (last is None or time < last):
            yield time, packet


def _copy(out: Any, packet: Any, copies: dict[int, Any], shift: Fraction) -> None:
    if shift:
        ticks = round(shift / packet.time_base)
        packet.pts = None if packet.pts is None else packet.pts - ticks
        packet.dts = packet.dts - ticks
    packet.stream = copies[packet.stream.index]
    out.mux(packet)


def _is_cover(stream: Any) -> bool:
    """Tell whether a stream is the picture on a cover."""
    return "ATTACHED_PIC" in str(getattr(stream, "disposition", "")).upper()


def _check_light(transfer: int, path: Path) -> None:
    if transfer in HDR:
        raise ValueError(
            f"{short_name(path)} is an HDR film ({HDR[transfer]}), whose light the painting's colours cannot show; "
            "convert it to SDR first, by a program that maps tones"
        )


def _broken(path: Path, error: Exception) -> ValueError:
    words = " ".join(str(error).split())[:120]
    return ValueError(f"{short_name(path)} cannot be decoded as a film ({words}); give a whole copy")
