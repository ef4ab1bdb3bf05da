"""Which frames of a damaged video are intact, and which complaints of a decoder are noise.

FFmpeg conceals damage: it paints over what it cannot read and goes on, and every later frame that refers to the
painted one is wrong as well. So damage is open from the packet where it is met until a key frame that was decoded
after it is shown. Frames shown meanwhile are not intact, unless they were decoded before the damage.
"""

from av.video.frame import PictureType, VideoFrame

from .ffmpeg_log import FfmpegLog

_MARKING_DECODERS = frozenset(
    {
        "h264",
        "mpeg1video",
        "mpeg2video",
        "mpeg4",
        "h263",
        "flv",
        "msmpeg4v1",
        "msmpeg4v2",
        "msmpeg4",
        "wmv1",
        "wmv2",
    }
)
"""FFmpeg's decoders that mark each picture as corrupt that damage has touched: of 72 damaged files for each of H.264,
MPEG-4, MPEG-2 and MPEG-1, none had a visibly wrong picture with an error message and without such a mark. What they
say besides is about stuffing, missing references behind a cut and messages for players."""

_OUTSIDE_PICTURES = ("SEI", "No start code is found", "Skipping NAL unit")
"""What error messages about units of a stream that hold no picture say."""


class DamageLog:
    """Which damage is open while frames are decoded in order.

    Args:
        counted_from: damage in packets before this one is not told: they were decoded only to get ready.
    """

    def __init__(self, counted_from: int = 0) -> None:
        self.first = ""
        """What was said of the first damage; empty while there was none."""
        self._open: list[int] = []
        self._counted_from = counted_from

    def add(self, packet: int, words: str) -> None:
        """Packet number ``packet`` (in decoding order) turned out to be damaged."""
        if packet >= self._counted_from:
            self.first = self.first or words
        self._open.append(packet)
        # The earliest stays in front: only that one is asked for.
        if packet < self._open[0]:
            self._open[0], self._open[-1] = packet, self._open[0]

    def is_intact(self, packet: int | None, *, is_key: bool) -> bool:
        """Whether the frame of that packet, next on display, is intact. Ask once per frame, in display order.

        A frame whose packet is not known (None) is intact only while no damage is open.
        """
        if packet is None or not self._open:
            return not self._open
        if is_key and packet not in self._open:
            # What is shown after a key frame was decoded after it, and does not refer to anything before it.
            self._open = sorted(damaged for damaged in self._open if damaged > packet)
        return not self._open or packet < self._open[0]


def is_key(frame: VideoFrame) -> bool:
    """Whether nothing that is shown after this frame refers behind it.

    A container may call a frame so that only begins a gradual refresh; its picture is not intra-coded then.
    """
    return frame.key_frame and frame.pict_type == PictureType.I


def damage_told(messages: FfmpegLog, decoder: str) -> str:
    """What FFmpeg's decoder said of damage to a picture, while it was not told to stop there; empty if nothing."""
    if concealed := messages.last_error(containing="concealing"):
        return concealed
    if decoder in _MARKING_DECODERS:
        return ""
    return messages.last_error(without=_OUTSIDE_PICTURES)
