"""What the study says about spans, on alignments whose answer is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tvr.data.storyboard import PhraseSpan
from tvr.heads.search.alignment import Alignment

from benchmarks.storyboard.spans import (
    best_run,
    equal_parts_iou,
    frame_edges,
    last_row,
    overlap,
    phrase_scores,
)

from ...fixtures.generated import generated_features

TEXT = "a big star shrinks then a small ring rises"
WORDS = ["[start]", "a", "big", "star", "shrin", "ks", "then", "a", "small", "ring", "rises", "[end]"]
PHRASES = (
    PhraseSpan("a big star shrinks", 0, 4, 0.0, 2.0),
    PhraseSpan("a small ring rises", 5, 9, 2.0, 4.0),
)


def alignment(scores: torch.Tensor) -> Alignment:
    return Alignment(TEXT, WORDS, [0.5, 1.5, 2.5, 3.5], scores, is_of_head=True, clips=None)


def test_last_row_counts_every_token_of_a_word() -> None:
    rows = [WORDS[last_row(phrase, alignment(torch.zeros(12, 4)))] for phrase in PHRASES]
    assert rows == ["ks", "rises"]


def test_last_row_fails_for_a_caption_that_was_cut() -> None:
    cut = Alignment(TEXT, WORDS[:-3], [0.5], torch.zeros(9, 1), is_of_head=True, clips=None)
    with pytest.raises(ValueError, match="was cut"):
        last_row(PHRASES[0], cut)


def test_phrases_are_found_whatever_they_share_with_every_frame() -> None:
    scores = torch.zeros(12, 4)
    scores[5, :2] = 0.3
    scores[10, 2:] = 0.1
    scores += torch.tensor([0.0, 5.0, 0.0, 1.0])
    found = phrase_scores(alignment(scores), PHRASES)
    assert list(found) == ["frame_word"]
    runs = [best_run(row.numpy()) for row in found["frame_word"]]
    assert runs == [(0, 1), (2, 3)]


def test_equal_parts_are_right_where_the_parts_are_equal() -> None:
    features = generated_features(videos=1, captions=1)
    (text,) = features.text_ids
    assert equal_parts_iou(features, {text: PHRASES}) == 1.0
    late = (replace(PHRASES[0], end_seconds=3.0), replace(PHRASES[1], start_seconds=3.0))
    assert equal_parts_iou(features, {text: late}) == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_best_run_bridges_a_small_dip() -> None:
    assert best_run(np.array([-1.0, 2.0, -0.5, 2.0, -3.0, 1.0])) == (1, 3)
    assert best_run(np.array([-3.0, -1.0, -2.0])) == (1, 1)


def test_frames_stand_for_what_is_nearest_to_them() -> None:
    assert frame_edges([0.5, 1.5, 3.5], 4.0) == [0.0, 1.0, 2.5, 4.0]


@pytest.mark.parametrize(
    ("other", "expected"), [((0.0, 2.0), 1.0), ((1.0, 3.0), 1 / 3), ((2.0, 3.0), 0.0), ((0.5, 1.0), 0.25)]
)
def test_overlap(other: tuple[float, float], expected: float) -> None:
    assert overlap((0.0, 2.0), other) == pytest.approx(expected)
