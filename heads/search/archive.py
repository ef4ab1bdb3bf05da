"""Search an archive of videos with a sentence that nobody wrote before, or its captions with a new video."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ...data.contracts.errors import DataError, DecodeError, WeightsError
from ...pipeline.decoding.messages import DecodeTask
from ...pipeline.decoding.pool import DecoderPool
from ...pipeline.encoders.base import EncodedText, Encoder
from ...pipeline.options import EncoderSpec, pixels_of
from ...pipeline.sampling import Sampling
from ...pipeline.store.reader import FeatureStore
from ..base import Head, TextFeatures, VideoFeatures
from ..evaluation.blockwise import similarity_in_blocks
from ..evaluation.evaluate_runs import zero_shot
from ..evaluation.scores import EncodedTexts
from ..features.feature_set import FeatureSet, Origin
from ..features.frame_sampling import uniform
from ..features.from_store import features_of, gallery_of
from ..runs.find_store import run_store
from ..runs.run_folder import load_run
from .exact import Hit, check_top_k, search
from .faiss_index import IndexedGallery, VideoIndex

INDEX_FOLDER = "index"
"""Of a run: what ``tvr index`` made."""


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
    encoder: Encoder
    store: FeatureStore
    run: Path | None
    split: str | None
    """Only this split is searched; None: every video of the store."""

    def search(self, text: str, top_k: int, candidates: int | None = None) -> list[Hit]:
        """The best videos for a sentence, best first.

        Args:
            text: what is looked for.
            top_k: how many videos are wanted.
            candidates: how many of the index's nearest the head compares; None: every video, without an index.

        Raises:
            UsageError: ``top_k`` is less than 1, or there is no index.
        """
        query = text_features(self.encoder.encode_texts([text])[0])
        if candidates is None:
            return search(self.head, self.features, query, top_k)[0]
        index = VideoIndex.load((self.run or self.store.folder) / INDEX_FOLDER)
        return IndexedGallery(self.head, self.features, index).search(query, top_k, candidates)[0]

    @torch.no_grad()
    def captions_of(self, file: Path, top_k: int) -> list[CaptionHit]:
        """The captions of the store that describe a video file best, best first.

        Raises:
            DecodeError: the file cannot be decoded.
            DataError: the store has no captions.
            UsageError: ``top_k`` is less than 1.
        """
        check_top_k(top_k)
        ids = None if self.split is None else self.store.splits[self.split]
        captions = FeatureSet(
            self.store.videos(ids), self.store.texts(ids), Origin(split=self.split or "all")
        )
        if not captions.num_texts:
            raise DataError(f"{self.store.folder} has no captions to search in")
        groups = EncodedTexts(self.head, captions).groups
        video = self.head.encode_video(self.video_features(file))
        scores = torch.cat([similarity_in_blocks(self.head, g.encoded, video)[:, 0] for g in groups])
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
        query = self.head.encode_text(text_features(self.encoder.encode_texts([text])[0]))
        return float(self.head.similarity(query, self.head.encode_video(self.video_features(file))))

    def video_features(self, file: Path) -> VideoFeatures:
        """The frames of a file that is not in the store, decoded, sampled and encoded as those of the store were.

        Raises:
            DecodeError: the file cannot be decoded.
        """
        manifest = self.store.manifest
        sampling, preprocessing = Sampling(**manifest.sampling), self.encoder.identity.preprocessing
        task = DecodeTask(
            file.name,
            file,
            sampling,
            preprocessing,
            end_seconds=manifest.max_seconds,
            pixels=pixels_of(manifest.pixels),
        )
        with DecoderPool(num_children=1, decoder=manifest.decoder) as pool:
            video = next(iter(pool.decode([task])))
        if not len(video.frames):
            raise DecodeError(f"{file} cannot be decoded: {video.reason}")
        return _as_the_head_sees(self.encoder.encode_frames(video.frames), self.head)


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
        DataError: the store has no such split.
    """
    head, name, features, opened = open_gallery(run, store, split)
    return Archive(head, name, features, _encoder_of(opened, pretrained), opened, run, split)


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
        features = _videos_of(opened, split)
        return zero_shot(features), "mean_pool", features, opened
    head, record = load_run(run)
    opened = run_store(run, record, store)
    return head, record.head, _videos_of(opened, split), opened


def _videos_of(store: FeatureStore, split: str | None) -> FeatureSet:
    return gallery_of(store) if split is None else features_of(store, split)


def text_features(text: EncodedText) -> TextFeatures:
    """One encoded text as a batch of one."""
    words = torch.from_numpy(np.asarray(text.words, np.float32))[None]
    return TextFeatures(words, torch.ones(1, words.shape[1], dtype=torch.bool), words[:, text.sentence_row])


def _as_the_head_sees(frames: Float[np.ndarray, "frame dim"], head: Head) -> VideoFeatures:
    """One video as a batch of one, with as many frames as the head was built for, rounded as a store rounds."""
    stored = torch.from_numpy(np.asarray(frames, np.float16)).float()
    positions, mask = uniform(torch.tensor([len(stored)]), head.shape.num_frames)
    kept: Tensor = stored[positions]
    return VideoFeatures(kept, mask)


def _encoder_of(store: FeatureStore, pretrained: str | None) -> Encoder:
    identity = store.manifest.encoder
    weights = pretrained or identity["pretrained"]
    encoder = EncoderSpec(identity["model"], weights, precision=identity["precision"]).load()
    if encoder.identity.weights_digest != identity["weights_digest"]:
        raise WeightsError(
            f"the store was made with weights {identity['weights_digest'][:12]} of {identity['model']}, these are "
            f"{encoder.identity.weights_digest[:12]}: name the checkpoint that made it with --pretrained"
        )
    return encoder
