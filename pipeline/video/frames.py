"""Frames of a file by PyAV, each with the knowledge whether it is intact: by jumps, and by decoding everything.

Where the packets tell which frame is where, decoding jumps to the key frame before the wanted one and goes on from
there; frames are then told apart by their pts. A jump is believed only where nothing complains; otherwise decoding
begins earlier, to tell damage from references that the jump itself has cut off. Where the packets do not tell, every
frame is decoded in order and counted.
"""

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass

import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from jaxtyping import Float

from ...data.contracts.errors import DecodeError, counted
from ...data.sources.video_file import VideoFile
from .damage import DamageLog, is_key
from .decoder_output import (
    ComplaintError,
    DisorderError,
    FailedJumpError,
    RgbFrame,
    ShownFrame,
    decoding,
    packets_from,
    shown_frames,
    why_nothing,
)
from .packets import PacketIndex
from .times import FrameTime, display_seconds

_PACKETS_OF_A_JUMP = 4
"""To go on to a key frame that is so many packets away costs less than to jump there: the decoder has read a few
packets beyond the last frame it gave, and reads them again after a jump. Measured with a key frame in 12: every frame
takes 0.67 s instead of 1.02 s; with 16 here, every 12th frame takes 0.27 s instead of 0.19 s."""


@dataclass(frozen=True, slots=True)
class _Start:
    """Where decoding begins: at a packet, to reach a key frame, both numbers in decoding order."""

    packet: int
    key: int


@dataclass(frozen=True, eq=False)
class Survey:
    """What decoding a whole file in order has shown."""

    seconds: Float[np.ndarray, " frame"]
    """When each displayable frame is shown, counted from the first; strictly increasing."""
    positions: Sequence[int]
    """The display index of each frame that came out, in the order in which they came; -1 where it has none."""
    is_intact: Sequence[bool]
    """Of each frame that came out."""
    log: DamageLog
    lost: str
    """How many frames damage has swallowed, and what it was; empty if none."""


def strict_frames(
    path: VideoFile, index: PacketIndex, indices: Sequence[int]
) -> Iterator[tuple[int, RgbFrame]]:
    """The wanted frames, increasing, of a file whose packets tell where they are: display index and picture.

    Raises:
        ComplaintError: a decoder complained, or a frame did not come.
        DecodeError: the file cannot be opened.
    """
    unneeded = _unneeded(index, indices)
    with decoding(path, is_strict=True) as (container, stream):
        for key, positions in _runs(index, indices):
            log = DamageLog()
            located = _located(container, stream, index, _Start(key, key), log, unneeded)
            yield from _strict_run(located, positions, log)


def lenient_frames(
    path: VideoFile, index: PacketIndex, indices: Sequence[int], log: DamageLog
) -> Iterator[tuple[int, RgbFrame]]:
    """Those of the wanted frames that are intact, of a file whose packets tell where frames are.

    Args:
        path: the file.
        index: its packets, trustworthy.
        indices: the wanted frames, increasing.
        log: told of the damage that was met on the way.

    Raises:
        DisorderError: frames do not come in the order of the packets' times.
        DecodeError: the file cannot be opened.
    """
    # Behind damage every key frame is jumped to: HEVC recovers at some of them only if decoding starts there.
    runs = _runs(index, indices, every_key=True)
    for number, (key, positions) in enumerate(runs):
        try:
            yield from _intact(path, index, _Start(_early_start(index, key), key), positions, log)
        except FailedJumpError:
            left = [position for _, each in runs[number:] for position in each]
            yield from _intact(path, index, _Start(0, 0), left, log)
            return


def survey(path: VideoFile, index: PacketIndex) -> Survey:
    """Decode the whole file in order.

    Raises:
        DecodeError: the file cannot be opened, or shows no frame at all.
    """
    log = DamageLog()
    times: list[FrameTime] = []
    is_intact: list[bool] = []
    for frame in _in_order(path, index, log):
        pts = frame.picture.pts
        if pts is None and frame.packet is not None:
            pts = index.packets[frame.packet].pts
        times.append(FrameTime(pts, frame.picture.duration or 0, frame.packet))
        is_intact.append(frame.is_intact)
    if not times:
        raise DecodeError(why_nothing(path, log))
    shown = sum(packet.is_shown for packet in index.packets)
    is_empty = any(packet.pictures.is_empty for packet in index.packets)
    why = log.first or ("a packet holds no picture" if is_empty else "")
    lost = f"{len(times)} of {counted(shown, 'frame')} came: {why}" if why and len(times) < shown else ""
    if lost and index.tells_times:
        # The packets still tell which are left.
        positions = [index.position_of_pts.get(each.pts, -1) for each in times]
        return Survey(index.frame_seconds, positions, is_intact, log, lost)
    return Survey(display_seconds(index, times), range(len(times)), is_intact, log, lost)


