"""The rows of a shard of videos; their frames go to the encoder in batches that never depend on timing."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from .decoding.messages import READING_RULES
from .decoding.pool import Chunk, DecodedVideo
from .encoders.base import EncodedFrames, Encoder
from .plan import VideoShardPlan
from .store.patches import PatchSource, PatchSpool, SpooledPatches
from .store.shards import MISSING, VideoRow

OnVideo = Callable[[int, bool], None]
"""Told of each video how many frames it has and whether it failed."""

_KEPT = ("frame_seconds", "frame_index", "status", "reason", "decoder")


def video_rows(
    shard: VideoShardPlan, given: Iterator[Chunk | DecodedVideo], batches: "FrameBatches", on_video: OnVideo
) -> tuple[list[VideoRow], dict[str, float]]:
    """Rows of a shard in its order.

    Args:
        shard: the videos.
        given: what the decoding children give; chunks of videos of later shards may be among it.
        batches: of the whole run.
        on_video: told of every video.

    Returns:
        The rows, those of missing files in place of what is taken over, and the seconds that each stage took, by its
        name; see ``summary.STAGES``.
    """
    started, encoded_before = time.perf_counter(), batches.encode_seconds
    seconds = {"decode": 0.0, "resize": 0.0, "wait": 0.0}
    facts: dict[str, dict[str, Any]] = {}  # all of a video but its pixels, which the encoder has taken
    num_present = sum(video.path is not None for video in shard.extracted)
    while len(facts) < num_present:
        waiting_since = time.perf_counter()
        one = next(given)
        seconds["wait"] += time.perf_counter() - waiting_since
        if isinstance(one, Chunk):
            batches.add_chunk(one)
            continue
        batches.add(one)
        facts[one.id] = {name: getattr(one, name) for name in _KEPT}
        seconds["decode"] += one.decode_seconds
        seconds["resize"] += one.resize_seconds
        on_video(len(one.frame_index), one.status == "failed")
    features = batches.finished()
    rows: list[VideoRow] = []
    for video in shard.videos:
        if video.id in facts:
            features_of, facts_of = vars(features[video.id]), facts[video.id]
            rows.append(VideoRow(id=video.id, **features_of, **facts_of, reading_rules=READING_RULES))
        else:
            if video.id not in shard.taken_over:
                on_video(0, False)
            rows.append(row_without_frames(video.id, batches.encoder.identity.dim))
    seconds |= {"encode": batches.encode_seconds - encoded_before, "wall": time.perf_counter() - started}
    return rows, seconds


class FrameBatches:
    """Collects frames until a batch is full.

    A chunk of a video is a batch of its own and encoded when it comes; what is left of each video joins that of the
    others in the order of the videos. So the batches are the same however fast each video was decoded, and one
    that fails half-way changes no batch of another.

    Args:
        encoder: the frozen model.
        size: frames in a batch, and in a chunk.
        new_spool: makes a place for the patches of a shard; None where they are not wanted.
    """

    def __init__(
        self, encoder: Encoder, size: int, new_spool: Callable[[], PatchSpool] | None = None
    ) -> None:
        self.encoder, self.size, self._new_spool = encoder, size, new_spool
        self.encode_seconds = 0.0
        self._pending: tuple[Callable[[], EncodedFrames], _Sequence] | None = None
        self._chunks: dict[str, _Sequence] = {}
        self._begin_anew()

    def _begin_anew(self) -> None:
        # What is encoded of videos of later shards until this one is finished goes into this one's spool as well.
        self._spool = self._new_spool() if self._new_spool else None
        self._shared = self._sequence()
        self._num_shared = 0
        self._waiting: list[UInt8[np.ndarray, "frame height width 3"]] = []
        self._places: dict[str, list[tuple[_Sequence, int, int]]] = {}

    def _sequence(self) -> "_Sequence":
        return _Sequence(self.encoder.identity.dim)

    def add_chunk(self, chunk: Chunk) -> None:
        """Encode a chunk of a video, whenever it comes."""
        if chunk.number == 0:
            self._chunks[chunk.video_id] = self._sequence()
        self._encode(chunk.frames, self._chunks[chunk.video_id])

    def add(self, video: DecodedVideo) -> None:
        """Take the rest of the next video; full batches go to the encoder at once."""
        own, rest = self._chunks.pop(video.id, None), len(video.frames)
        places = [(own, 0, video.num_chunks * self.size)] if own and video.num_chunks else []
        self._places[video.id] = [*places, (self._shared, self._num_shared, self._num_shared + rest)]
        self._num_shared += rest
        if rest:
            self._waiting.append(video.frames)
        while sum(map(len, self._waiting)) >= self.size:
            waiting = np.concatenate(self._waiting)
            self._encode(waiting[: self.size], self._shared)
            self._waiting = [waiting[self.size :]]

    def finished(self) -> dict[str, "EncodedVideo"]:
        """Features by id of all videos added since this was last asked; the last batch may be smaller."""
        if sum(map(len, self._waiting)):
            self._encode(np.concatenate(self._waiting), self._shared)
        self._collect()
        features = {video_id: _joined(places) for video_id, places in self._places.items()}
        self._begin_anew()
        return features

    def _encode(self, frames: UInt8[np.ndarray, "frame height width 3"], sequence: "_Sequence") -> None:
        """Start on a batch, and only then wait for the one before: a GPU is never without work."""
        started = time.perf_counter()
        begun = self.encoder.begin_frames(frames, batch_size=self.size, patches=self._new_spool is not None)
        self.encode_seconds += time.perf_counter() - started
        self._collect()
        self._pending = begun, sequence

    def _collect(self) -> None:
        if self._pending is None:
            return
        started = time.perf_counter()
        finish, sequence = self._pending
        sequence.add(finish(), self._spool)
        self._pending = None
        self.encode_seconds += time.perf_counter() - started


@dataclass(frozen=True)
class EncodedVideo:
    """What the encoder made of one video."""

    frames: Float32[np.ndarray, "frame dim"]
    patches: SpooledPatches | None


class _Sequence:
    """Features in the order in which their frames were encoded, and where their patches lie."""

    def __init__(self, dim: int) -> None:
        self._features = [np.zeros((0, dim), np.float32)]
        self._stretches: list[tuple[PatchSource, int, int]] = []

    def add(self, encoded: EncodedFrames, spool: PatchSpool | None) -> None:
        self._features.append(encoded.frames)
        if spool is not None and encoded.patches is not None:
            first = spool.add(encoded.patches)
            self._stretches.append((spool, first, first + len(encoded.patches)))

    @property
    def features(self) -> Float32[np.ndarray, "frame dim"]:
        if len(self._features) > 1:
            self._features = [np.concatenate(self._features)]
        return self._features[0]

    def patches(self, first: int, last: int) -> Iterator[tuple[PatchSource, int, int]]:
        """The stretches that hold those of frames ``first`` to ``last - 1``."""
        begun = 0
        for spool, start, end in self._stretches:
            before, behind = max(first, begun), min(last, begun + end - start)
            if before < behind:
                yield spool, start + before - begun, start + behind - begun
            begun += end - start


def _joined(places: Sequence[tuple[_Sequence, int, int]]) -> EncodedVideo:
    """What lies at some places of sequences, one after the other."""
    frames = np.concatenate([sequence.features[first:last] for sequence, first, last in places])
    stretches = [one for sequence, first, last in places for one in sequence.patches(first, last)]
    return EncodedVideo(frames, SpooledPatches(stretches) if stretches else None)


def row_without_frames(
    video_id: str, dim: int, reason: str = MISSING, decoder: str = "", kind: type[np.floating] = np.float32
) -> VideoRow:
    """A video that has no features.

    Args:
        video_id: of the video.
        dim: width of features.
        reason: why it has none.
        decoder: that tried.
        kind: of the numbers of the shard's other rows.
    """
    nothing = np.zeros(0, np.float32)
    return VideoRow(
        id=video_id,
        frames=np.zeros((0, dim), kind),
        frame_seconds=nothing,
        frame_index=nothing.astype(np.int32),
        status="failed",
        reason=reason,
        decoder=decoder,
        reading_rules=READING_RULES,
    )
