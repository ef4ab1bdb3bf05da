"""What a search answers, complete enough to be shown: each video with its file, its captions and its best moment.

The command line, programs and pages ask here, so that nothing is found twice in two ways.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ...data.base import Video
from ..base import VideoFeatures
from ..evaluation.scores import ITEMS_PER_BATCH
from ..layers.padding import l2_normalise
from .archive import Archive
from .coarse import coarse_of
from .exact import Hit, check_top_k
from .moments import Moment, moment_of, scores_of_frames


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

    @property
    def path(self) -> Path | None:
        """The file, if it is known and there."""
        return None if self.video is None or self.video.path is None else self.video.path.absolute()

    def record(self) -> dict[str, Any]:
        """As ``--json`` has it."""
        clip = self.video
        return {
            "video": self.video_id,
            "score": self.score,
            "path": None if self.path is None else str(self.path),
            "captions": list(self.captions),
            "frame_seconds": self.moment.frame_seconds,
            "start_seconds": self.moment.start_seconds,
            "end_seconds": self.moment.end_seconds,
            "clip_start_seconds": None if clip is None else clip.start_seconds,
            "clip_end_seconds": None if clip is None else clip.end_seconds,
        }


def by_text(
    archive: Archive, text: str, top_k: int, candidates: int | None, videos: Mapping[str, Video]
) -> list[FoundVideo]:
    """The best videos for a sentence, best first; see ``Archive.search``.

    Args:
        archive: where to look.
        text: what is looked for.
        top_k: how many videos are wanted.
        candidates: how many of the index's nearest the head compares; None: every video.
        videos: the data set's, by id, as far as they are known.
    """
    query, head = archive.text(text), archive.head
    hits = archive.search(query, top_k, candidates)

    def scores(item: int) -> Float[Tensor, " frame"]:
        return scores_of_frames(
            head, query, archive.features.video_batch(torch.tensor([item]), _most(archive))
        )

    return _completed(archive, hits, scores, videos)


def by_look(
    archive: Archive, query: VideoFeatures, top_k: int, videos: Mapping[str, Video]
) -> list[FoundVideo]:
    """The videos that look most alike, best first: by the cosine of the head's global vectors of videos, or of the
    means of their frames where the head has none.

    Args:
        archive: where to look.
        query: a video or a picture as the head sees it, alone.
        top_k: how many videos are wanted.
        videos: the data set's, by id, as far as they are known.

    Raises:
        UsageError: ``top_k`` is less than 1.
    """
    check_top_k(top_k)
    coarse, features = coarse_of(archive.head), archive.features
    asked = coarse.of_videos(query)
    parts = [
        asked @ coarse.of_videos(features.video_batch(items, archive.head.shape.num_frames)).T
        for items in torch.arange(features.num_videos).split(ITEMS_PER_BATCH)
    ]
    scores = torch.cat(parts, dim=1)[0].cpu()
    best = scores.argsort(descending=True, stable=True)[:top_k].tolist()
    hits = [Hit(features.video_ids[place], float(scores[place])) for place in best]
    look = l2_normalise(l2_normalise(query.frames[0].float()).mean(dim=0))

    def of_frames(item: int) -> Float[Tensor, " frame"]:
        frames = features.video_batch(torch.tensor([item]), _most(archive)).frames[0]
        return (l2_normalise(frames.float()) @ look).cpu()

    return _completed(archive, hits, of_frames, videos)


def _most(archive: Archive) -> int:
    """As many frames as the head sees: what it compares has a place for no more."""
    return archive.head.shape.num_frames


def _completed(
    archive: Archive, hits: Sequence[Hit], scores: Any, videos: Mapping[str, Video]
) -> list[FoundVideo]:
    features = archive.features
    place = {hit.video_id: -1 for hit in hits}
    place |= {name: item for item, name in enumerate(features.video_ids) if name in place}
    captions = _captions(archive, list(place))
    return [
        FoundVideo(
            hit.video_id,
            hit.score,
            moment_of(scores(item), features.frame_seconds(item, _most(archive)).tolist()),
            captions.get(hit.video_id, ()),
            videos.get(hit.video_id),
        )
        for hit in hits
        for item in [place[hit.video_id]]
    ]


def _captions(archive: Archive, video_ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    if not archive.store.shard_names("text"):
        return {}
    found: dict[str, tuple[str, ...]] = {}
    rows = archive.store.texts(video_ids)
    for video, text in zip(rows.video_ids, rows.texts, strict=True):
        found[video] = (*found.get(video, ()), text)
    return found
