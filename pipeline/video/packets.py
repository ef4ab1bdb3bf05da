"""What a video file says of its frames before any is decoded: presentation times, key frames, orientation.

One demuxing pass of PyAV serves every decoder, so decoders cannot disagree about times. Where the packets of
a container do not tell which frames will be shown (``trustworthy`` is False), the frames have to be decoded
to be counted.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import av.error
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from jaxtyping import Float, Int, Int64

from ...data.contracts.errors import DecodeError, counted
from ...data.sources.video_file import VideoFile
from .container import MP4, moving_streams, opened
from .ffmpeg_log import capture_ffmpeg_log
from .h264_pictures import FRAME, H264Pictures
from .nal_units import nal_format
from .orientation import UPRIGHT, Orientation, orientation_of, pixel_aspect_of
from .packet import CUT_OFF, NEXT_IS_MISSING, Packet, is_hidden
from .packet_times import clock_of, tell_times, with_decoding_times
from .recordings import recordings_of

_ONE_FRAME_A_PACKET = frozenset(
    {
        "h264",
        "hevc",
        "vvc",
        "vp8",
        "vp9",
        "libdav1d",
        "av1",
        "prores",
        "mjpeg",
        "ffv1",
        "dnxhd",
        "png",
        "rawvideo",
    }
)
"""Codecs whose shown packets are a frame each; of H.264, unless a packet is a field. MPEG-4 has packets that repeat
the frame before and give none, MPEG-2 may have a packet a field."""

_NO_TIME_STAMPS = 0x0080
"""``AVFMT_NOTIMESTAMPS``, which PyAV has no name for."""
_PACKETS_AT_JOINT = 2
_UNNAMED_MATRIX = 2
_PACKETS_TO_FIRST_FRAME = 64


@dataclass(frozen=True, eq=False)
class PacketIndex:
    """The frames of one file as its packets announce them."""

    packets: Sequence[Packet]
    time_base: float
    """Seconds per tick of a pts."""
    container: str
    codec: str
    pixel_format: str
    matrix: int
    """From RGB to the stored numbers, as the stream names it (ITU-T H.273, table 4); 2: it does not say."""
    width: int
    """Of the stored picture, in pixels."""
    height: int
    """Of the stored picture, in pixels."""
    cuts_left: bool
    """Whether the stream cuts columns off at the left that decoders keep unless told that memory may be unaligned."""
    orientation: Orientation
    pixel_aspect: float
    """Width of a stored pixel over its height, when it is shown."""
    num_videos: int
    """Video streams of the file that are no cover picture."""
    frame_ticks: float
    """Ticks from one frame to the next by the stream's rate, for frames that have no times; at least 1."""
    claimed_seconds: float
    """The longest duration that the file's headers claim; where they claim none, what its packets make at its rate."""
    has_clock: bool
    """Whether the format has time stamps at all; FFmpeg makes some up for raw streams."""
    damage: str
    """What is wrong with the container itself, or empty."""

    @cached_property
    def tells_times(self) -> bool:
        """Whether each shown packet has a time of its own, on one clock."""
        return tell_times(self.packets, self.container, self.recordings)

    @property
    def trustworthy(self) -> bool:
        """Whether each shown packet is one frame at a known time of its own."""
        return self.tells_times and self.codec in _ONE_FRAME_A_PACKET

    @cached_property
    def shown_pts(self) -> Int64[np.ndarray, " frame"]:
        """The pts of every shown packet, in display order."""
        return np.sort(np.array([p.pts for p in self.packets if p.is_shown and p.pts is not None], np.int64))

    @property
    def frame_seconds(self) -> Float[np.ndarray, " frame"]:
        """When each frame is shown, counted from the first; what the packets say, where they are trustworthy."""
        return (self.shown_pts - self.shown_pts[0]) * self.time_base

    @cached_property
    def keys(self) -> Sequence[tuple[int, int]]:
        """The pts and the packet number of every frame from which decoding can start, in display order."""
        return sorted(
            (packet.pts or 0, number) for number, packet in enumerate(self.packets) if packet.starts_run
        )

    @cached_property
    def position_of_pts(self) -> Mapping[int | None, int]:
        """The display index of each shown pts."""
        return {int(pts): position for position, pts in enumerate(self.shown_pts)}

    @cached_property
    def number_of_pts(self) -> Mapping[int | None, int]:
        """The packet number (in decoding order) of each pts that only one shown packet has."""
        numbers = {packet.pts: number for number, packet in enumerate(self.packets) if packet.is_shown}
        counts = Counter(packet.pts for packet in self.packets if packet.is_shown)
        return {pts: number for pts, number in numbers.items() if pts is not None and counts[pts] == 1}

    def number_of(self, packet: av.Packet) -> int | None:
        """The number (in decoding order) of a packet that was read again, behind a jump for instance.

        By its place in the file: a demuxer guesses other decoding times behind a jump. None where two packets share
        one, as where an edit list shows a part twice.
        """
        return self._number_of_place.get((packet.pts, packet.pos))

    @cached_property
    def _number_of_place(self) -> Mapping[tuple[int | None, int | None], int | None]:
        numbers: dict[tuple[int | None, int | None], int | None] = {}
        for number, packet in enumerate(self.packets):
            place = packet.pts, packet.pos
            numbers[place] = None if place in numbers else number
        return numbers

    @cached_property
    def recordings(self) -> Int[np.ndarray, " packet"]:
        """The number of the recording that each packet belongs to: 0 but for files that were joined."""
        if not self.has_clock:
            return np.zeros(len(self.packets), np.int64)
        return recordings_of(
            clock_of(self.packets, self.container, self.frame_ticks), self.container, self.time_base
        )

    def is_at_joint(self, number: int) -> bool:
        """Whether this packet is among the last of a recording on which another one follows.

        There a broadcast stream misses the count of the pieces of a packet, although none is lost.
        """
        behind = min(number + _PACKETS_AT_JOINT, len(self.packets) - 1)
        return bool(self.recordings[number] != self.recordings[behind])

    def starts_recording(self, number: int) -> bool:
        """Whether this packet is the key frame with which another recording begins."""
        if not 0 < number < len(self.packets) or not self.packets[number].is_key:
            return False
        return bool(self.recordings[number] != self.recordings[number - 1])

    @cached_property
    def unreferenced(self) -> frozenset[int]:
        """The numbers of the packets whose pictures no other refers to, as they say and the packet behind confirms.

        Whoever does not want such a picture need not decode it. Only H.264 counts its pictures, so that a header which
        damage has changed does not pass for one.
        """
        return frozenset(
            number
            for number, (packet, following) in enumerate(pairwise(self.packets))
            if packet.pictures.is_unreferenced
            and not (packet.is_key or packet.damage or following.damage)
            and packet.pictures.is_confirmed_by(following.pictures)
        )

    @cached_property
    def can_jump(self) -> bool:
        """Whether every packet can be told again behind a jump."""
        is_one = not self.recordings.any()
        return self.trustworthy and is_one and None not in self._number_of_place.values()


