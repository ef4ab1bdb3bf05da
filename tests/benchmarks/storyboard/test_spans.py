"""What the study says about spans, on alignments whose answer is known."""

import numpy as np
import pytest
import torch
from tvr.data.storyboard import PhraseSpan
from tvr.heads.evaluation.alignment import Alignment

from benchmarks.storyboard.spans import best_run, frame_edges, overlap, phrase_scores, rows_of

TEXT = "a big star shrinks then a small ring rises"
WORDS = ["[start]", "a", "big", "star", "shrin", "ks", "then", "a", "small", "ring", "rises", "[end]"]
PHRASES = (
    PhraseSpan("a big star shrinks", 0, 4, 0.0, 2.0),
    PhraseSpan("a small ring rises", 5, 9, 2.0, 4.0),
)


def alignment(scores: torch.Tensor) -> Alignment:
    return Alignment(TEXT, WORDS, [0.5, 1.5, 2.5, 3.5], scores, is_of_head=True, clips=None)


def test_a_word_of_several_tokens_owns_all_their_rows() -> None:
    rows = [WORDS[rows_of(phrase, alignment(torch.zeros(12, 4)))] for phrase in PHRASES]
    assert rows == [["a", "big", "star", "shrin", "ks"], ["a", "small", "ring", "rises"]]


def test_rows_fail_for_a_caption_that_was_cut() -> None:
    cut = Alignment(TEXT, WORDS[:-3], [0.5], torch.zeros(9, 1), is_of_head=True, clips=None)
    with pytest.raises(ValueError, match="was cut"):
        rows_of(PHRASES[0], cut)


def test_phrases_are_found_whatever_they_share_with_every_frame() -> None:
    scores = torch.zeros(12, 4)
    scores[1:6, :2] = 0.3
    scores[7:11, 2:] = 0.1
    scores += torch.tensor([0.0, 5.0, 0.0, 1.0])
    found = phrase_scores(alignment(scores), PHRASES)
    assert list(found) == ["frame_word"]
    runs = [best_run(row.numpy()) for row in found["frame_word"]]
    assert runs == [(0, 1), (2, 3)]


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
