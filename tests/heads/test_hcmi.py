"""hcmi against plain loops, and each of its mechanisms."""

import math
from dataclasses import replace
from typing import Any, Literal

import pytest
import torch
from torch import Tensor
from tvr.data.contracts.errors import UsageError
from tvr.heads.base import Encoded, FeatureShape, TextFeatures, VideoFeatures, configured_head
from tvr.heads.hcmi import PUBLISHED, Config, Head

SHAPE = FeatureShape(dim=12, num_frames=9, num_words=8)
SAME = torch.eye(6, dtype=torch.bool)


def built(**settings: Any) -> Head:
    torch.manual_seed(0)
    return shaken(Head(Config(**settings), SHAPE))


def shaken(head: Head) -> Head:
    """Away from its start, in double precision."""
    head.double().eval()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, dtype=torch.float64))
    return head


def texts() -> TextFeatures:
    generator = torch.Generator().manual_seed(1)
    words = torch.randn(6, 8, 12, generator=generator, dtype=torch.float64)
    mask = torch.arange(8) < torch.tensor([[8], [3], [2], [1], [5], [8]])
    return TextFeatures(words, mask, words[torch.arange(6), mask.sum(1) - 1])


def videos(seed: int = 2) -> VideoFeatures:
    """Videos 1 and 4 are the same, whatever the seed; the others are near copies between seeds."""
    steady = torch.randn(6, 9, 12, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    noise = torch.randn(6, 9, 12, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    frames = steady + 0.1 * noise
    mask = torch.arange(9) < torch.tensor([[9], [5], [2], [1], [5], [7]])
    frames[4] = frames[1]
    return VideoFeatures(frames, mask)


def interaction(text: Encoded, video: Encoded, level: str, i: int, j: int) -> float:
    def best(one: Encoded, a: int, other: Encoded, b: int) -> float:
        total = 0.0
        for part, weight in enumerate(one[f"{level}_weights"][a]):
            if one[f"{level}_mask"][a, part]:
                others = range(other[level].shape[1])
                real = [k for k in others if other[f"{level}_mask"][b, k]]
                total += float(weight) * max(float(one[level][a, part] @ other[level][b, k]) for k in real)
        return total

    return (best(text, i, video, j) + best(video, j, text, i)) / 2


KEPT = {"frame_word": "parts", "clip_phrase": "clusters", "video_sentence": "whole"}


def by_loops(text: Encoded, video: Encoded, level: str) -> list[list[float]]:
    """Similarities of one level."""
    if level == "video_sentence":
        return [[float(text["whole"][i] @ video["whole"][j]) for j in range(6)] for i in range(6)]
    return [[interaction(text, video, KEPT[level], i, j) for j in range(6)] for i in range(6)]


@pytest.mark.parametrize("clustering", ["attention", "slots", "dpc_knn", "uniform"])
@torch.no_grad()
def test_similarity_by_loops(clustering: str) -> None:
    head = built(clustering=clustering, shares=(0.2, 0.3, 0.5), learned_shares=False)
    text, video = head.encode_text(texts()), head.encode_video(videos())
    levels = {level: by_loops(text, video, level) for level in KEPT}
    found = head.similarity(text, video)
    for i in range(6):
        for j in range(6):
            wanted = sum(
                share * levels[name][i][j]
                for name, share in zip(
                    ("frame_word", "clip_phrase", "video_sentence"), (0.2, 0.3, 0.5), strict=True
                )
            )
            assert found[i, j].item() == pytest.approx(wanted, abs=1e-6)


def contrastive(scores: list[list[float]], alike: Tensor, *, positives: bool) -> float:
    """Info-NCE both ways: other alike pairs are positives, or leave the denominator."""
    total = 0.0
    for transpose in (False, True):
        for i in range(6):
            row = [100 * (scores[j][i] if transpose else scores[i][j]) for j in range(6)]
            own = [j for j in range(6) if j == i or (positives and alike[i, j])]
            below = [j for j in range(6) if positives or j == i or not alike[i, j]]
            denominator = math.log(sum(math.exp(row[j]) for j in below))
            total -= sum(row[j] - denominator for j in own) / len(own) / 12
    return total


@pytest.mark.parametrize("denoising", ["conservative", "multi_positive", "off"])
@torch.no_grad()
def test_loss_by_loops(denoising: str) -> None:
    weights: dict[str, Any] = {"level_loss": 0.5, "fused_loss": 2.0, "hinge_loss": 3.0, "margin": 0.4}
    weights["level_weights"] = (1.0, 0.7, 0.2)
    head = built(denoising=denoising, learned_shares=False, shares=(0.2, 0.3, 0.5), **weights)
    views = [head.encode_video(videos(seed)) for seed in (3, 4)][: head.num_views]
    assert len(views) == (1 if denoising == "off" else 2)
    text = head.encode_text(texts())
    found = head.loss(text, views, SAME)
    levels = {level: by_loops(text, views[0], level) for level in KEPT}
    alike = SAME.clone()
    if denoising != "off":
        alike[1, 4] = alike[4, 1] = True
    fused = head.similarity(text, views[0]).tolist()
    positives = denoising == "multi_positive"
    for name, scores in levels.items():
        wanted = contrastive(scores, alike, positives=positives)
        assert found[f"contrastive_{name}"].item() == pytest.approx(wanted)
    assert found["contrastive"].item() == pytest.approx(contrastive(fused, alike, positives=positives))
    assert found["hinge"].item() == pytest.approx(hinge(levels["video_sentence"], alike, 0.4))
    of_levels = [found[f"contrastive_{level}"] for level in ("frame_word", "clip_phrase", "video_sentence")]
    total = 0.5 * (of_levels[0] + 0.7 * of_levels[1] + 0.2 * of_levels[2]) + 2 * found["contrastive"]
    assert found["total"].item() == pytest.approx(float(total + 0.2 * 3 * found["hinge"]))


@torch.no_grad()
def test_the_papers_preset_is_its_equations() -> None:
    """Contrastive losses of three levels, whose positives are those of the inequality too, and L_hsm; nothing else."""
    head = shaken(Head(configured_head("hcmi", {"preset": "paper", "margin": "0.4"}), SHAPE))
    text, views = head.encode_text(texts()), [head.encode_video(videos(seed)) for seed in (3, 4)]
    first, second = ([view["whole"][i] for i in range(6)] for view in views)
    alike = SAME.clone()
    for i in range(6):
        for j in range(6):
            cosines = [float(a[i] @ b[j]) for a in (first, second) for b in (first, second)]
            if sum(cosines) / 4 >= float(first[i] @ second[i]) - 1e-6:
                alike[i, j] = alike[j, i] = True
    assert alike[1, 4] and int(alike.sum()) == 8
    levels = {level: by_loops(text, views[0], level) for level in KEPT}
    wanted = sum(contrastive(scores, alike, positives=True) for scores in levels.values())
    wanted += hinge(levels["video_sentence"], alike, 0.4)
    assert head.loss(text, views, SAME)["total"].item() == pytest.approx(wanted)
    fused = [[sum(levels[level][i][j] for level in KEPT) / 3 for j in range(6)] for i in range(6)]
    assert head.similarity(text, views[0]).tolist() == [pytest.approx(row) for row in fused]


def test_presets_are_settings_and_can_be_overridden() -> None:
    assert configured_head("hcmi", {"preset": "paper"}) == PUBLISHED
    assert configured_head("hcmi", {"preset": "paper", "clips": "2"}) == replace(PUBLISHED, clips=2)
    assert configured_head("hcmi", {"preset": "default"}) == configured_head("hcmi", {}) == Config()


def test_presets_fails() -> None:
    with pytest.raises(UsageError, match=r"unknown preset of hcmi 'papr'. Did you mean 'paper'"):
        configured_head("hcmi", {"preset": "papr"})
    with pytest.raises(UsageError, match=r"unknown preset of mean_pool 'paper'"):
        configured_head("mean_pool", {"preset": "paper"})


def hinge(scores: list[list[float]], alike: Tensor, margin: float) -> float:
    total = 0.0
    for i in range(6):
        text = max(scores[j][i] for j in range(6) if not alike[j, i])
        video = max(scores[i][j] for j in range(6) if not alike[i, j])
        total += (max(text - scores[i][i] + margin, 0) + max(video - scores[i][i] + margin, 0)) / 12
    return total


def test_paragraphs_bring_their_phrases() -> None:
    head = built(phrases_from="sentences")
    plain = texts()
    parts = torch.randn(6, 3, 12, dtype=torch.float64)
    mask = torch.arange(3) < torch.tensor([[3], [1], [2], [1], [3], [2]])
    found = head.encode_text(TextFeatures(plain.words, plain.mask, plain.sentence, parts, mask))
    assert torch.equal(found["clusters_mask"], mask)
    with pytest.raises(UsageError, match="needs the sentences of paragraphs"):
        head.encode_text(plain)


@pytest.mark.parametrize(
    ("frames", "words", "clips", "phrases"), [(12, 32, 3, 8), (64, 64, 16, 16), (1, 2, 1, 1)]
)
def test_number_of_clusters_follows_the_features(frames: int, words: int, clips: int, phrases: int) -> None:
    head = Head(Config(layers=1, word_layers=1), FeatureShape(8, frames, words))
    text = head.encode_text(
        TextFeatures(torch.randn(2, words, 8), torch.ones(2, words).bool(), torch.randn(2, 8))
    )
    video = head.encode_video(VideoFeatures(torch.randn(2, frames, 8), torch.ones(2, frames).bool()))
    assert text["clusters"].shape[1] == phrases and video["clusters"].shape[1] == clips


@pytest.mark.parametrize("level", KEPT)
@torch.no_grad()
def test_each_level_alone(level: str) -> None:
    head = built(levels=(level,))
    text, video = head.encode_text(texts()), head.encode_video(videos())
    assert {name.split("_")[0] for name in text} == {KEPT[level]}
    wanted = torch.tensor(by_loops(text, video, level), dtype=torch.float64)
    torch.testing.assert_close(head.similarity(text, video), wanted)


@pytest.mark.parametrize(
    "settings",
    [
        {"levels": ()},
        {"shares": (0.5, 0.5)},
        {"shares": (1.0, 0.0, 0.0)},
        {"neighbours": 0},
        {"level_weights": (1.0, 1.0)},
        {"level_weights": (1.0, 1.0, -0.1)},
        {"level_loss": 0.0, "fused_loss": 0.0},
        {"level_weights": (0.0, 0.0, 0.0), "fused_loss": 0.0},
        {"level_weights": (1.0, 1.0, 0.0), "levels": ("video_sentence",), "fused_loss": 0.0},
    ],
)
def test_impossible_settings_fail(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"must"):
        Config(**settings)


@pytest.mark.parametrize(("field", "value"), [("clips", 13), ("clips", 0), ("phrases", 33), ("phrases", -1)])
def test_hcmi_fails_with_more_clusters_than_parts(field: str, value: int) -> None:
    settings: dict[str, Any] = {field: value}
    with pytest.raises(
        UsageError, match=rf"{field} must be between 1 and \d+, .* got {field}={value}. Choose fewer"
    ):
        Head(Config(**settings), FeatureShape(16, 12, 32))


@pytest.mark.parametrize(("setting", "phrases"), [("real", 3), ("most", 8)])
def test_a_short_caption_has_few_phrases(setting: Literal["real", "most"], phrases: int) -> None:
    """Of eleven words and the end token three phrases, where the head may see 32 words."""
    shape = FeatureShape(dim=12, num_frames=12, num_words=32)
    words = torch.randn(1, 32, 12)
    mask = (torch.arange(32) < 13)[
        None
    ]  # the start token, which counts as no word, eleven words, the end token
    text = TextFeatures(words, mask, words[:, 12])
    head = Head(Config(one_per_four=setting), shape).eval()
    assert int(head.encode_text(text)["clusters_mask"].sum()) == phrases


def test_phrases_that_are_asked_for_are_had() -> None:
    shape = FeatureShape(dim=12, num_frames=12, num_words=32)
    words = torch.randn(1, 32, 12)
    text = TextFeatures(words, (torch.arange(32) < 13)[None], words[:, 12])
    assert int(Head(Config(phrases=6), shape).eval().encode_text(text)["clusters_mask"].sum()) == 6
