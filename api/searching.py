"""Finding videos from a program: the same answers as the command and the page give."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, Unpack

from .data.base import Video
from .data.contracts.errors import TvrError, UsageError, counted
from .heads.report.hits_page import hits_html
from .heads.runs.newest import RunEntry
from .heads.search.answers import Answer, FoundVideo, Wish
from .heads.search.archive import Archive, open_archive
from .heads.search.catalogue import Catalogue
from .heads.search.searcher import Searcher
from .opened_run import Run
from .opened_store import Store
from .pipeline.request import Named, videos_of_store
from .pipeline.store.entries import store_entry
from .pipeline.store.manifest import MANIFEST_NAME
from .pipeline.workspace import RUN_CONFIG_NAME
from .places import Place, path_or_none, run_folder_of, store_folder_of, typed_settings, workspace_at
from .shown import text_table


class FinderOptions(TypedDict, total=False):
    """How an archive is opened, called as the options of ``tvr search``."""

    store: Store | Place | None
    """Features to search, instead of those the run was trained on."""
    split: str | None
    """Only this split. Default: every video."""
    candidates: int | None
    """Compare only so many, which an index names."""
    root: Place | None
    """Where the videos are, if they have moved or another user made the store."""
    data: Mapping[str, Any] | None
    """Settings of the data set, then."""
    model: str | None
    pretrained: str | None
    """The encoder's checkpoint, if it has moved."""
    workspace: Place | None


class SearchOptions(FinderOptions, total=False):
    """What ``search`` takes beside what is looked for."""

    top_k: int
    """How many are wanted. Default: 5."""
    moments: bool
    """The best moments of all videos, of which one may have several, instead of the best videos."""
    video: Place | None
    """A video file: which videos look like it."""
    image: Place | None
    """A picture: which videos look like it."""


class Hits(Sequence[FoundVideo]):
    """What was found, the best first; a notebook shows the best frame of each."""

    def __init__(self, query: str, answer: Answer) -> None:
        self.query = query
        self.answer = answer

    @property
    def remark(self) -> str:
        """What must be known of the hits as a whole, such as that nothing stands out; empty where there is nothing."""
        return self.answer.remark

    def __getitem__(self, index: Any) -> Any:
        return self.answer.hits[index]

    def __len__(self) -> int:
        return len(self.answer.hits)

    def __iter__(self) -> Iterator[FoundVideo]:
        return iter(self.answer.hits)

    def __repr__(self) -> str:
        return f"Hits({self.query!r}: {', '.join(hit.video_id for hit in self)})"

    def __str__(self) -> str:
        rows = [
            [str(rank), f"{hit.score:.3f}", hit.video_id, str(hit.moment), str(hit.path or "")]
            for rank, hit in enumerate(self, start=1)
        ]
        table = text_table(("", "score", "video", "moment", "file"), rows)
        return f"{self.remark}\n{table}" if self.remark else table

    def _repr_html_(self) -> str:
        return hits_html(self.query, self.remark, self.answer.hits)


class Finder:
    """An archive that stays open: its encoder is loaded once, for many queries.

    Args:
        archive: head and videos.
        named: where the files are, if the store does not say.
        candidates: how many videos the head compares, which an index names; None: all.
    """

    def __init__(self, archive: Archive, named: Named, candidates: int | None = None) -> None:
        self.archive = archive
        videos = _videos(archive.store.folder, named)
        self._searcher = Searcher.open(archive, Catalogue(archive.store, videos), candidates)

    def search(self, text: str, *, top_k: int = 5, moments: bool = False) -> Hits:
        """The videos, or moments, that a sentence describes.

        Raises:
            UsageError: the text is empty, or ``top_k`` is less than 1.
        """
        if not text.strip():
            raise UsageError("nothing to search for: the text is empty")
        return Hits(text, self._searcher.by_text(text, Wish(top_k, by="moment" if moments else "video")))

    def like(self, *, video: Place | None = None, image: Place | None = None, top_k: int = 5) -> Hits:
        """The videos that look like a video or a picture.

        Raises:
            UsageError: not exactly one of the two is given.
            DecodeError: the file cannot be decoded.
        """
        if (video is None) == (image is None):
            raise UsageError("give a video or a picture (image), one of them")
        file = path_or_none(image if video is None else video)
        assert file is not None, "one of them is given"
        looks = self.archive.image(file) if video is None else self.archive.video(file)
        return Hits(str(file), self._searcher.by_look(looks, Wish(top_k)))

    def __repr__(self) -> str:
        videos, store = counted(self.archive.features.num_videos, "video"), self.archive.store.folder
        return f"Finder({videos} of {str(store)!r}, head {self.archive.name})"


