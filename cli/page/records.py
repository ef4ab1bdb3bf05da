"""What the page's API answers, field by field: these classes are its OpenAPI document."""

from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from ...data.contracts.cautions import Caution
from ...heads.search.alignment import Alignment
from ...heads.search.catalogue import CataloguedVideo
from ...heads.search.moments import Moment, frame_borders
from .written_words import Word

LookedFor = Literal["text", "video", "frame", "picture"]
_Video = TypeVar("_Video", bound="VideoRecord")


@dataclass(frozen=True, slots=True)
class CautionRecord:
    """What must be known of the encoder before any score is read."""

    label: str
    sentence: str

    @classmethod
    def of(cls, caution: Caution | None) -> "CautionRecord | None":
        """None where there is nothing to know."""
        return None if caution is None else cls(caution.label, caution.sentence)


@dataclass(frozen=True, slots=True)
class RunName:
    """A run that can be asked; ``zero-shot`` is mean pooling without one."""

    name: str
    head: str
    trained: str | None


@dataclass(frozen=True, slots=True)
class PageAbout:
    """What is searched, and by what."""

    version: str
    dataset: str
    store: str
    encoder: str
    videos: int
    with_frames: int
    captions: int
    splits: list[str]
    statuses: list[str]
    folders: list[str]
    run: str
    runs: list[RunName]
    caution: CautionRecord | None
    notes: list[str]
    has_captions: bool
    longest_query_words: int
    """Tokens that the encoder reads of a text."""
    examples: list[str]


@dataclass(frozen=True, slots=True)
class QueryRecord:
    """What was looked for."""

    kind: LookedFor
    text: str | None = None
    video: int | None = None
    seconds: float | None = None
    picture: str | None = None
    cut: bool = False
    """Whether the text is longer than the encoder reads."""
    read: str = ""
    """The part of the text that was read, where it was cut."""


