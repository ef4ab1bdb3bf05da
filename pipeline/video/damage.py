"""Decoding with PyAV that knows which frames are intact.

FFmpeg conceals damage: it paints over what it cannot read and goes on, and every later frame that refers to
the painted one is wrong as well. So damage is open from the packet where FFmpeg raises, logs an error or
marks a frame as corrupt (with ``err_detect=explode``, which makes it say so), until a key frame that was
decoded after it is shown. Frames shown meanwhile are not intact, unless they were decoded before the damage.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from jaxtyping import UInt8

from ...data.contracts.errors import DecodeError
from .container import is_encrypted, opened
from .ffmpeg_log import capture_ffmpeg_log
from .orientation import orientation_of, upright
from .packets import PacketIndex

RgbFrame = UInt8[np.ndarray, "height width 3"]

_PACKETS_OF_A_JUMP = 4
"""To go on to a key frame that is so many packets away costs less than to jump there: the decoder has read a few
packets beyond the last frame it gave, and reads them again after a jump. Measured with a key frame in 12: every frame
takes 0.67 s instead of 1.02 s; with 16 here, every 12th frame takes 0.27 s instead of 0.19 s."""

_STRICT = {"err_detect": "crccheck+bitstream+buffer+explode"}


class DamageLog:
    """Which damage is open while frames are decoded in order."""

    def __init__(self) -> None:
        self.first = ""
        """What was said of the first damage; empty while there was none."""
        self._open: list[int] = []

    def add(self, packet: int, words: str) -> None:
        """Packet number ``packet`` (in decoding order) turned out to be damaged."""
        self.first = self.first or words
        self._open.append(packet)

    def is_intact(self, packet: int | None, *, is_key: bool) -> bool:
        """Whether the frame of that packet, next on display, is intact. Ask once per frame, in display order.

        A frame whose packet is not known (None) is intact only while no damage is open.
        """
        if packet is None:
            return not self._open
        if is_key and packet not in self._open:
            # What is shown after a key frame was decoded after it, and does not refer to anything before it.
            self._open = [damaged for damaged in self._open if damaged > packet]
        return not any(damaged <= packet for damaged in self._open)

    def restart(self) -> None:
        """Decoding starts anew at a key frame: what was damaged before is not referred to."""
        self._open.clear()


def intact_frames(
    path: Path, index: PacketIndex, indices: Sequence[int], log: DamageLog
) -> Iterator[tuple[int, RgbFrame]]:
    """Those of the wanted frames that are intact: display index and upright frame, in display order.

    Args:
        path: the file.
        index: its packets; where they are trustworthy, decoding jumps from key frame to key frame.
        indices: the wanted frames, increasing.
        log: filled with the damage that was met on the way.

    Raises:
        DecodeError: the file cannot be opened.
    """
    last = -1
    for position, frame in _frames_of(path, index, _runs(index, indices), log):
        if log.first and index.trustworthy:
            break
        last = position
        yield position, frame
    if log.first and index.trustworthy:
        # Behind damage every key frame is jumped to: HEVC recovers at some of them only if decoding starts there.
        left = [position for position in indices if position > last]
        log.restart()
        yield from _frames_of(path, index, _runs(index, left, every_key=True), log)


def _frames_of(
    path: Path, index: PacketIndex, runs: Sequence[tuple[int, list[int]]], log: DamageLog
) -> Iterator[tuple[int, RgbFrame]]:
    with opened(path) as (container, stream):
        _make_strict(stream)
        for key, positions in runs:
            wanted = set(positions)
            shown = _shown(_packets_from(container, stream, index, key), index, log)
            for position, frame, is_intact in _located(shown, index):
                if is_intact and position in wanted:
                    yield position, upright(frame.to_ndarray(format="rgb24"), orientation_of(frame))
                if position >= positions[-1]:
                    break
            log.restart()


def shown_pts(path: Path, index: PacketIndex) -> list[int | None]:
    """The pts of every frame that decoding the whole file shows, in the order shown.

    Raises:
        DecodeError: the file cannot be opened, or shows no frame at all.
    """
    log = DamageLog()
    with opened(path) as (container, stream):
        _make_strict(stream)
        packets = _packets_from(container, stream, index, 0)
        pts = [frame.pts for frame, _ in _shown(packets, index, log)]
    if not pts:
        raise DecodeError(why_nothing(path, log))
    return pts


def why_nothing(path: Path, log: DamageLog) -> str:
    """The reason of a file that gave no intact frame."""
    with opened(path) as (_, stream):
        encrypted = is_encrypted(path, stream)
    first = log.first or "nothing came out of the decoder"
    return f"encrypted ({first})" if encrypted else f"no sound frame: {first}"


def _make_strict(stream: VideoStream) -> None:
    # One thread: a second one would report the errors of a packet while another is being decoded.
    stream.codec_context.thread_type = "NONE"
    stream.codec_context.thread_count = 1
    stream.codec_context.options = _STRICT


def _runs(
    index: PacketIndex, indices: Sequence[int], *, every_key: bool = False
) -> list[tuple[int, list[int]]]:
    """The wanted frames by the key frame from which decoding starts: its packet number, their indices.

    Unless ``every_key`` is asked for, a key frame starts a run of its own only where jumping to it saves more packets
    than a jump costs: what is sampled densely is decoded in one go.
    """
    if not index.trustworthy:
        return [(0, list(indices))] if indices else []
    runs: list[tuple[int, list[int]]] = []
    key_before, passed = -1, 0  # the packets of the last key frame and of the last wanted frame
    for position, key in zip(indices, _keys_before(index, indices), strict=True):
        if key != key_before and (every_key or not runs or key - passed > _PACKETS_OF_A_JUMP):
            runs.append((key, []))
        runs[-1][1].append(position)
        key_before = key
        passed = max(passed, index.number_of_pts.get(int(index.shown_pts[position]), key))
    return runs


def _keys_before(index: PacketIndex, indices: Sequence[int]) -> list[int]:
    """For each wanted frame the packet number of the key frame that it needs."""
    keys = sorted(
        (packet.pts or 0, number) for number, packet in enumerate(index.packets) if packet.starts_run
    )
    key_pts = np.array([pts for pts, _ in keys], np.int64)
    before = np.searchsorted(key_pts, index.shown_pts[list(indices)], side="right") - 1
    return [keys[place][1] if place >= 0 else 0 for place in before.tolist()]


def _packets_from(
    container: InputContainer, stream: VideoStream, index: PacketIndex, key: int
) -> Iterator[tuple[int, av.Packet]]:
    """Packets with their numbers, from key frame number ``key`` on, the empty one that flushes the decoder
    included.
    """
    if key > 0:
        container.seek(index.packets[key].pts or 0, stream=stream)
    number = 0
    for packet in container.demux(stream):
        if key > 0 and number == 0:
            number = index.number_of(packet)
        if number >= key:
            yield number, packet
        number += 1


def _shown(
    packets: Iterator[tuple[int, av.Packet]], index: PacketIndex, log: DamageLog
) -> Iterator[tuple[VideoFrame, bool]]:
    """Every frame in display order, and whether it is intact."""
    for number, packet in _guarded(packets, log):
        if number < len(index.packets) and index.packets[number].damage:
            log.add(number, index.packets[number].damage)
        for frame in _decode(packet, number, log):
            origin = index.number_of_pts.get(frame.pts)
            if frame.is_corrupt:
                log.add(number if origin is None else origin, "a frame is corrupt")
            is_key = origin is not None and index.packets[origin].is_key and frame.key_frame
            yield frame, log.is_intact(origin, is_key=is_key)


def _guarded(packets: Iterator[tuple[int, av.Packet]], log: DamageLog) -> Iterator[tuple[int, av.Packet]]:
    """The packets up to where the container breaks off."""
    number = 0
    try:
        for number, packet in packets:
            if packet.is_corrupt:
                log.add(number, "a packet is cut off")
            yield number, packet
    except av.error.FFmpegError as error:
        log.add(number, error.strerror or "the file breaks off")


def _decode(packet: av.Packet, number: int, log: DamageLog) -> list[VideoFrame]:
    with capture_ffmpeg_log() as messages:
        try:
            frames = packet.decode()
        except av.error.FFmpegError as error:
            log.add(number, messages.reason(error))
            return []
    if last_error := messages.last_error():
        log.add(number, last_error)
    return frames


def _located(
    shown: Iterator[tuple[VideoFrame, bool]], index: PacketIndex
) -> Iterator[tuple[int, VideoFrame, bool]]:
    """Frames with their display index: by their time where the packets told it, otherwise by counting."""
    if not index.trustworthy:
        for position, (frame, is_intact) in enumerate(shown):
            yield position, frame, is_intact
        return
    for frame, is_intact in shown:
        yield index.position_of_pts.get(frame.pts, -1), frame, is_intact
