"""What a browser makes of a video's file: whether it plays it as it is, and what else would have to change.

Runs in a process that can be killed, because a file from anywhere can crash whoever opens it.
"""

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import av
import av.error
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from ....data.contracts.byte_source import ByteSource
from ....data.contracts.errors import DecodeError
from ....data.sources.video_file import VideoFile
from ....pipeline.video.container import MATROSKA, MP4, is_encrypted, opened
from ....pipeline.video.orientation import UPRIGHT, orientation_of, pixel_aspect_of

Change = Literal["none", "container", "pictures"]
"""none: it goes out as it is. container: its packets can be copied into another one. pictures: they have to be encoded
anew."""

MP4_TYPE, WEBM_TYPE = "video/mp4", "video/webm"
COPIED_CODECS = frozenset({"h264", "vp9", "av1"})
"""Whose packets an MP4 file may hold, for browsers."""
_CODECS = {MP4_TYPE: COPIED_CODECS, WEBM_TYPE: frozenset({"vp8", "vp9", "av1"})}
_SOUNDS = {MP4_TYPE: frozenset({"aac", "mp3", "opus"}), WEBM_TYPE: frozenset({"opus", "vorbis"})}
_EIGHT_BITS = frozenset({"yuv420p", "yuvj420p"})
_SQUARE = 1e-3
_PACKETS_TO_FIRST_FRAME = 256
_WEBM = re.compile(rb"\x42\x82.{1,8}webm", re.DOTALL)
"""The element that names a Matroska file's kind, whose length may take up to eight bytes (RFC 8794, section 11.2.4)."""
_HEAD_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Probe:
    """What was seen of a file."""

    change: Change
    why: str
    """Why it does not go out as it is; empty: it does."""
    type: str
    """Media type of the file as it is."""
    aspect: float
    """Width over height of the picture as a player shows it."""
    begins_at: float
    """The second, counted from the first displayed frame, at which a browser begins to play the file as it is."""
    duration_seconds: float
    """As the file says it; 0 where it does not."""


def probe_of(path: VideoFile) -> Probe:
    """Look at a file; its first frame is decoded.

    Raises:
        DecodeError: it is no video, or its first frame cannot be decoded.
    """
    with opened(path) as (container, stream):
        picture = _first_picture(path, container, stream)
        kind = _type(path, container)
        orientation, pixel_aspect = orientation_of(picture), pixel_aspect_of(stream)
        aspect = picture.width * pixel_aspect / picture.height
        why_pictures = _why_pictures(stream, picture)
        why = why_pictures or _why_container(container, stream, kind)
        if not why and kind == WEBM_TYPE and orientation != UPRIGHT:
            why = why_pictures = "is turned in a way that browsers do not know of WebM"
        first = float((picture.pts or 0) * (picture.time_base or 0))
        return Probe(
            change="pictures" if why_pictures else "container" if why else "none",
            why=why,
            type=kind or "application/octet-stream",
            aspect=1 / aspect if orientation.swaps_sides else aspect,
            begins_at=(container.start_time or 0) / av.time_base - first,
            duration_seconds=max(0.0, (container.duration or 0) / av.time_base),
        )


def _first_picture(path: VideoFile, container: InputContainer, stream: VideoStream) -> VideoFrame:
    stream.codec_context.thread_count = 1
    for number, packet in enumerate(container.demux(stream)):
        with suppress(av.error.FFmpegError):  # a damaged beginning; a later frame may be sound
            if pictures := packet.decode():
                return pictures[0]
        if number >= _PACKETS_TO_FIRST_FRAME:
            break
    raise DecodeError(
        "encrypted" if is_encrypted(path, stream) else "none of its first frames can be decoded"
    )


def _type(path: VideoFile, container: InputContainer) -> str:
    """The media type under which browsers play such a container; empty: they do not."""
    if container.format.name == MP4:
        # Films of QuickTime have another brand, and boxes of their own that not every browser reads.
        return "" if container.metadata.get("major_brand", "").strip() == "qt" else MP4_TYPE
    if container.format.name == MATROSKA:
        with path.open() if isinstance(path, ByteSource) else path.open("rb") as file:
            return WEBM_TYPE if _WEBM.search(file.read(_HEAD_BYTES)) else ""
    return ""


def _why_pictures(stream: VideoStream, picture: VideoFrame) -> str:
    """What of the pictures themselves browsers do not play, or show in other proportions."""
    codec = codec_of(stream)
    if codec not in COPIED_CODECS | {"vp8"}:
        return f"is coded as {codec}"
    if picture.format.name not in _EIGHT_BITS:
        return f"has pixels of the format {picture.format.name}"
    if abs(pixel_aspect_of(stream) - 1) > _SQUARE:
        return "has pixels that are not square"
    orientation = orientation_of(picture)
    return "is mirrored or turned by no right angle" if orientation.mirrored or not orientation.exact else ""


def _why_container(container: InputContainer, stream: VideoStream, kind: str) -> str:
    if not kind:
        return f"is in a container that browsers do not read ({container.format.name})"
    if codec_of(stream) not in _CODECS[kind]:
        return f"holds {codec_of(stream)}, which browsers do not read from {kind}"
    if len(container.streams.video) > 1:
        return "has several pictures side by side"
    sounds = {
        sound.codec_context.codec.canonical_name for sound in container.streams.audio if sound.codec_context
    }
    if not sounds <= _SOUNDS[kind]:
        return f"has sound that browsers do not play ({', '.join(sorted(sounds - _SOUNDS[kind]))})"
    return ""


def codec_of(stream: VideoStream) -> str:
    """The name of a stream's codec, whichever decoder reads it."""
    return stream.codec_context.codec.canonical_name
