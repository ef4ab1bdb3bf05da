"""Training and validation splits of the study: cut to a size, and spoilt where a trial asks for noise."""

import dataclasses

import torch
from jaxtyping import Int
from torch import Tensor
from tvr.heads.features.feature_set import FeatureSet
from tvr.heads.features.from_store import features_of, mapped_texts, mapped_videos
from tvr.heads.features.items import TextItems, VideoItems
from tvr.pipeline.store.reader import FeatureStore

from .trials import Trial

VALIDATION_VIDEOS = 400
"""Videos of the validation split that decide the best epoch: all of them would take longer than the training."""


def training_sets(store: FeatureStore, trial: Trial) -> dict[str, FeatureSet]:
    """``train`` and ``val`` for one trial."""
    return {
        "train": first_videos(store, "train", trial.train_videos, trial),
        "val": first_videos(store, "val", VALIDATION_VIDEOS),
    }


def first_videos(store: FeatureStore, split: str, count: int, noise: Trial | None = None) -> FeatureSet:
    """The first videos of a split, each with its caption.

    A longer cut begins with the shorter one, and families of twins stay together.
    """
    ids = store.splits[split][:count]
    videos, texts = mapped_videos(store, ids), mapped_texts(store, ids)
    if noise is not None and noise.noise != "none":
        videos, texts = _spoilt(videos, texts, noise)
    origin = dataclasses.replace(features_of(store, split, mapped=True).origin, expected_videos=len(ids))
    return FeatureSet(videos, texts, origin)


def _spoilt(videos: VideoItems, texts: TextItems, trial: Trial) -> tuple[VideoItems, TextItems]:
    """Put what others show, or what is said of others, in the place of a share of the items."""
    places = {video: place for place, video in enumerate(videos.ids)}
    owner = torch.tensor([places[video] for video in texts.video_ids])
    source = _sources(len(videos.ids), trial)
    # Storyboard has one caption a video, so that a video's place names its caption too.
    text_source = owner.argsort()[source[owner]]
    if trial.noise == "duplicate":
        videos = dataclasses.replace(videos, frames=videos.frames.chosen(source))
    return videos, _with_words_of(texts, text_source)


def _sources(count: int, trial: Trial) -> Int[Tensor, " item"]:
    """For each item the one whose content it gets: itself, or for the chosen share another one."""
    generator = torch.Generator().manual_seed(trial.seed)
    chosen = torch.randperm(count, generator=generator)[: round(trial.noise_share * count)]
    source = torch.arange(count)
    if trial.noise == "wrong":
        source[chosen] = chosen.roll(1)
    else:
        kept = torch.ones(count, dtype=torch.bool).index_fill(0, chosen, False).nonzero().flatten()
        source[chosen] = kept[torch.randint(len(kept), (len(chosen),), generator=generator)]
    return source


def _with_words_of(texts: TextItems, source: Int[Tensor, " text"]) -> TextItems:
    """The same ids, each saying what another says."""
    return dataclasses.replace(
        texts,
        texts=tuple(texts.texts[place] for place in source.tolist()),
        words=texts.words.chosen(source),
        sentence_row=texts.sentence_row[source],
        parts=None if texts.parts is None else texts.parts.chosen(source),
    )
