"""What FFmpeg's muxers do not write: edit lists of several pieces, and MPEG streams that lack time stamps."""

import struct
from pathlib import Path

import numpy as np

from .encodes import Encode

_PIECES = {"two": 2, "four": 4}
_HEADER = 8
_MISSING_SHARE = 0.3
_VIDEO_PES = b"\0\0\1\xe0"


def replace_edits(path: Path, encode: Encode) -> None:
    """Have the file show so many pieces of its video, with gaps between them that are not shown.

    The tables of the file have to be its last box: nothing that they point to moves.

    Raises:
        ValueError: the file is too short for the pieces, or its tables are elsewhere.
    """
    data = path.read_bytes()
    movie = _box(data, 0, len(data), b"moov")
    if movie is None or movie[1] != len(data):
        raise ValueError("the tables are not at the end of the file")
    track = _inner(data, movie, b"trak")
    media = _inner(data, _inner(data, track, b"mdia"), b"mdhd")
    timescale = struct.unpack_from(">I", data, media[0] + _HEADER + (20 if data[media[0] + _HEADER] else 12))[
        0
    ]
    movie_header = _inner(data, movie, b"mvhd")
    movie_timescale = struct.unpack_from(">I", data, movie_header[0] + _HEADER + 12)[0]
    edits = _edits(encode, timescale, movie_timescale, _first_media_time(data, track))
    old = _box(data, track[0] + _HEADER, track[1], b"edts") or (track[0] + _HEADER, track[0] + _HEADER)
    changed = bytearray(data[: old[0]] + edits + data[old[1] :])
    for start, _ in (movie, track):
        (size,) = struct.unpack_from(">I", changed, start)
        struct.pack_into(">I", changed, start, size + len(edits) - (old[1] - old[0]))
    path.write_bytes(changed)


def drop_time_stamps(path: Path, random: np.random.Generator) -> None:
    """Take the time stamps of about a third of the frames out of an MPEG program or transport stream, but for the
    first: stuffing takes their place in the header of the frame's packet (ISO/IEC 13818-1, 2.4.3.6).
    """
    data = bytearray(path.read_bytes())
    at = data.find(_VIDEO_PES)
    while (at := data.find(_VIDEO_PES, at + 1)) >= 0:
        if data[at + 6] >> 6 == 2 and data[at + 7] >> 6 and random.random() < _MISSING_SHARE:
            length = 10 if data[at + 7] >> 6 == 3 else 5
            data[at + 7] &= 0x3F
            data[at + 9 : at + 9 + length] = b"\xff" * length
    path.write_bytes(data)


def _edits(encode: Encode, timescale: int, movie_timescale: int, first_media_time: int) -> bytes:
    """The edit list, in an ``edts`` box. Each piece leaves out about a third of its share of the video."""
    pieces = _PIECES[encode.edit]
    share = encode.frames // pieces
    if share < 3:
        raise ValueError(f"{encode.frames} frames are too few for {pieces} pieces")
    entries = b""
    for piece in range(pieces):
        first = piece * share + encode.seed % 2
        shown = max(1, 2 * share // 3)
        media_time = first_media_time + round(first * timescale / encode.frames_per_second)
        duration = round(shown * movie_timescale / encode.frames_per_second)
        entries += struct.pack(">IiHH", duration, media_time, 1, 0)
    body = struct.pack(">II", 0, pieces) + entries
    elst = struct.pack(">I4s", _HEADER + len(body), b"elst") + body
    return struct.pack(">I4s", _HEADER + len(elst), b"edts") + elst


def _first_media_time(data: bytes, track: tuple[int, int]) -> int:
    """Where the muxer's own edit list begins: at the composition time of the first frame."""
    edts = _box(data, track[0] + _HEADER, track[1], b"edts")
    if edts is None:
        return 0
    elst = _inner(data, edts, b"elst")
    (count,) = struct.unpack_from(">I", data, elst[0] + _HEADER + 4)
    times = [
        struct.unpack_from(">i", data, elst[0] + _HEADER + 8 + 12 * entry + 4)[0] for entry in range(count)
    ]
    return max(0, times[-1])


def _inner(data: bytes, outer: tuple[int, int], kind: bytes) -> tuple[int, int]:
    found = _box(data, outer[0] + _HEADER, outer[1], kind)
    if found is None:
        raise ValueError(f"no box {kind.decode()}")
    return found


def _box(data: bytes, start: int, end: int, kind: bytes) -> tuple[int, int] | None:
    """Where the first box of that kind begins and ends."""
    while start + _HEADER <= end:
        size, name = struct.unpack_from(">I4s", data, start)
        if name == kind:
            return start, start + size
        start += max(size, _HEADER)
    return None
