"""How far an extraction is: what is told after every video and after every few texts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from .plan import ShardPlan, TextShardPlan, VideoShardPlan
from .probe.pairs import ProbeResult
from .store.generations.record import Generation
from .store.receipts import Receipt


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a stage is; sent after every video and after every few texts."""

    stage: Literal["files", "growth", "probe", "videos", "texts"]
    """``files``: looking at those of videos that may be untrusted, before anything is extracted. ``growth``: a store
    that is there begins another generation. ``probe``: the encoder was shown rendered stills."""
    done: int
    total: int
    frames: int = 0
    failed: int = 0
    shards: int = 0
    """Where workers do them: how many have ended."""
    workers: int = 0
    """Of a cluster; 0 where this process does the work."""
    probe: ProbeResult | None = None
    """What the encoder made of them."""
    generation: Generation | None = None
    """What is to come, and what is gone."""

    def advanced(self, done: int, frames: int = 0, failed: int = 0, *, workers: int = 0) -> "Progress":
        """What it is after so many more; with ``workers``, after another shard of theirs."""
        return replace(
            self,
            done=self.done + done,
            frames=self.frames + frames,
            failed=self.failed + failed,
            shards=self.shards + bool(workers),
            workers=workers,
        )


OnProgress = Callable[[Progress], None]
"""Told how far a stage is, from the thread that extracts."""


class Report:
    """Counts videos as they leave the decoder, and texts as they leave the encoder."""

    def __init__(self, shards: Sequence[ShardPlan], on_progress: OnProgress) -> None:
        self.on_progress = on_progress
        self.videos = Progress("videos", 0, _num_videos(shards))
        self.texts = Progress("texts", 0, _num_texts(shards))

    def add_shard(self, shard: ShardPlan, receipt: Receipt, workers: int) -> None:
        """A whole shard, done by one of so many workers."""
        if isinstance(shard, TextShardPlan):
            self.texts = self.texts.advanced(receipt.items, workers=workers)
            self.on_progress(self.texts)
        else:
            failed = receipt.status.get("failed", 0) - len(receipt.missing)
            done, frames = len(shard.extracted), receipt.rows - shard.frames_taken_over
            self.videos = self.videos.advanced(done, frames, failed, workers=workers)
            self.on_progress(self.videos)

    def add_video(self, frames: int, failed: bool) -> None:
        """A video with so many frames."""
        self.videos = self.videos.advanced(1, frames, int(failed))
        self.on_progress(self.videos)

    def add_texts(self, count: int) -> None:
        """So many more texts."""
        self.texts = self.texts.advanced(count)
        self.on_progress(self.texts)


def _num_videos(shards: Sequence[ShardPlan]) -> int:
    """How many videos of these shards are extracted, missing ones too."""
    return sum(len(shard.extracted) for shard in shards if isinstance(shard, VideoShardPlan))


def _num_texts(shards: Sequence[ShardPlan]) -> int:
    """How many captions these shards hold."""
    return sum(len(shard.captions) for shard in shards if isinstance(shard, TextShardPlan))
