"""The units in a packet of H.264 or HEVC, and a rule of theirs that damage breaks and that FFmpeg does not check.

A coded slice never holds three bytes 00 00 00, 00 00 01 or 00 00 02 in a row (ITU-T H.264 and H.265, section 7.4.1:
the encoder writes 00 00 03 to prevent them). A hole of zeros, as a broken download or a full disk leaves, does; the
arithmetic decoder reads it as unchanged picture, without any error.
"""

from collections.abc import Sequence
from dataclasses import dataclass

_START = b"\0\0\1"
_STARTS = (_START, b"\0" + _START)
_FORBIDDEN = (b"\0\0\0", b"\0\0\1", b"\0\0\2")


@dataclass(frozen=True, slots=True)
class NalFormat:
    """How the units of a packet are stored, one after another."""

    length_bytes: int
    """Size of the length in front of each unit (MP4, Matroska); 0: a start code is in front of it (annex B)."""
    is_hevc: bool

    def units(self, packet: bytes) -> Sequence[bytes]:
        """Each unit, header included, as far as the packet holds it."""
        if not self.length_bytes:
            return _behind_start_codes(packet)
        units, left = self._behind_lengths(packet)
        # Some muxers copy start codes into a stream whose header promises lengths; FFmpeg sees that, too.
        return _behind_start_codes(packet) if left and packet.startswith(_STARTS) else units

    def broken_rule(self, packet: bytes) -> str:
        """What is wrong with the units of a packet, or empty."""
        for unit in self.units(packet):
            if unit and self._is_slice(unit[0]) and _has_forbidden_bytes(unit):
                return "a slice holds bytes that no encoder writes"
        if self.length_bytes and not packet.startswith(_STARTS):
            _, left = self._behind_lengths(packet)
            # Fewer bytes than a length takes are padding.
            return "a unit is longer than its packet" if left >= self.length_bytes else ""
        return ""

    def _behind_lengths(self, packet: bytes) -> tuple[list[bytes], int]:
        """The units, and how many bytes of the packet belong to none."""
        units: list[bytes] = []
        start = 0
        while start < len(packet):
            first = start + self.length_bytes
            end = first + int.from_bytes(packet[start:first], "big")
            if first > len(packet) or end > len(packet):
                break
            units.append(packet[first:end])
            start = end
        return units, len(packet) - start

    def _is_slice(self, header: int) -> bool:
        return (header >> 1 & 0x3F) < 32 if self.is_hevc else 1 <= header & 0x1F <= 5


def nal_format(codec: str, extradata: bytes | None) -> NalFormat | None:
    """The format that the header of a stream declares; None for other codecs."""
    places = {"h264": 4, "hevc": 21}
    if codec not in places:
        return None
    if extradata is None or len(extradata) <= places[codec] or extradata[0] != 1:
        return NalFormat(0, codec == "hevc")
    return NalFormat((extradata[places[codec]] & 3) + 1, codec == "hevc")


def _behind_start_codes(packet: bytes) -> list[bytes]:
    return packet.split(_START)[1:]


def _has_forbidden_bytes(unit: bytes) -> bool:
    # Some muxers leave zeros behind the last unit of a packet; those are outside the slice.
    body = unit.rstrip(b"\0")
    return any(forbidden in body for forbidden in _FORBIDDEN)
