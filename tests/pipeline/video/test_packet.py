"""What a packet says of its frame without being decoded."""

import pytest
from tvr.pipeline.video.packet import is_hidden


@pytest.mark.parametrize(
    ("codec", "data", "hidden"),
    [
        ("vp8", b"\x10\0\0", False),
        ("vp8", b"\x00\0\0", True),
        ("vp9", b"\x82\x49\x83", False),  # profile 0, key frame, shown
        ("vp9", b"\x84\x00\x00", True),  # profile 0, inter frame, not shown
        ("vp9", b"\x88\x00\x00", False),  # shows an existing frame
        ("vp9", b"\x94\x00\x00", True),  # profile 2, inter frame, not shown
        ("vp9", b"\xb1\x00\x00", False),  # profile 3, key frame, shown
        ("vp9", b"\x84\x00\xc1\x01\x01\xc1", False),  # two frames in one packet
        ("h264", b"\x00\x00\x00", False),
    ],
)
def test_hidden_frames_of_vp8_and_vp9_are_known(codec: str, data: bytes, hidden: bool) -> None:
    assert is_hidden(data, codec) == hidden
