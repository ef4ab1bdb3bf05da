"""Opening a file that nobody has looked at: only that file is read, and only if it is a video."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import av.error
from av.container import InputContainer
from av.video.stream import VideoStream

from ...data.contracts.errors import DecodeError
from .ffmpeg_log import capture_ffmpeg_log

# A file from the internet may be a playlist that names other files or addresses: nothing but the file itself
# is read.
_OPEN_OPTIONS = {"protocol_whitelist": "file"}
_HEAD_BYTES = 1 << 20
_PLAYLISTS = frozenset({"hls", "dash", "concat", "sdp", "imf", "webm_dash_manifest"})


@contextmanager
def opened(path: Path) -> Generator[tuple[InputContainer, VideoStream]]:
    """The container and its main video stream, closed afterwards; the stream that decord would choose, too.

    Raises:
        DecodeError: the file cannot be read or has no video; the message is the reason.
    """
    _check_file(path)
    with capture_ffmpeg_log() as messages:
        try:
            container = av.open(str(path.absolute()), options=_OPEN_OPTIONS, metadata_errors="replace")
        except av.error.FFmpegError as error:
            kind = "encrypted" if _names_encryption(path) else "not a readable video file"
            raise DecodeError(f"{kind} ({messages.reason(error)})") from None
    with container:
        if _PLAYLISTS & set(container.format.name.split(",")):
            raise DecodeError(f"a playlist ({container.format.name}) is not a video file")
        yield container, _main_stream(container)


def _check_file(path: Path) -> None:
    try:
        size = path.stat().st_size
        with path.open("rb"):
            pass
    except IsADirectoryError:
        raise DecodeError("is a folder, not a file") from None
    except FileNotFoundError:
        raise DecodeError("file not found") from None
    except OSError as error:
        raise DecodeError(f"cannot be read ({error.strerror or error})") from None
    if size == 0:
        raise DecodeError("file is empty (0 bytes)")


def _main_stream(container: InputContainer) -> VideoStream:
    stream: Any = container.streams.best("video")
    if stream is None and container.streams.video:
        stream = container.streams.video[0]
    if stream is None:
        kinds = sorted({s.type for s in container.streams})
        raise DecodeError(f"no video stream (only {', '.join(kinds)})" if kinds else "no video stream")
    if stream.codec_context is None:
        raise DecodeError("no decoder for the codec of its video stream")
    return stream


def is_encrypted(path: Path, stream: VideoStream) -> bool:
    """Whether the file says that its frames are encrypted."""
    return "enc_key_id" in stream.metadata or _names_encryption(path)


def _names_encryption(path: Path) -> bool:
    """Whether the head of an MP4 file holds the sample entry that encrypted video has (ISO/IEC 23001-7)."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    return head[4:8] in (b"ftyp", b"styp", b"moov") and b"encv" in head
