from functools import cache

import pytest
import torch
from tvr.data.contracts.plug_ins import load_plug_in
from tvr.heads.base import Head, build_head
from tvr.heads.features.feature_set import FeatureSet
from tvr.heads.layers.padding import l2_normalise
from tvr.heads.search.alignment import Alignment, align

from ...fixtures.generated import generated_features


@cache
def toy_features() -> FeatureSet:
    """Generated features, made when the first test asks for them."""
    return generated_features(videos=6, frames=(8, 8), words=(5, 5))


def head_of(name: str, **settings: object) -> Head:
    torch.manual_seed(0)
    return build_head(name, load_plug_in("tvr.heads", name).Config(**settings), toy_features().shape())


@pytest.mark.parametrize("name", ["wti", "xclip", "hbi", "uatvr", "hcmi"])
def test_a_head_that_compares_words_with_frames_is_asked(name: str) -> None:
    head = head_of(name)
    found = align(head, toy_features(), 2, 4)
    assert found.is_of_head
    assert found.scores.shape == (5, 8)
    assert float(found.scores.abs().max()) <= 1 + 1e-5
    assert len(found.words) == 5
    assert len(found.frame_seconds) == 8


@torch.no_grad()
def test_learned_tokens_are_no_words() -> None:
    head = head_of("uatvr", extra_words=2, extra_frames=3)
    found = align(head, toy_features(), 2, 4)
    text, video = (
        toy_features().text_batch(torch.tensor([2]), 5),
        toy_features().video_batch(torch.tensor([4]), 8),
    )
    words, frames = head.encode_text(text)["words"][0, 2:], head.encode_video(video)["frames"][0, 3:]
    torch.testing.assert_close(found.scores, l2_normalise(words) @ l2_normalise(frames).T)


def test_a_head_that_does_not_shows_the_stored_features() -> None:
    found = align(head_of("mean_pool"), toy_features(), 1, 1)
    assert not found.is_of_head
    text = toy_features().text_batch(torch.tensor([1]), 5)
    video = toy_features().video_batch(torch.tensor([1]), 8)
    torch.testing.assert_close(found.scores, l2_normalise(text.words[0]) @ l2_normalise(video.frames[0]).T)
    assert found.clips is None
    assert found.spans == []


@pytest.mark.parametrize("clustering", ["attention", "slots", "dpc_knn", "uniform"])
def test_clips_share_the_frames(clustering: str) -> None:
    head = head_of("hcmi", clips=2, clustering=clustering)
    found = align(head, toy_features(), 0, 0)
    assert found.clips is not None
    assert found.clips.shape == (2, 8)
    torch.testing.assert_close(found.clips.sum(1), torch.ones(2))
    assert not any(module._forward_hooks for module in head.modules())


@torch.no_grad()
def test_phrases_and_clips_meet_in_their_words_and_frames() -> None:
    head = head_of("hcmi", clips=1, phrases=1)
    found = align(head, toy_features(), 0, 0)
    assert found.clip_scores is not None
    text, video = (
        toy_features().text_batch(torch.tensor([0]), 5),
        toy_features().video_batch(torch.tensor([0]), 8),
    )
    phrase, clip = head.encode_text(text)["clusters"], head.encode_video(video)["clusters"]
    # With one phrase and one clip every word meets every frame as these two meet; the start token is in no phrase.
    expected = torch.full((4, 8), float((l2_normalise(phrase[0]) @ l2_normalise(clip[0]).T).squeeze()))
    torch.testing.assert_close(found.clip_scores[1:], expected)
    assert not found.clip_scores[0].any()
    assert align(head_of("wti"), toy_features(), 0, 0).clip_scores is None


def test_spans_are_the_heavy_frames() -> None:
    clips = torch.tensor([[0.4, 0.3, 0.2, 0.1], [0.0, 0.1, 0.45, 0.45], [0.0, 0.0, 0.0, 0.0]])
    alignment = Alignment("", [], [0.0, 1.0, 2.0, 3.0], torch.zeros(0, 4), is_of_head=True, clips=clips)
    assert alignment.spans == [(0.0, 2.5), (1.5, 3.5)], "each frame with the time that it stands for"
