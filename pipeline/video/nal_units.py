"""A rule of H.264 and HEVC that damage breaks and that FFmpeg does not check.

A coded slice never holds three bytes 00 00 00, 00 00 01 or 00 00 02 in a row (ITU-T H.264 and H.265, section 7.4.1:
the encoder writes 00 00 03 to prevent them). A hole of zeros, as a broken download or a full disk leaves, does; the
arithmetic decoder reads it as unchanged picture, without any error.
"""

from dataclasses import dataclass

_FORBIDDEN = (b"\0\0\0", b"\0\0\1", b"\0\0\2")


@dataclass(frozen=True, slots=True)
class NalFormat:
    """How the units of a packet are stored, one after another, each behind its length."""

    length_bytes: int
    """Size of the length in front of each unit."""
    is_hevc: bool

    def broken_rule(self, packet: bytes) -> str:
        """What is wrong with the units of a packet, or empty."""
        start = 0
        while start < len(packet):
            first = start + self.length_bytes
            end = first + int.from_bytes(packet[start:first], "big")
            if first > len(packet) or end > len(packet):
                return "a unit is longer than its packet"
            if end > first and self._is_slice(packet[first]) and _has_forbidden_bytes(packet[first:end]):
                return "a slice holds bytes that no encoder writes"
            start = end
        return ""

    def _is_slice(self, header: int) -> bool:
        return (header >> 1 & 0x3F) < 32 if self.is_hevc else 1 <= header & 0x1F <= 5


def nal_format(codec: str, extradata: bytes | None) -> NalFormat | None:
    """The format that the header of an MP4 or Matroska stream declares; None for other codecs and formats."""
    places = {"h264": 4, "hevc": 21}
    if extradata is None or codec not in places or len(extradata) <= places[codec] or extradata[0] != 1:
        return None
    return NalFormat((extradata[places[codec]] & 3) + 1, codec == "hevc")


def _has_forbidden_bytes(unit: bytes) -> bool:
    # Some muxers leave zeros behind the last unit of a packet; those are outside the slice.
    body = unit.rstrip(b"\0")
    return any(forbidden in body for forbidden in _FORBIDDEN)
