"""Opening a file that nobody has looked at: only that file is read, and only if it is a video.

A file of its own is opened by FFmpeg, by its name; a member of a tar file or an object of a server is a file object.
What goes wrong on the way to its bytes is told as such, and never passes for the end of a video.
"""

import errno
import stat
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import av
import av.error
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from ...data.contracts.byte_source import ByteSource, SourceReader
from ...data.contracts.errors import DecodeError
from .ffmpeg_log import capture_ffmpeg_log

# A file from the internet may be a playlist that names other files or addresses: nothing but the file itself
# is read.
_OPEN_OPTIONS = {"protocol_whitelist": "file"}
_SOURCE_OPTIONS = {"protocol_whitelist": "none"}
MP4 = "mov,mp4,m4a,3gp,3g2,mj2"
MATROSKA = "matroska,webm"
INDEXED_CONTAINERS = (MP4, MATROSKA)
"""Containers that store a presentation time with every frame; others (AVI, MPEG-TS, GIF) let FFmpeg guess."""

# MPEG-PS has a time stamp for some frames, AVI the times of decoding; what FFmpeg makes up besides is up to three
# frames off.
_GUESSED_TIMES = ("mpeg", "avi")
_STORED_TIMES_ONLY = {"fflags": "nofillin"}
_HEAD_BYTES = 1 << 20
UNREADABLE = "cannot be read"
"""How the reason of a file begins that was not even looked into."""
_EMPTY = "file is empty (0 bytes)"
_PLAYLISTS = frozenset({"hls", "dash", "concat", "sdp", "imf", "webm_dash_manifest"})
_NOT_FILES: Sequence[tuple[Callable[[int], bool], str]] = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


@contextmanager
def opened(file: Path | ByteSource) -> Generator[tuple[InputContainer, VideoStream]]:
    """The container and its main video stream, closed afterwards.

    The main one is what FFmpeg takes for the best of those that move: a cover picture is none.

    Raises:
        DecodeError: the file cannot be read or has no video; the message is the reason.
    """
    if isinstance(file, ByteSource):
        with _source_opened(file) as source, _container_of(source) as container:
            yield container
        return
    _check_file(file)
    with _container_of(file) as container:
        yield container


@contextmanager
def _source_opened(source: ByteSource) -> Generator[SourceReader]:
    """A source as a file object. PyAV raises what its reading raised in place of giving a packet."""
    try:
        with source.open() as reader:
            if not reader.facts.num_bytes:
                raise DecodeError(_EMPTY)
            yield reader
            reader.require_unchanged()
    except av.error.FFmpegError:  # some of which are errors of the system by their class
        raise
    except OSError as error:
        raise DecodeError(unreadable_because(error)) from None


@contextmanager
def _container_of(file: Path | SourceReader) -> Generator[tuple[InputContainer, VideoStream]]:
    with capture_ffmpeg_log() as messages:
        try:
            container = _open(file, {})
            if container.format.name in _GUESSED_TIMES:
                container.close()
                container = _open(file, _STORED_TIMES_ONLY)
        except av.error.FFmpegError as error:
            kind = "encrypted" if _names_encryption(file) else "not a readable video file"
            raise DecodeError(f"{kind} ({messages.reason(error)})") from None
    with container:
        if _PLAYLISTS & set(container.format.name.split(",")):
            raise DecodeError(f"a playlist ({container.format.name}) is not a video file")
        yield container, _main_stream(container)


def _open(file: Path | SourceReader, options: Mapping[str, str]) -> InputContainer:
    if isinstance(file, SourceReader):
        file.seek(0)
        return av.open(file, "r", options={**_SOURCE_OPTIONS, **options}, metadata_errors="replace")
    return av.open(str(file.absolute()), options={**_OPEN_OPTIONS, **options}, metadata_errors="replace")


def _check_file(path: Path) -> None:
    """Refuse what cannot be read as a file, by its name alone: who opens a named pipe may wait for ever."""
    try:
        status = path.stat()
        if kind := next((kind for is_kind, kind in _NOT_FILES if is_kind(status.st_mode)), ""):
            raise DecodeError(f"is {kind}, not a file")
        with path.open("rb"):
            pass
    except FileNotFoundError:
        why = "is a link to a file that is not there" if path.is_symlink() else "file not found"
        raise DecodeError(why) from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise DecodeError("is a link that leads back to itself") from None
        raise DecodeError(unreadable_because(error)) from None
    if status.st_size == 0:
        raise DecodeError(_EMPTY)


def unreadable_because(error: OSError) -> str:
    """The reason of a file that the system, or a server, does not let us read."""
    return f"{UNREADABLE} ({error.strerror or error})"


def _main_stream(container: InputContainer) -> VideoStream:
    moving = moving_streams(container)
    best = container.streams.best("video")
    stream = next((stream for stream in moving if best and stream.index == best.index), None)
    stream = stream or next(iter(moving), None)
    if stream is None:
        raise DecodeError(_without_video(container))
    if stream.codec_context is None:  # pyright: ignore[reportUnnecessaryComparison]  # so it is for unknown codecs
        raise DecodeError("no decoder for the codec of its video stream")
    return stream


def moving_streams(container: InputContainer) -> list[VideoStream]:
    """The video streams of a file that are no cover picture."""
    return [stream for stream in container.streams.video if not _is_cover(stream)]


def _is_cover(stream: VideoStream) -> bool:
    """Whether a stream is the picture that players show for a sound file, or in a list of films."""
    return bool(stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails))


def _without_video(container: InputContainer) -> str:
    """What a file has instead of a video."""
    kinds = sorted({stream.type for stream in container.streams} - {"video"})
    parts = [
        *([", ".join(kinds)] if kinds else []),
        *(["a cover picture"] if container.streams.video else []),
    ]
    return f"no video stream (only {' and '.join(parts)})" if parts else "no video stream"


def is_encrypted(file: Path | ByteSource, stream: VideoStream) -> bool:
    """Whether the file says that its frames are encrypted.

    Raises:
        OSError: it cannot be read any more.
    """
    if "enc_key_id" in stream.metadata:
        return True
    if isinstance(file, ByteSource):
        with file.open() as reader:
            return _names_encryption(reader)
    return _names_encryption(file)


def _names_encryption(file: Path | SourceReader) -> bool:
    """Whether the head of an MP4 file holds the sample entry that encrypted video has (ISO/IEC 23001-7)."""
    if isinstance(file, SourceReader):
        return _is_encrypted_head(file.read_at(0, min(_HEAD_BYTES, file.facts.num_bytes)))
    with file.open("rb") as opened_file:
        return _is_encrypted_head(opened_file.read(_HEAD_BYTES))


def _is_encrypted_head(head: bytes) -> bool:
    return head[4:8] in (b"ftyp", b"styp", b"moov") and b"encv" in head
