"""Damage to the pictures of a file, never to its tables and time stamps: a wrong time stamp looks like any other."""

from pathlib import Path

import av
import numpy as np

from .encodes import Encode

_TS_PACKET = 188
_TRIES = 50


def damage_file(path: Path, encode: Encode) -> None:
    """Damage the file in place as the encode says.

    Raises:
        ValueError: no place for the damage was found.
    """
    random = encode.random(3)
    data = path.read_bytes()
    if encode.damage == "cut":
        path.write_bytes(data[: int(len(data) * random.uniform(0.3, 0.97))])
    elif encode.damage == "lost":
        path.write_bytes(_without_packets(data, random))
    else:
        path.write_bytes(_overwritten(data, path, encode, random))


def _without_packets(data: bytes, random: np.random.Generator) -> bytes:
    """A transport stream that lost one to three packets behind its tables."""
    packets = [data[at : at + _TS_PACKET] for at in range(0, len(data), _TS_PACKET)]
    lost = set(random.integers(min(8, len(packets) - 1), len(packets), int(random.integers(1, 4))).tolist())
    return b"".join(packet for number, packet in enumerate(packets) if number not in lost)


def _overwritten(data: bytes, path: Path, encode: Encode, random: np.random.Generator) -> bytes:
    """Zeros or changed bits within the payload of one packet: what FFmpeg says of the file, it says of that place."""
    with av.open(str(path)) as container:
        payloads = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    start, length = _place(data, payloads, 64 if encode.damage == "zeroed" else 6, random)
    end = start + length
    if encode.damage == "zeroed":
        return data[:start] + bytes(length) + data[end:]
    flips = random.integers(1, 256, length, np.uint8)
    return data[:start] + (np.frombuffer(data, np.uint8)[start:end] ^ flips).tobytes() + data[end:]


def _place(data: bytes, payloads: list[bytes], longest: int, random: np.random.Generator) -> tuple[int, int]:
    """Where a random part of a random packet lies in the file, and how long the part is."""
    for _ in range(_TRIES):
        payload = payloads[random.integers(len(payloads))]
        length = int(random.integers(min(4, longest), longest + 1))
        if len(payload) < length + 8:
            continue
        start = int(random.integers(0, len(payload) - length))
        # With a few bytes around it, so that it is not found where another packet is alike.
        around = payload[max(0, start - 4) : start + length + 4]
        at = data.find(around)
        if at >= 0 and data.find(around, at + 1) < 0:
            return at + start - max(0, start - 4), length
    raise ValueError("no packet is large enough to be damaged at a place of its own")
