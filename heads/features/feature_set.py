"""The features of one split, ready to be cut into batches: index selections, no workers, no files."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ...data.base import Protocol
from ...data.contracts.errors import DataError, counted
from ...pipeline.store.rows import TextRows, VideoRows
from ..base import FeatureShape, TextFeatures, VideoFeatures
from .frame_sampling import uniform
from .items import TextItems, VideoItems, text_items, video_items
from .rows import Device, Rows

_SHARE_OF_FREE_MEMORY = 0.6
"""Features stay on the device where they take no more than this; the rest is for the head and its
activations."""


@dataclass(frozen=True)
class Origin:
    """Where features come from; goes into every record and beside every figure."""

    split: str = "unnamed"
    protocol: Protocol = "single"
    expected_videos: int | None = None
    """How many videos the published split has; None: as many as were given."""
    limit: int | None = None
    """To how many videos of all splits the store was limited; None: it was not."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Why a video has no frames, by id."""
    logit_scale: float = 100.0
    """The encoder's own scale of cosines."""
    attention_heads: int | None = None
    """Of the encoder's text tower; None: unknown."""
    num_frames: int | None = None
    """How many frames heads usually see on this data set; None: all that are stored."""
    num_words: int | None = None
    """How many words heads usually see on this data set; None: all that are stored."""
    store: Mapping[str, Any] = field(default_factory=dict)
    """What identifies the store: data set, model, weights, sampling."""


