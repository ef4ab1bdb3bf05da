"""Search an archive of videos with a sentence that nobody wrote before: encode it, compare it with every video."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ...data.contracts.errors import WeightsError
from ...pipeline.encoders import clip
from ...pipeline.encoders.base import EncodedText, Encoder
from ...pipeline.store import FeatureStore
from ..base import Head, TextFeatures
from ..training.feature_set import features_of, gallery_of
from ..training.run_folder import load_run
from .comparison import zero_shot
from .run_store import run_store
from .search import Gallery, Hit


@dataclass(frozen=True)
class Archive:
    """Videos of a store, ready to be searched."""

    gallery: Gallery
    encoder: Encoder
    store: FeatureStore
    head: str

    def search(self, text: str, top_k: int) -> list[Hit]:
        """The best videos for a sentence, best first.

        Raises:
            UsageError: ``top_k`` is less than 1.
        """
        return self.gallery.search(text_features(self.encoder.encode_texts([text])[0]), top_k)[0]


def open_archive(
    run: Path | None, store: Path | None, pretrained: str | None = None, split: str | None = None
) -> Archive:
    """Open a store for searching.

    Args:
        run: the run whose head compares; None for zero-shot mean pooling.
        store: the features; None for those the run was trained on.
        pretrained: where the encoder's weights are, if the store was made with a checkpoint file.
        split: search only this split; None for every video of the store.

    Raises:
        StoreError: the features are not there, or are another encoder's than the run was trained on.
        WeightsError: the encoder's weights are missing, or are not those that made the store.
    """
    if run is not None:
        trained, record = load_run(run)
        opened, name = run_store(run, record, store), record.head
    else:
        assert store is not None, "a search needs a run or a store"
        trained, opened, name = None, FeatureStore.open(store), "mean_pool"
    features = gallery_of(opened) if split is None else features_of(opened, split)
    head: Head = zero_shot(features) if trained is None else trained
    return Archive(Gallery(head, features), _encoder_of(opened, pretrained), opened, name)


def text_features(text: EncodedText) -> TextFeatures:
    """One encoded text as a batch of one."""
    words = torch.from_numpy(np.asarray(text.words, np.float32))[None]
    return TextFeatures(words, torch.ones(1, words.shape[1], dtype=torch.bool), words[:, text.sentence_row])


def _encoder_of(store: FeatureStore, pretrained: str | None) -> Encoder:
    identity = store.manifest.encoder
    encoder = clip.load(
        identity["model"], pretrained or identity["pretrained"], precision=identity["precision"]
    )
    if encoder.identity.weights_digest != identity["weights_digest"]:
        raise WeightsError(
            f"the store was made with weights {identity['weights_digest'][:12]} of {identity['model']}, these are "
            f"{encoder.identity.weights_digest[:12]}: name the checkpoint that made it with --pretrained"
        )
    return encoder


@dataclass(frozen=True)
class Query:
    """A caption that was used as a query."""

    text: str
    video_id: str
    """The video it was written for."""
    found: str
    """The best hit."""


def clearest_query(run: Path, split: str, candidates: int = 50) -> Query:
    """Of the first captions of a split, the one whose best hit is furthest ahead of the second.

    The choice looks at scores alone, not at which video is right.
    """
    archive = open_archive(run, None, split=split)
    rows = archive.store.texts(archive.store.splits[split])
    best, margin = None, -1.0
    for text, video in list(zip(rows.texts, rows.video_ids, strict=True))[:candidates]:
        first, second = archive.search(text, 2)
        if first.score - second.score > margin:
            best, margin = Query(text, video, first.video_id), first.score - second.score
    assert best is not None, f"split {split} has no captions"
    return best
