"""Twin accuracy, on scores whose answer is known."""

import numpy as np
import torch
from tvr.data.storyboard import Twin
from tvr.heads.evaluation.twins import twin_accuracy
from tvr.heads.features.feature_set import FeatureSet

from ...fixtures.generated import generated_features


def features() -> FeatureSet:
    return generated_features(videos=4, captions=1)


def test_a_tie_counts_half() -> None:
    some = features()
    a, b, c, d = some.video_ids
    twins = (Twin("order", a, b), Twin("order", b, a), Twin("colour", c, d), Twin("colour", d, c))
    scores = torch.zeros(4, 4)
    of = {int(video): text for text, video in enumerate(some.text_video)}
    scores[of[0], 0] = 1.0  # a's caption finds a
    scores[of[1], 0] = 1.0  # b's caption finds a too
    assert twin_accuracy(scores, some, twins) == {"order": 50.0, "colour": 50.0}
    scores[of[1], 1] = 2.0
    assert twin_accuracy(scores, some, twins)["order"] == 100.0
    assert np.isclose(twin_accuracy(-scores, some, twins)["order"], 0.0)


def test_the_rounding_of_float32_decides_no_twin() -> None:
    """As it decides no rank: two equal scores from blocks of other shapes differ by about 1e-7."""
    some = features()
    a, b, *_ = some.video_ids
    scores = torch.full((4, 4), 0.25)
    of = {int(video): text for text, video in enumerate(some.text_video)}
    for difference, expected in ((1.5e-7, 50.0), (-1.5e-7, 50.0), (1e-5, 100.0), (-1e-5, 0.0)):
        scores[of[0], 0] = 0.25 + difference
        assert twin_accuracy(scores, some, (Twin("order", a, b),)) == {"order": expected}


def test_every_caption_of_a_video_counts() -> None:
    some = generated_features(videos=2, captions=2)
    a, b = some.video_ids
    scores = torch.zeros(4, 2)
    scores[some.text_video == 0, 0] = torch.tensor([1.0, -1.0])
    assert twin_accuracy(scores, some, (Twin("order", a, b),)) == {"order": 50.0}


def test_twins_without_frames_are_left_out() -> None:
    some = features()
    a, b, *_ = some.video_ids
    scores = torch.eye(4)[some.text_video]
    twins = (Twin("order", a, b), Twin("order", a, "failed"), Twin("colour", "failed", a))
    assert twin_accuracy(scores, some, twins) == {"order": 100.0}