def open_finder(where: Run | Store | Place | None = None, **options: Unpack[FinderOptions]) -> Finder:
    """Open an archive for many queries.

    Args:
        where: a run, or a store, which is searched zero-shot; or the folder or name of one. None: the newest store.
        **options: see ``FinderOptions``.

    Raises:
        StoreError: the features are not there, or are another encoder's than the run was trained on.
        WeightsError: the encoder's weights are missing, or are not those that made the store.
        UsageError: nothing has that name, or the store names files that this user did not.
    """
    place = workspace_at(options.get("workspace"))
    given = options.get("store")
    store = (
        None if given is None else given.folder if isinstance(given, Store) else store_folder_of(place, given)
    )
    run: Path | None = None
    if isinstance(where, Run):
        run = where.folder
    elif isinstance(where, Store):
        store = where.folder
    elif where is None:
        store = store or place.find_store(None).folder
    elif (Path(where) / MANIFEST_NAME).is_file():
        store = Path(where)
    elif (Path(where) / RUN_CONFIG_NAME).is_file():
        run = Path(where)
    else:
        run, store = _by_name(where, options, store)
    named = Named(
        root=path_or_none(options.get("root")),
        settings=typed_settings(options.get("data")),
        model=options.get("model"),
        pretrained=options.get("pretrained"),
    )
    return Finder(open_archive(run, store, named, options.get("split")), named, options.get("candidates"))


def search(
    where: Run | Store | Place | None = None, text: str | None = None, **options: Unpack[SearchOptions]
) -> Hits:
    """Compare a sentence, a video or a picture with every video of a store, and give the best ones.

    What was opened for the last search stays open for the next one of the same archive.

    Args:
        where: a run, or a store, which is searched zero-shot; or the folder or name of one. None: the newest store.
        text: what the videos show.
        **options: see ``SearchOptions``.

    Raises:
        UsageError: nothing is looked for, or two things are.
        StoreError, WeightsError, DecodeError: as ``open_finder`` and ``Finder.like``.
    """
    opening: FinderOptions = {key: options[key] for key in FinderOptions.__annotations__ if key in options}  # pyright: ignore[reportAssignmentType]  # the keys are its own
    finder = _kept_open(where, opening)
    top_k = options.get("top_k", 5)
    video, image = options.get("video"), options.get("image")
    if text is not None:
        if video is not None or image is not None:
            raise UsageError("one query at a time: a text, a video or a picture (image)")
        return finder.search(text, top_k=top_k, moments=options.get("moments", False))
    return finder.like(video=video, image=image, top_k=top_k)


@dataclass(frozen=True, slots=True)
class _KeptOpen:
    """What the last search opened."""

    asked: str
    finder: Finder
    written: float
    """When the newest of its store's and run's files was written."""


_LAST: list[_KeptOpen] = []


def _kept_open(where: Run | Store | Place | None, options: FinderOptions) -> Finder:
    named = {key: getattr(value, "folder", value) for key, value in options.items()}
    asked = repr((type(where), getattr(where, "folder", where), sorted(named.items()), Path.cwd()))
    for last in _LAST:
        if last.asked == asked and last.written == _written(last.finder):
            return last.finder
    _LAST.clear()  # before another one is opened: both may not fit into memory
    finder = open_finder(where, **options)
    if where is not None:  # the newest store may be another one by the next search
        _LAST.append(_KeptOpen(asked, finder, _written(finder)))
    return finder


def _written(finder: Finder) -> float:
    archive = finder.archive
    of_store = store_entry(archive.store.folder).written
    return of_store if archive.run is None else max(of_store, RunEntry.of(archive.run).written)


def _by_name(where: Place, options: FinderOptions, store: Path | None) -> tuple[Path | None, Path | None]:
    place = workspace_at(options.get("workspace"))
    try:
        return run_folder_of(place, where), store
    except UsageError as of_run:
        try:
            return None, store_folder_of(place, where)
        except UsageError:
            raise of_run from None


def _videos(folder: Path, named: Named) -> Mapping[str, Video]:
    """Hits have no paths where nobody knows where the files are."""
    try:
        return videos_of_store(folder, named, "search")
    except TvrError:
        return {}
