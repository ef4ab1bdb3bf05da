"""What FFmpeg said while something was done: errors that it logs without raising them, and words for a user."""

import logging

import av.error
import av.logging


class Ear:
    """Listens to FFmpeg's error messages from now on.

    PyAV attaches the last message to an exception even if an earlier file caused it; reasons that depend on what
    was decoded before would make two runs of the same extraction differ.
    """

    def __init__(self) -> None:
        av.logging.set_level(av.logging.ERROR)
        # PyAV hands every message to Python's logging, which would print it.
        logging.getLogger("libav").addHandler(logging.NullHandler())
        logging.getLogger("libav").propagate = False
        self._heard, _ = av.logging.get_last_error()

    def news(self) -> str:
        """The last message since this was last asked, or empty."""
        count, last = av.logging.get_last_error()
        if count == self._heard:
            return ""
        self._heard = count
        return last[2].strip() if last else "an error without words"

    def reason(self, error: av.error.FFmpegError) -> str:
        """Of an exception in a few words: what was logged (``moov atom not found``), else what it says itself."""
        return self.news() or error.strerror or type(error).__name__
