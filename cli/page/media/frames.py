"""Frames as JPEG pictures: decoded once, however many ask, and kept as long as there is room."""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from concurrent.futures import Future
from io import BytesIO

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from ....data.sources.video_file import file_on_disk
from ....heads.search.frame_tasks import frame_task, picture_size
from ....pipeline.decoding.messages import DecodedVideo, DecodeTask
from ....pipeline.decoding.pool import DecoderPool
from .files import Facts, MediaError, OpenFile, file_facts
from .processes import NICENESS

HEIGHTS = (90, 180, 360)
"""Of pictures, in pixels."""
_MOST_WIDTH = 1280
_QUALITY = 82
_LIMIT_SECONDS = 30.0


class FrameShelf:
    """JPEG pictures of frames.

    Args:
        most_bytes: how much is kept.
        children: processes that decode.
    """

    def __init__(self, most_bytes: int, children: int) -> None:
        self._pool = DecoderPool(children, time_limit_seconds=_LIMIT_SECONDS, niceness=NICENESS)
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, bytes] = OrderedDict()
        self._kept_bytes = 0
        self._coming: dict[Hashable, Future[bytes]] = {}

    def close(self) -> None:
        """End the processes."""
        self._pool.close()

    def picture(self, opened: OpenFile, seconds: float, height: int, aspect: float) -> bytes:
        """The frame that is on display at a time, upright.

        Args:
            opened: the video.
            seconds: counted from its first displayed frame.
            height: of the picture, one of ``HEIGHTS``.
            aspect: width over height, as a player shows the video.

        Raises:
            MediaError: the file cannot be decoded, or shows nothing then.
        """
        key = opened.facts, round(seconds, 4), height
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            own = Future[bytes]()
            coming = self._coming.setdefault(key, own)
        if coming is not own:
            return coming.result()
        try:
            width = min(_MOST_WIDTH, max(1, round(height * aspect)))
            picture = self._decoded(opened, seconds, height, width)
            self._keep(key, picture)
            own.set_result(picture)
        except BaseException as error:
            own.set_exception(error)
            raise
        finally:
            with self._lock:
                del self._coming[key]
        return picture

    def _decoded(self, opened: OpenFile, seconds: float, height: int, width: int) -> bytes:
        size = picture_size(height, width)
        video = self._asked(frame_task("frame", opened.path, seconds, size))
        if not len(video.frames):
            raise MediaError(f"{opened.name}: {video.reason}")
        if _facts_now(opened) != opened.facts:
            raise MediaError(f"{opened.name}: another file was put in its place")
        return _jpeg(video.frames[0])

    def _asked(self, task: DecodeTask) -> DecodedVideo:
        return next(iter(self._pool.decode([task])))

    def _keep(self, key: Hashable, picture: bytes) -> None:
        with self._lock:
            self._kept[key] = picture
            self._kept_bytes += len(picture)
            while self._kept_bytes > self._most_bytes:
                _, oldest = self._kept.popitem(last=False)
                self._kept_bytes -= len(oldest)


def _facts_now(opened: OpenFile) -> Facts | None:
    """Of what lies in its place by now; None: nothing."""
    place = file_on_disk(opened.path)
    try:
        return place and file_facts(opened.path, place.stat())
    except OSError:
        return None


def _jpeg(frame: UInt8[np.ndarray, "height width 3"]) -> bytes:
    held = BytesIO()
    Image.fromarray(frame).save(held, "JPEG", quality=_QUALITY)
    return held.getvalue()