@dataclass(frozen=True, slots=True)
class MomentRecord:
    """Seconds of a file."""

    frame_seconds: float
    start_seconds: float
    end_seconds: float

    @classmethod
    def of(cls, moment: Moment) -> "MomentRecord":
        """The same."""
        return cls(moment.frame_seconds, moment.start_seconds, moment.end_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoRecord:
    """One video of the store."""

    video: int
    id: str
    file: str | None
    folder: str | None
    status: str
    reason: str
    splits: list[str]
    captions: list[str]
    duration_seconds: float | None
    clip: list[float | None] | None
    """Where it begins and ends within its file; None where it is the whole file."""
    frames: int
    """How many are cached."""

    @classmethod
    def of(cls: type[_Video], one: CataloguedVideo, **more: Any) -> _Video:
        """What the page shows of a video, which is never where its file lies."""
        clip = one.video
        is_part = clip is not None and (clip.start_seconds > 0 or clip.end_seconds is not None)
        return cls(
            video=one.number,
            id=one.id,
            file=one.file,
            folder=None if one.path is None else one.folder,
            status=one.status.status,
            reason=one.status.reason,
            splits=list(one.splits),
            captions=list(one.captions),
            duration_seconds=one.duration_seconds,
            clip=[clip.start_seconds, clip.end_seconds] if clip is not None and is_part else None,
            frames=one.status.frames,
            **more,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoDetail(VideoRecord):
    """One video, and whether it can be played."""

    frame_seconds: list[float]
    path_known: bool
    trouble: str
    """Why it cannot be played; empty where it can."""
    moved: bool
    """Whether its file was found elsewhere below the root, by name and size."""


@dataclass(frozen=True, slots=True)
class PlaceRecord:
    """How a score stands among those of its query."""

    share_below: float
    """Of the videos that were searched."""
    deviations: float | None
    """How many standard deviations it lies above their mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HitRecord(VideoRecord):
    """One video, or moment, that was found."""

    rank: int
    score: float
    place: PlaceRecord | None
    """None of a moment: scores of few frames are not compared with those of videos."""
    share_right: float | None
    """Which share of validation's hits of such a score were right."""
    moment: MomentRecord


@dataclass(frozen=True, slots=True)
class OwnVideoRecord:
    """Where the video stands that the query was written for."""

    video: int
    rank: int | None
    """None where the head did not compare it."""
    score: float | None


@dataclass(frozen=True, slots=True)
class SearchRecord:
    """What a query found."""

    query: QueryRecord
    run: str
    head: str
    by: Literal["video", "moment"]
    searched: int
    compared: int
    offset: int
    stands_out: bool | None
    remark: str
    true_video: OwnVideoRecord | None
    """The best of those that the text was written for, where it is a caption of the store."""
    calibrated_on: str | None
    """Of what ``share_right`` is a share."""
    uncalibrated: str
    """Why nobody knows what a score is worth; empty where it is known or nothing is said of it."""
    hits: list[HitRecord]


@dataclass(frozen=True, slots=True)
class PhraseRecord:
    """A phrase of the head: how much each word counts in it, and how well it matches each frame."""

    words: list[int]
    """Those that count at least half as much as the one that counts most."""
    weights: list[float]
    curve: list[float]


@dataclass(frozen=True, slots=True)
class SpanRecord:
    """A stretch of a video that matches, with the head's score of its frames alone."""

    start_seconds: float
    end_seconds: float
    frame_seconds: float
    score: float


@dataclass(frozen=True, slots=True)
class ClipRecord:
    """From the first to the last frame that counts in a clip of the head."""

    start_seconds: float
    end_seconds: float


@dataclass(frozen=True, slots=True)
class AlignmentRecord:
    """What the head sees in one video for a text."""

    words: list[str]
    frame_seconds: list[float]
    borders: list[float]
    """Where each frame's time begins, and where the last one's ends."""
    is_of_head: bool
    """Whether words and frames are compared as the head does; else the stored features are."""
    curve: list[float]
    word_scores: list[list[float]]
    score: float
    """Of the whole text with the whole video."""
    scores_without: list[float]
    """The same without each of the words; none where there is but one word, or too many."""
    phrases: list[PhraseRecord]
    clips: list[ClipRecord]
    """What the head gathers frames into."""
    spans: list[SpanRecord]

    @classmethod
    def of(
        cls, found: Alignment, words: list[Word], spans: list[tuple[Moment, float]], scores: list[float]
    ) -> "AlignmentRecord":
        """By the words as they are written: a word's curve is the mean of its tokens', its weight their sum.

        Args:
            found: by tokens.
            words: of the text.
            spans: of the video, best first.
            scores: of the whole text, then without each word.
        """
        assert found.curve is not None, "every alignment has a curve"
        phrases: list[PhraseRecord] = []
        if found.phrases is not None and found.phrase_scores is not None:
            for weights, curve in zip(found.phrases, found.phrase_scores.tolist(), strict=True):
                shares = [float(weights[word.tokens].sum()) for word in words]
                heavy = [
                    place for place, share in enumerate(shares) if share > 0 and share >= max(shares) / 2
                ]
                phrases.append(PhraseRecord(heavy, shares, curve))
        return cls(
            words=[word.text for word in words],
            frame_seconds=found.frame_seconds,
            borders=frame_borders(found.frame_seconds),
            is_of_head=found.is_of_head,
            curve=found.curve.tolist(),
            word_scores=[found.scores[word.tokens].mean(dim=0).tolist() for word in words],
            score=scores[0],
            scores_without=scores[1:],
            phrases=phrases,
            clips=[ClipRecord(*span) for span in found.spans],
            spans=[
                SpanRecord(moment.start_seconds, moment.end_seconds, moment.frame_seconds, score)
                for moment, score in spans
            ],
        )


@dataclass(frozen=True, slots=True)
class VideoPage:
    """Some videos of the store."""

    total: int
    videos: list[VideoRecord]


@dataclass(frozen=True, slots=True)
class PictureRecord:
    """A picture that can be looked for."""

    picture: str


@dataclass(frozen=True, slots=True)
class PlayableRecord:
    """Whether a span of a video can be played now, and from where."""

    state: Literal["ready", "making", "failed", "missing"]
    kind: Literal["file", "proxy"] | None
    url: str | None
    type: str | None
    begins_at: float
    """The second of the file at which what is played begins."""
    ends_at: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why something was refused."""

    detail: str
