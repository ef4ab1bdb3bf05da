"""What the page shows and plays of a store's videos: one frame of a file, and the file or a proxy of a span."""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ....data.base import Video
from ....data.contracts.errors import DecodeError
from ....pipeline.machine import usable_cores
from ....pipeline.store.reader import FeatureStore
from .files import Facts, MediaError, OpenFile, StoreFiles
from .frames import HEIGHTS, FrameShelf
from .probing import Probe
from .processes import MediaProcesses
from .proxies import Proxies, Proxy, Window

CACHE_BYTES = 2 << 30
_FRAME_BYTES = 64 << 20
_PROBE_SECONDS = 20.0
_LOOKING = 2
"""Processes that are left to look at files, however many proxies are being made."""
_MOST_PROBES = 20_000

State = Literal["ready", "making", "failed", "missing"]
"""ready: it can be opened. making: ask again. failed: the file is there, but cannot be played. missing: it is not, or
another one is in its place."""


@dataclass(frozen=True, slots=True)
class VideoState:
    """What is known of a video's file without playing it."""

    trouble: str
    """Why it cannot be shown; empty: it can."""
    is_moved: bool = False
    """Whether it was found elsewhere than the data set says."""
    type: str = ""
    """Media type of the file as it is; empty where it is no video."""
    plays: bool = False
    """Whether browsers play it as it is."""
    duration_seconds: float | None = None
    """As the file says it."""


@dataclass(frozen=True, slots=True)
class Playable:
    """How a span is played."""

    state: State
    kind: Literal["file", "proxy"] = "file"
    type: str = ""
    begins_at: float = 0.0
    """Second of the file at which what plays begins."""
    ends_at: float | None = None
    """Second of the file at which it ends; None where the file does not say."""
    reason: str = ""
    """Why it is failed or missing; of a proxy that is ready why the file itself does not play."""
    window: Window | None = None
    """What ``MediaShelf.opened`` is asked for to get this very proxy; None: the file itself."""


@dataclass(frozen=True, slots=True)
class Media:
    """Bytes that can be sent."""

    opened: OpenFile
    type: str


class MediaShelf:
    """Everything of videos that the page shows. Its methods may be called from many threads. A context manager.

    Args:
        store: which videos there are, and what their features were made of.
        videos: of its data set, by id, as far as they are known.
        cache: folder of the proxies.
        cache_bytes: how much they may take together.
        root: below which files that have moved are looked for; None: nowhere.

    Raises:
        StoreError: a receipt of the store does not say what it should.
    """

    def __init__(
        self,
        store: FeatureStore,
        videos: Mapping[str, Video],
        cache: Path,
        cache_bytes: int = CACHE_BYTES,
        root: Path | None = None,
    ) -> None:
        children = max(2, len(usable_cores()))
        makers = max(1, children // 2)
        self._videos = videos
        self._files = StoreFiles(store, videos, root)
        self._processes = MediaProcesses(makers + _LOOKING)
        self._frames = FrameShelf(_FRAME_BYTES, children)
        self._proxies = Proxies(cache, cache_bytes, self._processes, makers)
        self._lock = threading.Lock()
        self._probes: OrderedDict[Facts, Probe | str] = OrderedDict()

    def __enter__(self) -> "MediaShelf":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End every process that it has started."""
        self._frames.close()
        self._processes.close()
        self._proxies.close()

    def state(self, video_id: str) -> VideoState:
        """Whether a video can be shown, and if not, why."""
        try:
            with self._files.opened(video_id) as opened:
                try:
                    probe = self._probe(opened)
                except MediaError as error:
                    return VideoState(str(error), opened.is_moved)
                duration = probe.duration_seconds or None
                return VideoState("", opened.is_moved, probe.type, probe.change == "none", duration)
        except MediaError as error:
            return VideoState(str(error))

    def frame(self, video_id: str, seconds: float, height: int) -> bytes:
        """A JPEG picture of the frame that is on display at a second of the file, upright.

        Raises:
            MediaError: the file is not there, is another one now, cannot be decoded, or shows nothing then.
            ValueError: no such height.
        """
        if height not in HEIGHTS:
            raise ValueError(
                f"the height of a picture is one of {', '.join(map(str, HEIGHTS))}, got {height}"
            )
        with self._files.opened(video_id) as opened:
            aspect = self._probe(opened).aspect
            try:
                return self._frames.picture(opened, seconds, height, aspect)
            except DecodeError as error:
                raise MediaError(str(error)) from None

    def playable(
        self, video_id: str, start: float | None = None, end: float | None = None, *, again: bool = False
    ) -> Playable:
        """How a span of a video is played; begins to make a proxy where one is needed.

        Args:
            video_id: of the store.
            start: second of the file; None: the beginning of its clip.
            end: second of the file; None: the end of its clip, as far as a proxy goes.
            again: whether to try what has failed before: only a person knows that what was wrong is mended.
        """
        try:
            opened = self._files.opened(video_id)
        except MediaError as error:
            return Playable("missing", reason=str(error))
        with opened:
            try:
                probe = self._probe(opened, again=again)
            except MediaError as error:
                return Playable("failed", reason=str(error))
            if probe.change == "none":
                ends_at = probe.duration_seconds + probe.begins_at if probe.duration_seconds else None
                return Playable("ready", "file", probe.type, probe.begins_at, ends_at)
            span = self._span(video_id, start, end)
            if found := self._proxies.found(opened, *span):
                return _ready(found, probe.why)
            window, copy = Window.around(*span), probe.change == "container"
            failed = self._proxies.asked(opened, window, copy=copy, again=again)
            return Playable("failed" if failed else "making", "proxy", reason=failed)

    def opened(self, video_id: str, start: float | None = None, end: float | None = None) -> Media:
        """The bytes that play a span: the file itself where browsers play it, else the proxy that holds the span.

        Args:
            video_id: of the store.
            start: as ``Playable.window`` has it, or a second of the file.
            end: likewise.

        Raises:
            MediaError: there is no such file, or no such proxy yet.
        """
        opened = self._files.opened(video_id)
        try:
            probe = self._probe(opened)
            if probe.change == "none":
                return Media(opened, probe.type)
            found = self._proxies.found(opened, *self._span(video_id, start, end))
        except BaseException:
            opened.file.close()
            raise
        opened.file.close()
        if found is None:
            raise MediaError("its proxy is not there yet. Ask whether it is playable, which makes one")
        return Media(self._proxies.opened(found), found.type)

    def _span(self, video_id: str, start: float | None, end: float | None) -> tuple[float, float | None]:
        video = self._videos.get(video_id)
        begin = start if start is not None else video.start_seconds if video else 0.0
        return begin, end if end is not None or start is not None or video is None else video.end_seconds

    def _probe(self, opened: OpenFile, *, again: bool = False) -> Probe:
        """What was seen of a file, looked at once; ``again``: once more where that failed.

        Raises:
            MediaError: it is no video.
        """
        with self._lock:
            known = self._probes.get(opened.facts)
        if known is None or (again and isinstance(known, str)):
            try:
                known = Probe(**self._processes.ask(opened, {"target": None}, _PROBE_SECONDS))
            except MediaError as error:
                known = str(error)
            with self._lock:
                self._probes[opened.facts] = known
                if len(self._probes) > _MOST_PROBES:
                    self._probes.popitem(last=False)
        if isinstance(known, str):
            raise MediaError(f"{opened.name}: {known}")
        return known


def _ready(proxy: Proxy, why: str) -> Playable:
    return Playable("ready", "proxy", proxy.type, proxy.begins_at, proxy.ends_at, why, proxy.window)
