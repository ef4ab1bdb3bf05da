"""What the routes share: the store that is shown, who answers queries to it, and what is kept between requests."""

import hashlib
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import Any

from PIL import Image

from ...data.contracts.errors import TvrError, UsageError
from ...heads.features.items import VideoItems
from ...heads.runs.newest import RunEntry
from ...heads.search.catalogue import CataloguedVideo
from ...heads.search.pictures import read_picture
from ...pipeline.workspace import Workspace
from .media.shelf import MediaShelf
from .opened_store import ListedRun, OpenedStore
from .query_worker import QueryWorker

PICTURES_KEPT = 64
SHOWN_PICTURE = 360
"""Pixels of the longer side in which a picture that was looked for is shown."""
MOST_PIXELS = 1 << 26
"""Of such a picture: more than any screen has, and 200 MB while it is read."""
REMEMBERED = 64
"""Figures that took long, such as the ranks of a split."""


class NotThereError(TvrError):
    """A video, a run or a picture that does not exist here."""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A picture that somebody looks for."""

    items: VideoItems
    """As a video of one frame."""
    jpeg: bytes


class PageContext:
    """A store as it is shown. A context manager: on leaving it, threads and children are gone.

    Args:
        opened: the store and its runs.
        media: the pictures and files of its videos.
        entries: every run of these features, unfinished ones too, the newest first.
        place: the workspace, for names.
        name: of the store, in a line.
    """

    def __init__(
        self, opened: OpenedStore, media: MediaShelf, entries: list[RunEntry], place: Workspace, name: str
    ) -> None:
        self.opened = opened
        self.media = media
        self.entries = entries
        self.place = place
        self.name = name
        self.worker = QueryWorker(opened)
        self._slow = ThreadPoolExecutor(1, thread_name_prefix="figures")
        self._remembered: OrderedDict[Hashable, Future[Any]] = OrderedDict()
        self._pictures: OrderedDict[str, Picture] = OrderedDict()
        self._lock = Lock()

    def __enter__(self) -> "PageContext":
        self.worker.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.worker.__exit__()
        self._slow.shutdown(wait=False, cancel_futures=True)
        self.opened.close()
        self.media.close()

    def video(self, number: int) -> CataloguedVideo:
        """A video by its number.

        Raises:
            NotThereError: the store has none of that number.
        """
        try:
            return self.opened.catalogue[number]
        except UsageError as error:
            raise NotThereError(str(error)) from None

    def run(self, name: str | None) -> ListedRun:
        """A run by its name; of none, the usual one.

        Raises:
            NotThereError: there is none of that name.
        """
        try:
            return self.opened.run(name)
        except UsageError as error:
            raise NotThereError(str(error)) from None

    def figures(self, key: Hashable, measure: Callable[[], Any]) -> "Future[Any]":
        """What takes long, measured once, one after another."""
        with self._lock:
            found = self._remembered.get(key)
            if found is None or (found.done() and found.exception() is not None):
                found = self._remembered[key] = self._slow.submit(measure)
            self._remembered.move_to_end(key)
            while len(self._remembered) > REMEMBERED:
                self._remembered.popitem(last=False)
            return found

    def keep_picture(self, body: bytes) -> str:
        """Take in a picture; its name for later.

        Raises:
            DecodeError: it is none.
        """
        name = hashlib.sha256(body).hexdigest()[:24]
        if name in self._pictures:
            return name
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "picture"
            file.write_bytes(body)
            pixels = read_picture(file, "the picture", MOST_PIXELS)
        shown = Image.fromarray(pixels)
        shown.thumbnail((SHOWN_PICTURE, SHOWN_PICTURE))
        held = BytesIO()
        shown.save(held, "JPEG")
        self._pictures[name] = Picture(self.opened.queries.of_pixels(pixels), held.getvalue())
        while len(self._pictures) > PICTURES_KEPT:
            self._pictures.popitem(last=False)
        return name

    def picture(self, name: str) -> Picture:
        """A picture that was taken in.

        Raises:
            NotThereError: it was not, or long ago.
        """
        try:
            return self._pictures[name]
        except KeyError:
            raise NotThereError(
                "this picture is not here any more: the server keeps the last ones until it ends. Choose it again"
            ) from None
