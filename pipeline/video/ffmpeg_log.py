"""What FFmpeg says while something is done: PyAV raises only a part of it."""

import logging
from collections.abc import Generator, Sequence
from contextlib import contextmanager

import av.error
import av.logging

# One for the whole process: a new one for every packet would be kept, and looked through for every packet.
_NOBODY = logging.NullHandler()


class FfmpegLog:
    """The messages of one operation.

    PyAV attaches the last error to an exception even if an earlier file caused it; reasons that depend on what was
    decoded before would make two runs of the same extraction differ.
    """

    def __init__(self, heard: list[tuple[int, str, str]]) -> None:
        self._heard = heard

    def last_error(self, speaker: str = "", containing: str = "", without: Sequence[str] = ()) -> str:
        """The last error message, or empty.

        That it paints over a damaged picture, FFmpeg logs as information; here it is an error.

        Args:
            speaker: only of this one, such as a demuxer.
            containing: only one that contains this.
            without: only one that contains none of these.
        """
        for level, name, message in reversed(self._heard):
            is_error = level <= av.logging.ERROR or message.startswith("concealing")
            is_meant = containing in message and not any(words in message for words in without)
            if is_error and is_meant and speaker in ("", name):
                return message.strip()
        return ""

    def reason(self, error: av.error.FFmpegError) -> str:
        """Of an exception in a few words: what was logged (``moov atom not found``), else what it says itself.

        Raises:
            MemoryError: that is what it was; it tells of this process, not of the file.
        """
        if isinstance(error, MemoryError):
            raise MemoryError from error
        return self.last_error() or error.strerror or type(error).__name__


@contextmanager
def capture_ffmpeg_log() -> Generator[FfmpegLog]:
    """Collect what FFmpeg logs inside the block, on this thread."""
    av.logging.set_level(av.logging.INFO)
    # The same damage in two packets gives the same message twice, and both count.
    av.logging.set_skip_repeated(False)
    # What is not collected goes to Python's logging, which would print it.
    logging.getLogger("libav").addHandler(_NOBODY)
    logging.getLogger("libav").propagate = False
    with av.logging.Capture() as heard:
        yield FfmpegLog(heard)
