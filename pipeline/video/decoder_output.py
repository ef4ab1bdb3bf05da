"""Packets in, frames out: FFmpeg's decoder by PyAV, with the knowledge which frames are intact."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import av
import av.error
import numpy as np
from av.codec.context import Flags
from av.container import InputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from jaxtyping import UInt8

from ...data.contracts.errors import DecodeError
from ...data.sources.video_file import VideoFile
from .container import is_encrypted, opened
from .damage import DamageLog, damage_told, is_key
from .ffmpeg_log import capture_ffmpeg_log
from .orientation import orientation_of, upright
from .packet import CUT_OFF, NEXT_IS_MISSING
from .packets import PacketIndex

RgbFrame = UInt8[np.ndarray, "height width 3"]

_CHECKS = "crccheck+bitstream+buffer"
_STUFFED = ("mpeg1video", "mpeg2video")
"""Their decoder takes legal stuffing between slices for damage when it is told to check the bitstream."""

# Left to itself, PyAV prepares the conversion to RGB anew for every frame, from version 17 on with a thread for each
# core, and keeps all of it as long as the frame: where many frames wait, the process runs out of threads.
_REFORMATTER = VideoReformatter()
ON_ONE_THREAD: dict[str, int] = {"threads": 1} if int(av.__version__.split(".")[0]) >= 17 else {}


class ComplaintError(DecodeError):
    """A decoder complained, or a wanted frame did not come: what it gave has to be looked at again."""


class DisorderError(ComplaintError):
    """Frames do not come out of the decoder in the order of the times that their packets have."""


class FailedJumpError(ComplaintError):
    """Decoding did not begin at the key frame that was jumped to."""


@dataclass(frozen=True, slots=True, eq=False)
class _Origin:
    """What a packet hands on to its frame."""

    packet: int
    """Its number in decoding order."""


@dataclass(frozen=True, eq=False)
class ShownFrame:
    """A frame in display order."""

    picture: VideoFrame
    packet: int | None
    """The number (in decoding order) of the packet it came from, or None where that is not known."""
    is_intact: bool

    def rgb(self) -> RgbFrame:
        """The picture, upright.

        Raises:
            DecodeError: FFmpeg cannot convert its colours.
        """
        try:
            picture = _REFORMATTER.reformat(self.picture, format="rgb24", **ON_ONE_THREAD)
        except av.error.FFmpegError:
            matrix = int(self.picture.colorspace)
            raise DecodeError(f"its colours cannot be converted to RGB (matrix {matrix} of H.273)") from None
        return upright(picture.to_ndarray(), orientation_of(self.picture))


@contextmanager
def decoding(path: VideoFile, *, is_strict: bool) -> Generator[tuple[InputContainer, VideoStream]]:
    """The file, open; with ``is_strict`` its decoder stops at whatever looks wrong instead of painting over it."""
    with opened(path) as (container, stream):
        context = stream.codec_context
        # One thread: a second one would report the errors of a packet while another is being decoded.
        context.thread_type = "NONE"
        context.thread_count = 1
        # What a packet is given, FFmpeg hands on to the frame that it makes of it.
        # Where a stream cuts columns off at the left, FFmpeg would keep some of them to have memory aligned.
        context.flags |= Flags.copy_opaque | Flags.unaligned
        checks = _CHECKS.replace("+bitstream", "") if context.name in _STUFFED else _CHECKS
        context.options = {"err_detect": checks + ("+explode" if is_strict else "")}
        yield container, stream


def packets_from(
    container: InputContainer, stream: VideoStream, index: PacketIndex, start: int
) -> Iterator[tuple[int, av.Packet]]:
    """Packets with their numbers from number ``start`` on, the empty one that flushes the decoder included.

    Raises:
        FailedJumpError: the container did not find that packet.
    """
    if start == 0:
        number = 0
        for packet in container.demux(stream):
            yield number, packet
            number += bool(packet.size)
        return
    container.seek(index.packets[start].pts or 0, stream=stream)
    is_found = False
    for packet in container.demux(stream):
        number = index.number_of(packet) if packet.size else len(index.packets)
        is_found = is_found or number == start
        if number is None or (number > start and not is_found):
            raise FailedJumpError("the container does not find its key frames")
        if is_found:
            yield number, packet


def shown_frames(
    packets: Iterator[tuple[int, av.Packet]], index: PacketIndex, log: DamageLog
) -> Iterator[ShownFrame]:
    """Every frame in display order, and whether it is intact."""
    for number, packet in _guarded(packets, log):
        if told := _damage_of_packet(index, number):
            log.add(number, told)
        for picture in _decoded(packet, number, index, log):
            origin = _origin(picture, index)
            if picture.is_corrupt and not _is_joint(index, origin):
                log.add(number if origin is None else origin, "a frame is corrupt")
            starts_anew = origin is not None and index.packets[origin].is_key and is_key(picture)
            yield ShownFrame(picture, origin, log.is_intact(origin, is_key=starts_anew))


def _damage_of_packet(index: PacketIndex, number: int) -> str:
    """What is known of it without decoding."""
    if number >= len(index.packets):
        return ""
    damage = index.packets[number].damage
    return "" if damage in (CUT_OFF, NEXT_IS_MISSING) and _is_joint(index, number) else damage


def _is_joint(index: PacketIndex, number: int | None) -> bool:
    """Whether a mark of damage may only mean that a recording ends; then the decoder's words tell of damage."""
    return number is not None and index.is_at_joint(number)


def _origin(picture: VideoFrame, index: PacketIndex) -> int | None:
    """The number of the packet that a frame was decoded from."""
    origin = picture.opaque
    return origin.packet if isinstance(origin, _Origin) else index.number_of_pts.get(picture.pts)


def _guarded(packets: Iterator[tuple[int, av.Packet]], log: DamageLog) -> Iterator[tuple[int, av.Packet]]:
    """The packets up to where the container breaks off."""
    number = 0
    try:
        for number, packet in packets:
            yield number, packet
    except av.error.FFmpegError as error:
        log.add(number, error.strerror or "the file breaks off")


def _decoded(packet: av.Packet, number: int, index: PacketIndex, log: DamageLog) -> list[VideoFrame]:
    """The frames that this packet completes; where a new recording starts, before them the last of the one before."""
    context: VideoCodecContext = packet.stream.codec_context
    if packet.size:
        # An object of its own each time: PyAV tells them apart by their address, and forgets all that share one when
        # the first is let go, as those of a file that was decoded before.
        packet.opaque = _Origin(number)
    if not index.starts_recording(number):
        return _decode(context, packet, number, log)
    # Otherwise the decoder would look for the new one's references in the old one.
    last = _decode(context, None, number - 1, log)
    context.flush_buffers()
    return last + _decode(context, packet, number, log)


def _decode(
    context: VideoCodecContext, packet: av.Packet | None, number: int, log: DamageLog
) -> list[VideoFrame]:
    with capture_ffmpeg_log() as messages:
        try:
            frames = context.decode(packet)
        except av.error.FFmpegError as error:
            log.add(number, messages.reason(error))
            return []
    if told := damage_told(messages, context.name):
        log.add(number, told)
    return frames


def why_nothing(path: VideoFile, log: DamageLog) -> str:
    """The reason of a file that gave no intact frame."""
    with opened(path) as (_, stream):
        encrypted = is_encrypted(path, stream)
    first = log.first or "nothing came out of the decoder"
    return f"encrypted ({first})" if encrypted else f"no sound frame: {first}"
