"""A span of a video as a file that every browser plays: its packets in another container, or its frames encoded anew.

Times are those of the store: seconds from the first displayed frame, by the same index of packets that decoding uses;
frames come through the same decoder. So what plays at a second is what was stored of that second. Runs in a process
that can be killed.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, pairwise
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter
from av.video.stream import VideoStream
from jaxtyping import Float

from ....data.contracts.errors import DecodeError
from ....data.sources.video_file import VideoFile
from ....pipeline.decoders.pyav import Decoder
from ....pipeline.video.container import opened
from ....pipeline.video.damage import DamageLog
from ....pipeline.video.decoder_output import (
    ON_ONE_THREAD,
    ComplaintError,
    DisorderError,
    RgbFrame,
    packets_from,
    why_nothing,
)
from ....pipeline.video.frames import strict_frames
from ....pipeline.video.packets import PacketIndex
from .probing import MP4_TYPE, WEBM_TYPE
from .proxy_sound import Hearing, SoundTrack, sound_track

MOST_LINES, MOST_COLUMNS = 480, 1280
_TICKS = 90_000
_FASTSTART = {"movflags": "+faststart"}
"""The index of the file goes to its beginning, where a browser looks for it."""
ENCODERS = (
    ("libx264", MP4_TYPE, {"preset": "veryfast", "crf": "23"}),
    ("libvpx-vp9", WEBM_TYPE, {"deadline": "realtime", "cpu-used": "8", "crf": "33"}),
)
_SECONDS_PER_KEY = 1.0
_MOST_RATE = 240.0
_LONGEST_LEAD_SECONDS = 30.0
"""From a key frame to the span whose packets are copied from there on; encoding anew is shorter then."""
_SOUND_SUFFIX = ".m4a"
_SMPTE_170M, _LIMITED_RANGE = 6, 1


@dataclass(frozen=True, slots=True)
class ProxyFile:
    """A file that was written."""

    type: str
    """Its media type."""
    begins_at: float
    """The second of the source that it begins with."""
    ends_at: float
    """The second of the source at which its last frame leaves the display."""


@dataclass(frozen=True, slots=True)
class _Span:
    """Frames of a file that are copied or encoded: from one display index to another, which is none of them."""

    first: int
    stop: int
    seconds: Float[np.ndarray, " frame"]
    """When each frame of the file is shown."""
    typical: float
    """How long a frame usually stays."""

    @property
    def begins_at(self) -> float:
        return float(self.seconds[self.first])

    @property
    def ends_at(self) -> float:
        return float(self.seconds[self.stop]) if self.stop < len(self.seconds) else self._last + self.typical

    @property
    def _last(self) -> float:
        return float(self.seconds[-1])


def write_proxy(path: VideoFile, target: Path, begin: float, end: float, *, copy: bool) -> ProxyFile:
    """Write what is shown from one second to another, upright and with square pixels.

    Args:
        path: the video.
        target: where the file goes; another one for its sound comes and goes beside it.
        begin: the second of the frame that has to be in it.
        end: the second at which it may end.
        copy: whether packets are copied, where this file allows it. Then it begins with a key frame before ``begin``.

    Raises:
        DecodeError: the file cannot be read, shows nothing in that span, or no encoder is here.
    """
    decoder = Decoder()
    index = decoder.index(path)
    if copy and index.can_jump:
        span = _span(index.frame_seconds, begin, end)
        numbers = _copied(index, span)
        if numbers is not None:
            return _copy(path, target, index, span, numbers)
    try:
        return _encode(path, target, decoder, begin, end)
    except DisorderError:  # only counting tells which frame is which
        return _encode(path, target, decoder, begin, end, counted=True)


def _span(seconds: Float[np.ndarray, " frame"], begin: float, end: float) -> _Span:
    first = max(0, int(np.searchsorted(seconds, begin + 1e-6, side="right")) - 1)
    stop = max(first + 1, int(np.searchsorted(seconds, end)))
    typical = float(np.median(np.diff(seconds))) if len(seconds) > 1 else 1.0
    if begin > seconds[-1] + typical:
        raise DecodeError(f"shows no frame after {begin:g} s; its last is at {seconds[-1]:.2f} s")
    return _Span(first, stop, seconds, typical)


def _copied(index: PacketIndex, span: _Span) -> range | None:
    """The numbers of the packets of a span, from the key frame before it on; None where these cannot be copied."""
    pts = int(index.shown_pts[span.first])
    key = max(((at, number) for at, number in index.keys if at <= pts), default=None)
    if key is None or span.begins_at - _seconds(index, key[0]) > _LONGEST_LEAD_SECONDS:
        return None
    until = int(index.shown_pts[span.stop - 1])
    inside = [n for n, packet in enumerate(index.packets) if key[0] <= (packet.pts or 0) <= until]
    numbers = range(key[1], max(inside) + 1)
    packets = [index.packets[number] for number in numbers]
    times = [packet.dts for packet in packets]
    known = [time for time in times if time is not None]
    is_sound = all(packet.is_shown and not packet.damage for packet in packets)
    is_in_order = len(known) == len(times) and all(one < other for one, other in pairwise(known))
    return numbers if is_sound and is_in_order else None


def _seconds(index: PacketIndex, pts: int) -> float:
    return (pts - int(index.shown_pts[0])) * index.time_base


def _copy(path: VideoFile, target: Path, index: PacketIndex, span: _Span, numbers: range) -> ProxyFile:
    key_pts = index.packets[numbers[0]].pts or 0
    begins_at = _seconds(index, key_pts)
    hearing = _hearing(index, begins_at, span.ends_at)
    with (
        sound_track(path, target.with_suffix(_SOUND_SUFFIX), hearing) as sound,
        opened(path) as (container, stream),
        av.open(str(target), "w", format="mp4", options=_FASTSTART) as output,
    ):
        pictures = output.add_stream_from_template(stream)
        tracks = _Tracks(output, sound)
        for number, packet in packets_from(container, stream, index, numbers[0]):
            if number not in numbers:
                break
            if (packet.pts or 0) >= key_pts:  # what is shown before the key frame refers to frames before it
                # Not the packet's own: behind a jump a demuxer guesses other decoding times, or none.
                decoded = index.packets[number].dts or 0
                packet.pts, packet.dts = (packet.pts or 0) - key_pts, decoded - key_pts
                packet.stream = pictures
                tracks.mux(packet)
        tracks.end()
    return ProxyFile(MP4_TYPE, begins_at, span.ends_at)


def _hearing(index: PacketIndex, begins_at: float, ends_at: float) -> Hearing | None:
    """What is to be heard, on the clock of the container; nothing where that clock is not known."""
    if not index.can_jump:
        return None
    first = int(index.shown_pts[0]) * index.time_base
    return Hearing(first + begins_at, first + ends_at)


class _Tracks:
    """Packets of pictures and those of sound as they follow one another."""

    def __init__(self, output: OutputContainer, sound: SoundTrack | None) -> None:
        self._output = output
        self._sound = sound
        self._stream = output.add_stream_from_template(sound.stream) if sound else None

    def mux(self, packet: av.Packet) -> None:
        """Write a packet of pictures, before it the sound until then."""
        self._mux_sound(float((packet.dts or 0) * packet.time_base))
        self._output.mux(packet)

    def end(self) -> None:
        """Write what sound is left."""
        self._mux_sound(float("inf"))

    def _mux_sound(self, seconds: float) -> None:
        if self._sound is not None and self._stream is not None:
            for packet in self._sound.until(seconds):
                packet.stream = self._stream
                self._output.mux(packet)


def _encode(
    path: VideoFile, target: Path, decoder: Decoder, begin: float, end: float, *, counted: bool = False
) -> ProxyFile:
    """Encode the sound frames of a span; where one is missing, the one before it stays on display."""
    times = decoder.counted_times(path) if counted else decoder.probe(path)
    span = _span(times.frame_seconds, begin, end)
    name, kind = _encoder()
    hearing = _hearing(decoder.index(path), span.begins_at, span.ends_at) if kind == MP4_TYPE else None
    log = DamageLog()
    with sound_track(path, target.with_suffix(_SOUND_SUFFIX), hearing) as sound:
        frames = _frames(path, decoder, span, log, counted=counted)
        first = next(frames, None)
        if first is None:
            raise DecodeError(why_nothing(path, log))
        size = shown_size(first[1].shape[0], first[1].shape[1] * times.pixel_aspect)
        options = _FASTSTART if kind == MP4_TYPE else {}
        with av.open(str(target), "w", format=kind.removeprefix("video/"), options=options) as output:
            encoder = _Encoder(output, name, size, span)
            tracks = _Tracks(output, sound)
            for position, picture in chain([first], frames):
                for packet in encoder.packets_with(position, picture):
                    tracks.mux(packet)
            for packet in encoder.last_packets():
                tracks.mux(packet)
            tracks.end()
    return ProxyFile(kind, span.begins_at, span.ends_at)


def _frames(
    path: VideoFile, decoder: Decoder, span: _Span, log: DamageLog, *, counted: bool
) -> Iterator[tuple[int, RgbFrame]]:
    """The sound frames of a span, upright: as fast as it goes, and behind the first complaint only intact ones."""
    index, given = decoder.index(path), 0
    indices = range(span.first, span.stop)
    if index.trustworthy and not counted:
        with suppress(ComplaintError):
            for position, picture in strict_frames(path, index, indices):
                given += 1
                yield position, picture
            return
    yield from decoder.intact_frames(path, indices[given:], log, counted=counted)


def shown_size(height: int, width: float) -> tuple[int, int]:
    """Height and width of a proxy, even numbers, for a picture of that size with square pixels."""
    scale = min(1.0, MOST_LINES / height, MOST_COLUMNS / width)
    return max(2, round(height * scale / 2) * 2), max(2, round(width * scale / 2) * 2)


def _encoder() -> tuple[str, str]:
    """The first encoder that this FFmpeg has, and the media type of what it makes."""
    for name, kind, _ in ENCODERS:
        if name in av.codecs_available:
            return name, kind
    raise DecodeError(
        f"no encoder is here that browsers can decode ({', '.join(name for name, *_ in ENCODERS)})"
    )


class _Encoder:
    """Turns RGB pictures into packets of the output."""

    def __init__(self, output: OutputContainer, name: str, size: tuple[int, int], span: _Span) -> None:
        rate = Fraction(min(max(1 / span.typical, 1.0), _MOST_RATE)).limit_denominator(1001)
        options = next(options for encoder, _, options in ENCODERS if encoder == name)
        self._span = span
        stream = output.add_stream(name, rate=rate, options=options)
        assert isinstance(stream, VideoStream), "of an encoder of pictures"
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        self._stream = stream
        context = stream.codec_context
        context.time_base = Fraction(1, _TICKS)
        context.gop_size = max(1, round(_SECONDS_PER_KEY * rate))
        context.thread_count = 1
        context.colorspace, context.color_range = _SMPTE_170M, _LIMITED_RANGE
        self._reformatter = VideoReformatter()
        self._pts = -1

    def packets_with(self, position: int, picture: RgbFrame) -> list[av.Packet]:
        """What comes out when the frame of that display index goes in."""
        height, width = self._stream.height, self._stream.width
        frame = self._reformatter.reformat(
            av.VideoFrame.from_ndarray(picture, format="rgb24"),
            width=width,
            height=height,
            format="yuv420p",
            dst_colorspace=Colorspace.SMPTE170M,
            interpolation=Interpolation.AREA,
            **ON_ONE_THREAD,
        )
        # A proxy begins with a picture, also where the first frames are damaged.
        ticks = (
            round((float(self._span.seconds[position]) - self._span.begins_at) * _TICKS)
            if self._pts >= 0
            else 0
        )
        self._pts = max(self._pts + 1, ticks)
        frame.pts, frame.time_base = self._pts, Fraction(1, _TICKS)
        return self._stream.encode(frame)

    def last_packets(self) -> list[av.Packet]:
        """What is left; the last frame stays as long as it does in the source."""
        packets = self._stream.encode(None)
        for packet in packets:
            if packet.pts == self._pts:
                packet.duration = max(
                    1, round((self._span.ends_at - self._span.begins_at) * _TICKS) - self._pts
                )
        return packets
