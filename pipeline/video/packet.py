"""One compressed frame of a video file, as it is read without being decoded."""

from dataclasses import dataclass

from .h264_pictures import FRAME, PacketPictures

CUT_OFF = "a packet is cut off"
"""What is wrong with a packet that the container holds a part of."""
NEXT_IS_MISSING = "a picture behind it is missing"
"""What is wrong with the last packet before a lost one, where frame numbers show the loss at a key frame."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One compressed frame, in decoding order."""

    pts: int | None
    dts: int | None
    is_key: bool
    is_shown: bool
    """False for what an edit list cuts away and for the hidden reference frames of VP8 and VP9."""
    damage: str = ""
    """What is wrong with its bytes, as far as that is seen without decoding them; empty for nearly all."""
    pos: int | None = None
    """Where its bytes lie in the file."""
    pictures: PacketPictures = FRAME
    """Of H.264 only: field or frame, and what may be referred to behind it."""

    @property
    def starts_run(self) -> bool:
        """Whether decoding can start here."""
        return self.is_key and self.is_shown


def is_hidden(data: memoryview | bytes, codec: str) -> bool:
    """Whether a VP8 or VP9 packet is only a reference for later frames.

    VP8: RFC 6386, section 9.1. VP9: bitstream specification, section 6.2 (``show_existing_frame``,
    ``show_frame``), and annex B for packets of several frames, of which the last is shown.
    """
    if codec == "vp8":
        return not data[0] & 0b0001_0000
    if codec != "vp9" or _is_superframe(data):
        return False
    is_profile_3 = data[0] & 0b0011_0000 == 0b0011_0000
    return not (data[0] << 1 if is_profile_3 else data[0]) & 0b0000_1010


def _is_superframe(data: memoryview | bytes) -> bool:
    marker = data[-1]
    index_size = 2 + ((marker >> 3 & 3) + 1) * ((marker & 7) + 1)
    return marker & 0b1110_0000 == 0b1100_0000 and len(data) >= index_size and data[-index_size] == marker
