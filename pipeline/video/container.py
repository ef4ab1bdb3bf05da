"""Opening a file that nobody has looked at: only that file is read, and only if it is a video."""

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

from ...data.contracts.errors import DecodeError
from .ffmpeg_log import capture_ffmpeg_log

# A file from the internet may be a playlist that names other files or addresses: nothing but the file itself
# is read.
_OPEN_OPTIONS = {"protocol_whitelist": "file"}
MP4 = "mov,mp4,m4a,3gp,3g2,mj2"
MATROSKA = "matroska,webm"
INDEXED_CONTAINERS = (MP4, MATROSKA)
"""Containers that store a presentation time with every frame; others (AVI, MPEG-TS, GIF) let FFmpeg guess."""

# MPEG-PS has a time stamp for some frames, AVI the times of decoding; what FFmpeg makes up besides is up to three
# frames off.
_GUESSED_TIMES = ("mpeg", "avi")
_STORED_TIMES_ONLY = {"fflags": "nofillin"}
_HEAD_BYTES = 1 << 20
_PLAYLISTS = frozenset({"hls", "dash", "concat", "sdp", "imf", "webm_dash_manifest"})
_NOT_FILES: Sequence[tuple[Callable[[int], bool], str]] = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


@contextmanager
def opened(path: Path) -> Generator[tuple[InputContainer, VideoStream]]:
    """The container and its main video stream, closed afterwards.

    The main one is what FFmpeg takes for the best of those that move: a cover picture is none.

    Raises:
        DecodeError: the file cannot be read or has no video; the message is the reason.
    """
    _check_file(path)
    with capture_ffmpeg_log() as messages:
        try:
            container = _open(path, _OPEN_OPTIONS)
            if container.format.name in _GUESSED_TIMES:
                container.close()
                container = _open(path, _OPEN_OPTIONS | _STORED_TIMES_ONLY)
        except av.error.FFmpegError as error:
            kind = "encrypted" if _names_encryption(path) else "not a readable video file"
            raise DecodeError(f"{kind} ({messages.reason(error)})") from None
    with container:
        if _PLAYLISTS & set(container.format.name.split(",")):
            raise DecodeError(f"a playlist ({container.format.name}) is not a video file")
        yield container, _main_stream(container)


def _open(path: Path, options: Mapping[str, str]) -> InputContainer:
    return av.open(str(path.absolute()), options=dict(options), metadata_errors="replace")


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
        raise DecodeError(f"cannot be read ({error.strerror or error})") from None
    if status.st_size == 0:
        raise DecodeError("file is empty (0 bytes)")


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


def is_encrypted(path: Path, stream: VideoStream) -> bool:
    """Whether the file says that its frames are encrypted."""
    return "enc_key_id" in stream.metadata or _names_encryption(path)


def _names_encryption(path: Path) -> bool:
    """Whether the head of an MP4 file holds the sample entry that encrypted video has (ISO/IEC 23001-7)."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    return head[4:8] in (b"ftyp", b"styp", b"moov") and b"encv" in head
