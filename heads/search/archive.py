"""Search an archive of videos with a sentence that nobody wrote before, or its captions with a new video."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from ...pipeline.request import NOTHING_NAMED, Named
from ...pipeline.store.reader import FeatureStore
from ..base import Head, TextFeatures, VideoFeatures
from ..evaluation.blockwise import similarity_in_blocks
from ..evaluation.evaluate_runs import zero_shot
from ..evaluation.scores import EncodedTexts
from ..features.feature_set import FeatureSet
from ..features.from_store import features_of, gallery_of
from ..runs.find_store import run_store, store_notes
from ..runs.run_folder import load_record, load_run
from .gallery.exact import check_top_k
from .gallery.windows import Windows, windows_of
from .query_features import ONLY, QueryFeatures, encoder_of


@dataclass(frozen=True, slots=True)
class CaptionHit:
    """One found caption."""

    text: str
    video_id: str
    """The video it was written for."""
    score: float
    """Similarity on cosine scale."""


@dataclass(frozen=True)
class Archive:
    """Videos of a store, ready to be searched."""

    head: Head
    name: str
    """Of the head."""
    features: FeatureSet
    queries: QueryFeatures
    store: FeatureStore
    run: Path | None
    split: str | None
    """Only this split is searched; None: every video of the store."""

    @cached_property
    def windows(self) -> Windows:
        """What is compared with queries: the videos, long ones in windows."""
        return windows_of(self.features, self.head.shape.num_frames)

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """How the features differ from those that the head was trained on, as for a figure of them; read once."""
        return () if self.run is None else tuple(store_notes(load_record(self.run), self.store))

    def text(self, text: str) -> TextFeatures:
        """A sentence as the head sees it, a batch of one."""
        return self.queries.of_text(text).batch(self.head.shape.num_words)

    def video(self, file: Path) -> VideoFeatures:
        """A video file as the head sees it, a batch of one.

        Raises:
            DecodeError: the file cannot be decoded.
        """
        return self.queries.of_video(file).batch(ONLY, self.head.shape.num_frames)

    def image(self, file: Path) -> VideoFeatures:
        """A picture as the head sees a video of one frame, a batch of one.

        Raises:
            DecodeError: the file is no picture.
        """
        return self.queries.of_image(file).batch(ONLY, self.head.shape.num_frames)

    @torch.no_grad()
    def captions_of(self, video: VideoFeatures, top_k: int) -> list[CaptionHit]:
        """The captions of the store that describe a video best, best first.

        Args:
            video: what ``video`` made of a file.
            top_k: how many captions are wanted.

        Raises:
            DataError: the store has no captions.
            UsageError: ``top_k`` is less than 1.
        """
        check_top_k(top_k)
        captions = features_of(self.store, self.split)
        groups = EncodedTexts(self.head, captions).groups
        encoded = self.head.encode_video(video)
        scores = torch.cat([similarity_in_blocks(self.head, g.encoded, encoded)[:, 0] for g in groups])
        items = torch.cat([group.items for group in groups])
        scores = scores[items.argsort()].float().cpu()
        best = scores.argsort(descending=True, stable=True)[:top_k].tolist()
        owners = captions.text_video.tolist()
        return [CaptionHit(captions.texts[i], captions.video_ids[owners[i]], float(scores[i])) for i in best]

    @torch.no_grad()
    def score(self, text: str, file: Path) -> float:
        """How well a sentence describes a video file, on cosine scale.

        Raises:
            DecodeError: the file cannot be decoded.
        """
        query = self.head.encode_text(self.text(text))
        return float(self.head.similarity(query, self.head.encode_video(self.video(file))))


def open_archive(
    run: Path | None, store: Path | None, named: Named = NOTHING_NAMED, split: str | None = None
) -> Archive:
    """Open a store for searching.

    Args:
        run: the run whose head compares; None for zero-shot mean pooling.
        store: the features; None for those the run was trained on.
        named: by the person: the encoder's file or repository, if that is elsewhere or the store somebody else's.
        split: search only this split; None for every video of the store.

    Raises:
        StoreError: the features are not there, or are another encoder's than the run was trained on.
        WeightsError: the encoder's weights are missing, or are not those that made the store.
        DataError: the store has no such split.
        UsageError: the store names a file or a repository, and this user did not.
    """
    head, name, features, opened = open_gallery(run, store, split)
    queries = QueryFeatures(opened, encoder_of(opened, named))
    return Archive(head, name, features, queries, opened, run, split)


def open_gallery(
    run: Path | None, store: Path | None, split: str | None = None
) -> tuple[Head, str, FeatureSet, FeatureStore]:
    """A head, its name, the videos of its store, and the store: what a search needs but the encoder.

    Raises:
        StoreError: the features are not there, or are another encoder's than the run was trained on.
    """
    if run is None:
        assert store is not None, "a search needs a run or a store"
        opened = FeatureStore.open(store)
        features = gallery_of(opened, split)
        return zero_shot(features), "mean_pool", features, opened
    head, record = load_run(run)
    opened = run_store(run, record, store)
    return head, record.head, gallery_of(opened, split), opened
