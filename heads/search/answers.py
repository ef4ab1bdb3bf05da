"""What a search is asked and what it answers, complete enough to be shown: each video with its file, its captions and
its best moment.
"""

from dataclasses import dataclass
from typing import Any, Literal

from jaxtyping import Bool
from torch import Tensor

from ...data.base import Video
from ...data.contracts.errors import counted
from ...data.sources.video_file import VideoFile
from .moments import Moment

By = Literal["video", "moment"]


@dataclass(frozen=True, slots=True)
class Wish:
    """Which part of the answer is wanted."""

    top_k: int = 5
    offset: int = 0
    """How many of the best are passed over."""
    by: By = "video"
    """video: each video once, by its best window. moment: stretches of videos, of which one may have several."""
    among: Bool[Tensor, " video"] | None = None
    """True where a video of the gallery may be found; None: all."""


FIRST_FEW = Wish()
"""The best videos, as many as are looked at without asking for more."""


@dataclass(frozen=True, slots=True)
class FoundVideo:
    """One video that was found."""

    video_id: str
    score: float
    """Cosine scale."""
    moment: Moment
    """Within the file."""
    captions: tuple[str, ...]
    """As the store has them; none where it has none."""
    video: Video | None
    """As the data set has it; None where nobody knows."""
    number: int = -1
    """Its place in the store."""
    deviations: float | None = None
    """How many standard deviations the score lies above the mean of this query's scores; None: not known."""
    share_right: float | None = None
    """Which share of hits of such a score were right on the validation split; None: not known."""

    @property
    def seconds(self) -> float:
        """When its best frame is shown, in its file."""
        return self.moment.frame_seconds

    @property
    def path(self) -> VideoFile | None:
        """The file, if it is known and there."""
        return None if self.video is None or self.video.path is None else self.video.path.absolute()

    def record(self) -> dict[str, Any]:
        """As ``--json`` has it."""
        clip = self.video
        return {
            "video": self.video_id,
            "score": self.score,
            "deviations": self.deviations,
            "path": None if self.path is None else str(self.path),
            "captions": list(self.captions),
            "frame_seconds": self.moment.frame_seconds,
            "start_seconds": self.moment.start_seconds,
            "end_seconds": self.moment.end_seconds,
            "clip_start_seconds": None if clip is None else clip.start_seconds,
            "clip_end_seconds": None if clip is None else clip.end_seconds,
        }


@dataclass(frozen=True, slots=True)
class Answer:
    """What a query found."""

    hits: tuple[FoundVideo, ...]
    """The wanted part, best first."""
    searched: int
    """How many videos were there to be found."""
    compared: int
    """How many of them the head compared."""
    nothing_stands_out: str | None
    """Why the best hit of all is worth little; empty: it stands out; None: not known."""
    own: tuple["OwnVideo", ...] = ()
    """Where the videos stand that the text was written for, if it is a caption of the store."""

    @property
    def remark(self) -> str:
        """What a person must know of the answer as a whole; empty where there is nothing."""
        remarks: list[str] = []
        if not self.searched:
            remarks.append("no video passes the filters")
        elif self.nothing_stands_out:
            remarks.append(f"nothing stands out: {self.nothing_stands_out}")
        if 0 < self.compared < self.searched:
            remarks.append(
                f"the head compared the {self.compared:,} nearest of {counted(self.searched, 'video')}"
            )
        return "; ".join(remarks)


@dataclass(frozen=True, slots=True)
class OwnVideo:
    """A video that a query was written for."""

    video_id: str
    number: int
    rank: int | None
    """1 for the best; None where it was not compared."""
    score: float | None