class FeatureSet:
    """Videos with frames, the texts that describe them, and what was left out.

    Videos without frames (failed, missing) can be neither found nor learnt from. They are excluded together
    with their texts, by id and reason, so that every figure can say how many it does not cover.

    Raises:
        DataError: no video has frames.
    """

    def __init__(
        self, videos: VideoRows | VideoItems, texts: TextRows | TextItems, origin: Origin = Origin()
    ) -> None:
        self.origin = origin
        self.device = torch.device("cpu")
        self.neighbours: Int[Tensor, "video neighbour"] | None = None
        """The videos most alike to each, once somebody has looked for them."""
        videos = video_items(videos) if isinstance(videos, VideoRows) else videos
        kept = videos.frames.lengths.nonzero().flatten()
        ids = tuple(videos.ids[i] for i in kept.tolist())
        self._videos = VideoItems(ids, videos.frames.chosen(kept), videos.frame_seconds)
        self._frame_starts = self.frames.starts
        self.excluded_videos = {
            i: origin.reasons.get(i, "has no frames") for i in sorted(set(videos.ids) - set(self.video_ids))
        }
        if not self.video_ids:
            raise DataError(
                f"split {origin.split!r}: none of its {counted(len(videos.ids), 'video')} has frames. "
                "`tvr inspect` says which videos failed and why."
            )
        self._take_texts(text_items(texts) if isinstance(texts, TextRows) else texts)

    def _take_texts(self, texts: TextItems) -> None:
        places = {video: place for place, video in enumerate(self.video_ids)}
        owner = torch.tensor([places.get(video, -1) for video in texts.video_ids], dtype=torch.long)
        kept = (owner >= 0).nonzero().flatten()
        self.text_video: Int[Tensor, " text"] = owner[kept]
        """Which video each text describes."""
        self._texts = texts.chosen(kept)
        self._word_starts = self.words.starts
        self.excluded_queries = {
            text: f"its video {video!r} {self.excluded_videos.get(video, 'is not in the split')}"
            for text, video in zip(texts.ids, texts.video_ids, strict=True)
            if video not in places
        }

    @property
    def video_ids(self) -> tuple[str, ...]:
        """Videos that can be found, in the order of the split."""
        return self._videos.ids

    @property
    def frames(self) -> Rows:
        """The frames of each video."""
        return self._videos.frames

    @property
    def text_ids(self) -> tuple[str, ...]:
        """Texts that describe one of the videos."""
        return self._texts.ids

    @property
    def texts(self) -> tuple[str, ...]:
        """What each of them says."""
        return self._texts.texts

    @property
    def words(self) -> Rows:
        """The words of each text."""
        return self._texts.words

    @property
    def parts(self) -> Rows | None:
        """The sentences of each text, for paragraphs."""
        return self._texts.parts

    @property
    def sentence_row(self) -> Int[Tensor, " text"]:
        """Which of a text's own words is the pooled one."""
        return self._texts.sentence_row

    @property
    def num_videos(self) -> int:
        """Videos that can be found."""
        return len(self.video_ids)

    @property
    def num_texts(self) -> int:
        """Texts that describe one of them."""
        return len(self.text_ids)

    @property
    def dim(self) -> int:
        """Width of a feature."""
        return int(self.frames.values.shape[1])

    @property
    def has_words(self) -> bool:
        """Whether texts have word features beside the pooled one."""
        return self.words.longest > 1

    @property
    def captions_per_video(self) -> Int[Tensor, " video"]:
        """How many texts describe each video."""
        return torch.bincount(self.text_video, minlength=self.num_videos)

    @property
    def num_bytes(self) -> int:
        """Size of all features."""
        return sum(rows.num_bytes for rows in (self.frames, self.words, self.parts) if rows is not None)

    @property
    def is_resident(self) -> bool:
        """Whether batches are cut on the device itself."""
        return self.frames.is_resident and self.words.is_resident

    def shape(self, num_frames: int | None = None, num_words: int | None = None) -> FeatureShape:
        """What a head must know of these features.

        Args:
            num_frames: the most frames it shall see; None: what is usual on the data set.
            num_words: the most words it shall see; None: what is usual on the data set.
        """
        return FeatureShape(
            dim=self.dim,
            num_frames=num_frames or self.origin.num_frames or self.frames.longest,
            num_words=num_words or self.origin.num_words or self.words.longest,
            logit_scale=self.origin.logit_scale,
            attention_heads=self.origin.attention_heads,
        )

    def placed_on(self, device: Device) -> "FeatureSet":
        """The same set for batches on ``device``: resident there where it fits, else copied batch by
        batch."""
        device = torch.device(device)
        resident = self.num_bytes <= _SHARE_OF_FREE_MEMORY * _free_bytes(device)
        placed = FeatureSet.__new__(FeatureSet)
        placed.__dict__.update(self.__dict__)
        placed.device = device
        placed._videos = self._videos.placed_on(device, resident=resident)
        placed._texts = self._texts.placed_on(device, resident=resident)
        return placed

    def cut(
        self, videos: Int[Tensor, " window"], first: Int[Tensor, " window"], length: Int[Tensor, " window"]
    ) -> "FeatureSet":
        """The same values seen as windows of videos, without the texts.

        Args:
            videos: of which video each is a window; one may have several.
            first: the stored frame of that video with which it begins.
            length: how many frames it has.
        """
        ids = tuple(self.video_ids[i] for i in videos.tolist())
        frames = Rows(self.frames.values, self.frames.starts[videos] + first, length, self.frames.device)
        windows = VideoItems(ids, frames, self._videos.frame_seconds)
        cut = FeatureSet(windows, self._texts.chosen(torch.zeros(0, dtype=torch.long)), self.origin)
        cut.device = self.device
        return cut

    def video_batch(
        self,
        items: Int[Tensor, " item"],
        num_frames: int,
        generator: torch.Generator | None = None,
        share: slice = slice(None),
    ) -> VideoFeatures:
        """Frames of some videos, as ``VideoItems.batch`` cuts them; indices into ``video_ids``."""
        return self._videos.batch(items, num_frames, generator, share)

    def text_batch(
        self, items: Int[Tensor, " item"], num_words: int, share: slice = slice(None)
    ) -> TextFeatures:
        """Words of some texts, as ``TextItems.batch`` cuts them; indices into ``text_ids``."""
        return self._texts.batch(items, num_words, share)

    def frame_seconds(self, item: int, num_frames: int) -> Float[Tensor, " frame"]:
        """When the frames that ``video_batch`` gives of a video without a generator are shown."""
        positions, mask = uniform(self.frames.lengths[[item]], num_frames)
        return torch.as_tensor(
            self._videos.frame_seconds[(self._frame_starts[item] + positions[mask]).numpy()]
        )

    def token_ids(self, item: int, num_words: int) -> Int[Tensor, " word"]:
        """The tokens of the words that ``text_batch`` gives of a text."""
        positions, mask = self._texts.word_positions(torch.tensor([item]), num_words)
        return torch.as_tensor(self._texts.token_ids[(self._word_starts[item] + positions[mask]).numpy()])

    def __str__(self) -> str:
        return self._in_words(counted)

    @property
    def recorded(self) -> str:
        """The same as every version has written it into its runs, which are known again by it: always in the plural."""
        return self._in_words(lambda number, noun: f"{number:,} {noun}s")

    def _in_words(self, count: Callable[[int, str], str]) -> str:
        left_out = Counter(self.excluded_videos.values())
        reasons = "; ".join(f"{number:,} {reason}" for reason, number in left_out.most_common(3))
        counts = (
            f"{count(len(self.excluded_videos), 'video')} and {count(len(self.excluded_queries), 'text')}"
        )
        excluded = f" ({counts} excluded: {reasons})"
        found = f"{self.origin.split}: {count(self.num_videos, 'video')}, {count(self.num_texts, 'text')}"
        return found + (excluded if self.excluded_videos else "")


def _free_bytes(device: torch.device) -> float:
    """Memory that is free on a GPU; on a CPU the values are there already, in memory or mapped."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else 0.0
