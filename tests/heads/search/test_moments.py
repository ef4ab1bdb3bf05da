"""The seconds in which a query is seen best, and that padding and learned tokens are not taken for frames."""

import pytest
import torch
from tvr.data.contracts.plug_ins import load_plug_in, plug_in_names
from tvr.heads.base import FeatureShape, TextFeatures, VideoFeatures
from tvr.heads.search.moments import Moment, moment_of, scores_of_frames

SECONDS = [0.5, 1.5, 2.5, 3.5, 5.5]


@pytest.mark.parametrize(
    ("scores", "moment"),
    [
        ([0.0, 0.0, 1.0, 0.6, 0.0], Moment(2.5, 2.0, 4.5)),
        ([1.0, 0.0, 0.9, 0.0, 0.0], Moment(0.5, 0.0, 1.0)),
        ([0.0, 0.0, 0.0, 0.0, 1.0], Moment(5.5, 4.5, 6.0)),
        ([0.3, 0.3, 0.3, 0.3, 0.3], Moment(0.5, 0.0, 6.0)),
    ],
)
def test_the_best_frame_and_what_is_around_it(scores: list[float], moment: Moment) -> None:
    assert moment_of(torch.tensor(scores), SECONDS) == moment


def test_a_single_frame_is_a_moment() -> None:
    found = moment_of(torch.tensor([0.2]), [4.0])
    assert found == Moment(4.0, 4.0, 4.0)
    assert str(found) == "at 4.0 s"
    assert str(Moment(2.5, 2.0, 4.5)) == "2.0-4.5 s, best at 2.5 s"


@pytest.mark.parametrize("name", plug_in_names("tvr.heads"))
def test_a_frame_that_shows_the_sentence_is_the_best(name: str) -> None:
    """Of every head as it starts: the frame whose feature is the sentence's, wherever it stands."""
    torch.manual_seed(0)
    module = load_plug_in("tvr.heads", name)
    head = module.Head(module.Config(), FeatureShape(dim=16, num_frames=9, num_words=8)).eval()
    sentence = torch.randn(1, 16)
    words = sentence[:, None] + 0.1 * torch.randn(1, 5, 16)
    text = TextFeatures(words, torch.ones(1, 5, dtype=torch.bool), sentence)
    for place in (0, 3, 6):
        frames = torch.randn(1, 7, 16)
        frames[0, place] = 3 * sentence[0]
        scores = scores_of_frames(head, text, VideoFeatures(frames, torch.ones(1, 7, dtype=torch.bool)))
        assert scores.shape == (7,)
        assert int(scores.argmax()) == place
