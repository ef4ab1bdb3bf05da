"""A folder to which videos come while it is watched: what is still being written waits for the next look."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace

from ...data.base import Dataset, Split, Video
from ...data.contracts.errors import DataError, UsageError
from ...data.sources.video_file import VideoFile, file_on_disk

OnProblem = Callable[[DataError], None]
"""Told why an archive cannot be read now: its manifest may be half-written, its folder empty."""

_Facts = tuple[int, int] | None
"""Bytes and time of the last change of a file; None: it cannot be asked."""


@dataclass
class Watched:
    """An archive, looked at again and again."""

    load: Callable[[], Dataset]
    poll_seconds: float
    """Between two looks."""
    _before: dict[VideoFile, _Facts] = field(default_factory=dict[VideoFile, _Facts])
    """What each file was at the last look; of a member of a tar file what the tar was."""
    _taken: object = None
    """Everything that the data set was when it was last given."""
    _problem: str = ""

    def __post_init__(self) -> None:
        if not self.poll_seconds > 0:
            raise UsageError(f"--poll-seconds must be more than 0, got {self.poll_seconds:g}")

    def first(self, on_problem: OnProblem) -> Dataset:
        """What there is; where there is nothing yet, what there is first.

        Args:
            on_problem: told once of each reason why there is nothing.

        Raises:
            UsageError: it is no archive of one's own.
        """
        return self.next((), on_problem)

    def next(self, known: Collection[str], on_problem: OnProblem) -> Dataset:
        """What there is once anything is other than when this was last asked.

        Args:
            known: ids of videos that have been extracted; one whose file is being written anew stays as it is.
            on_problem: told once of each reason why the archive cannot be read now.
        """
        while True:
            dataset = self._looked_at(set(known), on_problem)
            if dataset is not None:
                seen = _everything(dataset, self._before)
                if seen != self._taken:
                    self._taken = seen
                    return dataset
            time.sleep(self.poll_seconds)

    def _looked_at(self, known: Collection[str], on_problem: OnProblem) -> Dataset | None:
        """The archive as it is now, without files that are still being written; None where there is nothing to take."""
        try:
            dataset = self.load()
        except DataError as error:
            if str(error) != self._problem:
                on_problem(error)
            self._problem = str(error)
            return None
        self._problem = ""
        if not dataset.is_archive:
            raise UsageError(
                f"--watch is for an archive of your own, and what {dataset.name} holds does not change"
            )
        settled = self._settled(dataset)
        videos = {
            i: video if settled(video) else replace(video, path=None)
            for i, video in dataset.videos.items()
            if settled(video) or i in known
        }
        return _with_videos(dataset, videos) if any(video.path for video in videos.values()) else None

    def _settled(self, dataset: Dataset) -> Callable[[Video], bool]:
        """Whether a video's file has been the same for as long as lies between two looks."""
        now = {video.path: _facts(video.path) for video in dataset.videos.values() if video.path}
        before, self._before = self._before, now
        then = time.time_ns() - int(self.poll_seconds * 1e9)

        def settled(video: Video) -> bool:
            if video.path is None:
                return True
            facts = now[video.path]
            # A file that was there before the last look, or that was last written before it could have been one.
            return facts is None or before.get(video.path) == facts or facts[1] <= then

        return settled


def _facts(file: VideoFile) -> _Facts:
    """Of one on a server nothing: what is there is whole, and nobody is asked for it again and again."""
    try:
        place = file_on_disk(file)
        found = place and place.stat()
    except OSError:  # to say why is for decoding
        return None
    return found and (found.st_size, found.st_mtime_ns)


def _with_videos(dataset: Dataset, videos: dict[str, Video]) -> Dataset:
    """The data set with these of its videos alone."""
    members = {
        name: tuple(i for i in split.video_ids if i in videos) for name, split in dataset.splits.items()
    }
    return replace(
        dataset,
        videos=videos,
        captions=[caption for caption in dataset.captions if caption.video_id in videos],
        splits={
            name: Split(ids, len(ids), dataset.splits[name].source) for name, ids in members.items() if ids
        },
    )


def _everything(dataset: Dataset, facts: dict[VideoFile, _Facts]) -> object:
    """What may not change without another look at the store."""
    files = {i: (video, facts.get(video.path) if video.path else None) for i, video in dataset.videos.items()}
    return files, list(dataset.captions), dict(dataset.splits), dict(dataset.annotation_digests)