def counted_frames(
    path: VideoFile, index: PacketIndex, surveyed: Survey, indices: Sequence[int]
) -> Iterator[tuple[int, RgbFrame]]:
    """Those of the wanted frames, increasing, that the survey found intact, in display order.

    Raises:
        DecodeError: the file cannot be opened.
    """
    intact = {
        position for position, sound in zip(surveyed.positions, surveyed.is_intact, strict=True) if sound
    }
    wanted = intact.intersection(indices)
    frames = zip(surveyed.positions, surveyed.is_intact, _in_order(path, index, DamageLog()), strict=False)
    for position, is_intact, frame in frames:
        if not wanted:
            return
        if is_intact and position in wanted:
            wanted.remove(position)
            yield position, frame.rgb()


def _strict_run(
    located: Iterator[tuple[int, ShownFrame]], positions: Sequence[int], log: DamageLog
) -> Iterator[tuple[int, RgbFrame]]:
    left = iter(positions)
    wanted = next(left)
    for position, frame in located:
        if log.first:
            raise ComplaintError(log.first)
        if position > wanted:
            break
        if position == wanted:
            yield position, frame.rgb()
            wanted = next(left, None)
            if wanted is None:
                return
    raise ComplaintError(log.first or "a frame did not come out of the decoder")


def _intact(
    path: VideoFile, index: PacketIndex, start: _Start, positions: Sequence[int], log: DamageLog
) -> Iterator[tuple[int, RgbFrame]]:
    wanted = set(positions)
    own_log = DamageLog(counted_from=start.key)
    with decoding(path, is_strict=False) as (container, stream):
        for position, frame in _located(container, stream, index, start, own_log):
            if frame.is_intact and position in wanted:
                wanted.remove(position)  # a damaged stream may show one frame twice
                yield position, frame.rgb()
            if position >= positions[-1]:
                break
    log.first = log.first or own_log.first


def _located(
    container: InputContainer,
    stream: VideoStream,
    index: PacketIndex,
    start: _Start,
    log: DamageLog,
    unneeded: Set[int] = frozenset(),
) -> Iterator[tuple[int, ShownFrame]]:
    """Frames from a key frame on, with their display index, but for those of the packets that are unneeded.

    Raises:
        FailedJumpError: decoding did not begin at the key frame: it is damaged, or none.
        DisorderError: frames come in another order than that of their times.
    """
    first = index.packets[start.key].pts or 0
    is_landed = start.key == 0
    last = -1
    packets = packets_from(container, stream, index, start.packet)
    needed = ((number, packet) for number, packet in packets if number not in unneeded)
    for frame in shown_frames(needed, index, log):
        pts = frame.picture.pts
        if not is_landed:
            if pts is None or pts < first:
                continue  # before the key frame, or one of the pictures that need what lies before it
            if pts > first or not is_key(frame.picture):
                raise FailedJumpError("decoding does not begin at every key frame")
            is_landed = True
        position = index.position_of_pts.get(pts, -1)
        if 0 <= position < last:
            if log.first:
                continue  # a damaged stream may show a frame late
            raise DisorderError("frames do not come in the order of their times")
        last = max(last, position)
        yield position, frame


def _in_order(path: VideoFile, index: PacketIndex, log: DamageLog) -> Iterator[ShownFrame]:
    with decoding(path, is_strict=False) as (container, stream):
        yield from shown_frames(packets_from(container, stream, index, 0), index, log)


def _unneeded(index: PacketIndex, indices: Sequence[int]) -> Set[int]:
    """The packets that neither hold a wanted frame nor anything that one of them refers to.

    Half of a usual film are such; not decoding them changes no other picture.
    """
    if not index.can_jump:
        return frozenset()
    wanted = {index.number_of_pts.get(pts) for pts in index.shown_pts[list(indices)].tolist()}
    return index.unreferenced - wanted


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
