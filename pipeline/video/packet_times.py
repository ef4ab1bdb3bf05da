"""What the times of packets can be trusted for: is each the time of one frame, and on which clock?"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Int

from .container import INDEXED_CONTAINERS, MATROSKA
from .packet import Packet

_MOST_REORDERED = 64
"""By how many places presentation and decoding order of a packet may differ: far more than any codec's reordering,
far less than a recording. Beyond it, two recordings were joined whose clocks overlap."""

_FRAMES_OF_REORDERING = 16
"""The most that H.264 and HEVC may keep back."""
_LONG_AGO = -(1 << 62)
_LONGEST_WAIT = 3
"""Frames that an encoder may wait for."""


def tell_times(packets: Sequence[Packet], container: str, recordings: Int[np.ndarray, " packet"]) -> bool:
    """Whether each shown packet has a time of its own, on one clock, by which it is shown.

    Args:
        packets: of the whole stream, in decoding order.
        container: its name in FFmpeg.
        recordings: the number of the recording that each packet belongs to.
    """
    shown = [packet.pts for packet in packets if packet.is_shown]
    known = [pts for pts in shown if pts is not None]
    if container not in INDEXED_CONTAINERS or not known:
        return False
    if len(known) < len(shown) or len(set(known)) < len(known) or not _begins_with_key(packets, min(known)):
        return False
    if any(packet.pictures.is_field for packet in packets) or _only_copies_decoding_times(packets):
        return False
    order = np.argsort(known)
    # Edits follow one another by their times, too, or they overlap by a rounding.
    if (np.diff(recordings[[packet.is_shown for packet in packets]][order]) < 0).any():
        return False
    return bool(np.abs(np.argsort(order) - np.arange(len(order))).max() <= _MOST_REORDERED)


def _only_copies_decoding_times(packets: Sequence[Packet]) -> bool:
    """Whether a muxer wrote when frames are decoded for when they are shown, of a stream in which that differs."""
    return any(packet.pictures.has_b for packet in packets) and all(p.pts == p.dts for p in packets)


def _begins_with_key(packets: Sequence[Packet], first_pts: int) -> bool:
    """Whether nothing is to be shown that refers to what lies before the file's first packet."""
    first = packets[0]
    # A damaged key frame may not be known for one.
    return (first.is_key or bool(first.damage)) and first.pts is not None and first.pts <= first_pts


def clock_of(
    packets: Sequence[Packet], container: str, frame_ticks: float
) -> list[tuple[int | None, int | None]]:
    """What goes back where another recording begins: decoding times, and where none are stored, those of key frames.

    Matroska stores none, and what FFmpeg makes up goes back where it likes. A frame that is only called a key frame may
    be a B-frame, which is shown before the one before it: so little does not count.
    """
    if container != MATROSKA:
        return [(packet.dts, packet.pts if packet.is_key else None) for packet in packets]
    pts = np.array([_LONG_AGO if packet.pts is None else packet.pts for packet in packets], np.int64)
    goes_back = np.maximum.accumulate(pts) - pts
    is_near = (goes_back > 0) & (goes_back <= _FRAMES_OF_REORDERING * frame_ticks)
    return [
        (None, packet.pts if packet.is_key and not near else None)
        for packet, near in zip(packets, is_near.tolist(), strict=True)
    ]


def with_decoding_times(packets: Sequence[Packet]) -> list[Packet]:
    """Of AVI, which knows only when packets are decoded: frames are shown as far apart as that, in their order.

    A gap behind the first one is where an encoder waited for B-frames, and no pause.
    """
    timed = [replace(packet, pts=packet.dts) for packet in packets]
    first, second = (packet.dts or 0 for packet in (timed[0], timed[min(1, len(timed) - 1)]))
    if 1 < second - first <= _LONGEST_WAIT:
        timed[0] = replace(timed[0], pts=second - 1)
    return timed