def index_packets(path: VideoFile) -> PacketIndex:
    """Read every packet of the main video stream once; decode only as far as the first frame.

    Raises:
        DecodeError: the file cannot be read, has no video, or its stream holds no packet.
    """
    with opened(path) as (container, stream):
        reading = _Reading(stream.codec_context.name, stream.codec_context.extradata, container.format.name)
        with capture_ffmpeg_log() as messages:
            try:
                for packet in container.demux(stream):
                    reading.take(packet)
                reading.damage = reading.cut_off or messages.last_error(container.format.name)
            except av.error.FFmpegError as error:
                reading.damage = messages.reason(error)
        if not reading.packets:
            raise DecodeError(
                f"its video stream holds no frames{': ' if reading.damage else ''}{reading.damage}"
            )
        return _index(container, stream, reading)


class _Reading:
    """What one pass over the packets has found so far."""

    def __init__(self, codec: str, extradata: bytes | None, container: str) -> None:
        self.packets: list[Packet] = []
        self.picture: VideoFrame | None = None
        self.damage = ""
        self._codec = codec
        self._has_edits = container == MP4
        self._nal_format = nal_format(codec, extradata)
        self._h264 = (
            H264Pictures(self._nal_format, extradata) if self._nal_format and codec == "h264" else None
        )

    @property
    def cut_off(self) -> str:
        """What is said of the last packet where the file ends inside it."""
        return "the last packet is cut off" if self.packets and self.packets[-1].damage == CUT_OFF else ""

    def take(self, packet: av.Packet) -> None:
        if packet.size:
            self.packets.append(self._taken(packet))
        if self.picture is None and len(self.packets) <= _PACKETS_TO_FIRST_FRAME:
            self.picture = _decoded(packet)

    def _taken(self, packet: av.Packet) -> Packet:
        data = bytes(packet)
        shown = not packet.is_discard and not is_hidden(data, self._codec)
        damage = CUT_OFF if packet.is_corrupt else ""
        if self._nal_format and not damage:
            damage = self._nal_format.broken_rule(data)
        pictures = self._h264.of(data) if self._h264 else FRAME
        if pictures.follows_loss and not packet.is_keyframe:
            damage = damage or "a picture before it is missing"
        elif pictures.follows_loss and self.packets and not self._has_edits:
            # Where there are edits, the key frame of another part follows. What is decoded behind a key frame does
            # without the lost picture; what is shown before the key frame may not.
            self.packets[-1] = replace(self.packets[-1], damage=self.packets[-1].damage or NEXT_IS_MISSING)
        return Packet(packet.pts, packet.dts, packet.is_keyframe, shown, damage, packet.pos, pictures)


