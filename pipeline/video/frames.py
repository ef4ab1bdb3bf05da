"""Frames of a file by PyAV, each with the knowledge whether it is intact: by jumps, and by decoding everything.

Where the packets tell which frame is where, decoding jumps to the key frame before the wanted one and goes on from
there; frames are then told apart by their pts. A jump is believed only where nothing complains; otherwise decoding
begins earlier, to tell damage from references that the jump itself has cut off. Where the packets do not tell, every
frame is decoded in order and counted.
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import av.error
import numpy as np
from av.codec.context import Flags
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from jaxtyping import UInt8

from ...data.contracts.errors import DecodeError
from .container import is_encrypted, opened
from .damage import DamageLog, damage_told, is_key
from .ffmpeg_log import capture_ffmpeg_log
from .orientation import orientation_of, upright
from .packets import PacketIndex
from .times import FrameTime

RgbFrame = UInt8[np.ndarray, "height width 3"]

_PACKETS_OF_A_JUMP = 4
"""To go on to a key frame that is so many packets away costs less than to jump there: the decoder has read a few
packets beyond the last frame it gave, and reads them again after a jump. Measured with a key frame in 12: every frame
takes 0.67 s instead of 1.02 s; with 16 here, every 12th frame takes 0.27 s instead of 0.19 s."""

_CHECKS = "crccheck+bitstream+buffer"
_STUFFED = ("mpeg1video", "mpeg2video")
"""Their decoder takes legal stuffing between slices for damage when it is told to check the bitstream."""


class Complaint(DecodeError):
    """A decoder complained, or a wanted frame did not come: what it gave has to be looked at again."""


class _FailedJump(Complaint):
    """Decoding did not begin at the key frame that was jumped to."""


@dataclass(frozen=True, slots=True)
class _Start:
    """Where decoding begins: at a packet, to reach a key frame, both numbers in decoding order."""

    packet: int
    key: int


@dataclass(frozen=True, eq=False)
class ShownFrame:
    """A frame in display order."""

    picture: VideoFrame
    packet: int | None
    """The number (in decoding order) of the packet it came from, or None where that is not known."""
    is_intact: bool

    def rgb(self) -> RgbFrame:
        """The picture, upright."""
        return upright(self.picture.to_ndarray(format="rgb24"), orientation_of(self.picture))


@dataclass(frozen=True, eq=False)
class Survey:
    """What decoding a whole file in order has shown."""

    times: Sequence[FrameTime]
    is_intact: Sequence[bool]
    log: DamageLog


def strict_frames(
    path: Path, index: PacketIndex, indices: Sequence[int]
) -> Iterator[tuple[int, RgbFrame]]:
    """The wanted frames, increasing, of a file whose packets tell where they are: display index and picture.

    Raises:
        Complaint: a decoder complained, or a frame did not come.
        DecodeError: the file cannot be opened.
    """
    with _decoding(path, is_strict=True) as (container, stream):
        for key, positions in _runs(index, indices):
            log = DamageLog()
            located = _located(container, stream, index, _Start(key, key), log)
            yield from _strict_run(located, positions, log)


def lenient_frames(
    path: Path, index: PacketIndex, indices: Sequence[int], log: DamageLog
) -> Iterator[tuple[int, RgbFrame]]:
    """Those of the wanted frames that are intact, of a file whose packets tell where frames are.

    Args:
        path: the file.
        index: its packets, trustworthy.
        indices: the wanted frames, increasing.
        log: told of the damage that was met on the way.

    Raises:
        DecodeError: the file cannot be opened.
    """
    # Behind damage every key frame is jumped to: HEVC recovers at some of them only if decoding starts there.
    runs = _runs(index, indices, every_key=True)
    for number, (key, positions) in enumerate(runs):
        try:
            yield from _intact(path, index, _Start(_early_start(index, key), key), positions, log)
        except _FailedJump:
            left = [position for _, each in runs[number:] for position in each]
            yield from _intact(path, index, _Start(0, 0), left, log)
            return


def survey(path: Path, index: PacketIndex) -> Survey:
    """Decode the whole file in order.

    Raises:
        DecodeError: the file cannot be opened, or shows no frame at all.
    """
    found = Survey([], [], DamageLog())
    times: list[FrameTime] = []
    is_intact: list[bool] = []
    for frame in _in_order(path, index, found.log):
        times.append(FrameTime(frame.picture.pts, frame.picture.duration or 0, frame.packet))
        is_intact.append(frame.is_intact)
    if not times:
        raise DecodeError(why_nothing(path, found.log))
    return Survey(times, is_intact, found.log)


def counted_frames(
    path: Path, index: PacketIndex, surveyed: Survey, indices: Sequence[int]
) -> Iterator[tuple[int, RgbFrame]]:
    """Those of the wanted frames, increasing, that the survey found intact, counted in display order.

    Raises:
        DecodeError: the file cannot be opened.
    """
    wanted = {position for position in indices if surveyed.is_intact[position]}
    for position, frame in enumerate(_in_order(path, index, DamageLog())):
        if position in wanted:
            yield position, frame.rgb()
            wanted.remove(position)
        if not wanted:
            return


def why_nothing(path: Path, log: DamageLog) -> str:
    """The reason of a file that gave no intact frame."""
    with opened(path) as (_, stream):
        encrypted = is_encrypted(path, stream)
    first = log.first or "nothing came out of the decoder"
    return f"encrypted ({first})" if encrypted else f"no sound frame: {first}"


@contextmanager
def _decoding(path: Path, *, is_strict: bool) -> Generator[tuple[InputContainer, VideoStream]]:
    """The file, open; with ``is_strict`` its decoder stops at whatever looks wrong instead of painting over it."""
    with opened(path) as (container, stream):
        context = stream.codec_context
        # One thread: a second one would report the errors of a packet while another is being decoded.
        context.thread_type = "NONE"
        context.thread_count = 1
        # What a packet is given, FFmpeg hands on to the frame that it makes of it.
        context.flags |= Flags.copy_opaque
        checks = _CHECKS.replace("+bitstream", "") if context.name in _STUFFED else _CHECKS
        context.options = {"err_detect": checks + ("+explode" if is_strict else "")}
        yield container, stream


def _strict_run(
    located: Iterator[tuple[int, ShownFrame]], positions: Sequence[int], log: DamageLog
) -> Iterator[tuple[int, RgbFrame]]:
    left = iter(positions)
    wanted = next(left)
    for position, frame in located:
        if log.first:
            raise Complaint(log.first)
        if position > wanted:
            break
        if position == wanted:
            yield position, frame.rgb()
            wanted = next(left, None)
            if wanted is None:
                return
    raise Complaint(log.first or "a frame did not come out of the decoder")


def _intact(
    path: Path, index: PacketIndex, start: _Start, positions: Sequence[int], log: DamageLog
) -> Iterator[tuple[int, RgbFrame]]:
    wanted = set(positions)
    own_log = DamageLog(counted_from=start.key)
    with _decoding(path, is_strict=False) as (container, stream):
        for position, frame in _located(container, stream, index, start, own_log):
            if frame.is_intact and position in wanted:
                wanted.remove(position)  # a damaged stream may show one frame twice
                yield position, frame.rgb()
            if position >= positions[-1]:
                break
    log.first = log.first or own_log.first


def _located(
    container: InputContainer, stream: VideoStream, index: PacketIndex, start: _Start, log: DamageLog
) -> Iterator[tuple[int, ShownFrame]]:
    """Frames from a key frame on, with their display index.

    Raises:
        _FailedJump: decoding did not begin at the key frame, though nothing is damaged.
    """
    first = index.packets[start.key].pts or 0
    is_landed = start.key == 0
    for frame in _shown(_packets_from(container, stream, index, start.packet), index, log):
        pts = frame.picture.pts
        if not is_landed:
            if pts is None or pts < first:
                continue  # before the key frame, or one of the pictures that need what lies before it
            if pts > first or not is_key(frame.picture):
                if log.first:
                    return
                raise _FailedJump("decoding does not begin at every key frame")
            is_landed = True
        yield index.position_of_pts.get(pts, -1), frame


def _in_order(path: Path, index: PacketIndex, log: DamageLog) -> Iterator[ShownFrame]:
    with _decoding(path, is_strict=False) as (container, stream):
        yield from _shown(_packets_from(container, stream, index, 0), index, log)


def _runs(
    index: PacketIndex, indices: Sequence[int], *, every_key: bool = False
) -> list[tuple[int, list[int]]]:
    """The wanted frames by the key frame from which decoding starts: its packet number, their indices.

    Unless ``every_key`` is asked for, a key frame starts a run of its own only where jumping to it saves more packets
    than a jump costs: what is sampled densely is decoded in one go.
    """
    if not index.can_jump:
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
    keys = index.keys
    key_pts = np.array([pts for pts, _ in keys], np.int64)
    before = np.searchsorted(key_pts, index.shown_pts[list(indices)], side="right") - 1
    return [keys[place][1] if place >= 0 else 0 for place in before.tolist()]


def _early_start(index: PacketIndex, key: int) -> int:
    """From where a key frame is reached with nothing missing that it or its followers may name.

    H.264 may drop by name, behind a key frame, what was decoded before it; decoding from the key frame before has it.
    """
    if index.codec != "h264" or not index.can_jump or index.packets[key].pictures.is_idr:
        return key
    return max((number for _, number in index.keys if number < key), default=0)


def _packets_from(
    container: InputContainer, stream: VideoStream, index: PacketIndex, start: int
) -> Iterator[tuple[int, av.Packet]]:
    """Packets with their numbers from number ``start`` on, the empty one that flushes the decoder included.

    Raises:
        _FailedJump: the container did not find that packet.
    """
    if start == 0:
        number = 0
        for packet in container.demux(stream):
            yield number, packet
            number += bool(packet.size)
        return
    container.seek(index.packets[start].pts or 0, stream=stream)
    is_found = False
    for packet in container.demux(stream):
        number = index.number_of(packet) if packet.size else len(index.packets)
        is_found = is_found or number == start
        if number is None or (number > start and not is_found):
            raise _FailedJump("the container does not find its key frames")
        if is_found:
            yield number, packet


def _shown(
    packets: Iterator[tuple[int, av.Packet]], index: PacketIndex, log: DamageLog
) -> Iterator[ShownFrame]:
    """Every frame in display order, and whether it is intact."""
    for number, packet in _guarded(packets, log):
        if number < len(index.packets) and index.packets[number].damage:
            log.add(number, index.packets[number].damage)
        for picture in _decode(packet, number, log):
            origin = _origin(picture, index)
            if picture.is_corrupt:
                log.add(number if origin is None else origin, "a frame is corrupt")
            starts_anew = origin is not None and index.packets[origin].is_key and is_key(picture)
            yield ShownFrame(picture, origin, log.is_intact(origin, is_key=starts_anew))


def _origin(picture: VideoFrame, index: PacketIndex) -> int | None:
    """The number of the packet that a frame was decoded from."""
    number: int | None = picture.opaque
    return index.number_of_pts.get(picture.pts) if number is None else number


def _guarded(packets: Iterator[tuple[int, av.Packet]], log: DamageLog) -> Iterator[tuple[int, av.Packet]]:
    """The packets up to where the container breaks off."""
    number = 0
    try:
        for number, packet in packets:
            yield number, packet
    except av.error.FFmpegError as error:
        log.add(number, error.strerror or "the file breaks off")


def _decode(packet: av.Packet, number: int, log: DamageLog) -> list[VideoFrame]:
    if packet.size:
        packet.opaque = number
    with capture_ffmpeg_log() as messages:
        try:
            frames = packet.decode()
        except av.error.FFmpegError as error:
            log.add(number, messages.reason(error))
            return []
    if told := damage_told(messages, packet.stream.codec_context.name):
        log.add(number, told)
    return frames