def _decoded(packet: av.Packet) -> VideoFrame | None:
    """The first frame that a packet completes; None also where it is damaged, which the decoding will find
    again.
    """
    try:
        return next(iter(packet.decode()), None)
    except av.error.FFmpegError:
        return None


def _index(container: InputContainer, stream: VideoStream, reading: _Reading) -> PacketIndex:
    context, picture = stream.codec_context, reading.picture
    if container.format.name == "avi":
        reading.packets = with_decoding_times(reading.packets)
    cuts_left = picture is not None and picture.width > context.width
    time_base = float(stream.time_base or 0)
    known = [packet.pts for packet in reading.packets if packet.pts is not None] or [0]
    # A header may say less than there is.
    claims = [(container.duration or 0) / av.time_base, (max(known) - min(known)) * time_base]
    frame_ticks = _frame_ticks(stream, time_base)
    if stream.duration is not None:
        claims.append(stream.duration * time_base)
    return PacketIndex(
        packets=reading.packets,
        time_base=time_base,
        container=container.format.name,
        codec=context.name,
        pixel_format=picture.format.name if picture else "",
        matrix=int(picture.colorspace) if picture else _UNNAMED_MATRIX,
        width=picture.width if picture and not cuts_left else context.width,
        height=picture.height if picture else context.height,
        cuts_left=cuts_left,
        orientation=orientation_of(picture) if picture else UPRIGHT,
        pixel_aspect=pixel_aspect_of(stream),
        num_videos=len(moving_streams(container)),
        frame_ticks=frame_ticks,
        claimed_seconds=max(claims) or len(reading.packets) * frame_ticks * time_base,
        has_clock=not container.format.flags & _NO_TIME_STAMPS,
        damage=f"the file breaks off after {counted(len(reading.packets), 'frame')}: {reading.damage}"
        if reading.damage
        else "",
    )


def _frame_ticks(stream: VideoStream, time_base: float) -> float:
    rate = float(stream.codec_context.framerate or stream.guessed_rate or stream.average_rate or 0)
    return max(1.0, 1 / (rate * time_base)) if rate > 0 and time_base > 0 else 1.0
