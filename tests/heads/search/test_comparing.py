"""What a score is worth among the others of its query, and that candidates are the nearest."""

import math

import pytest
import torch
from tvr.data.contracts.errors import UsageError
from tvr.heads import mean_pool, wti
from tvr.heads.search.comparing import FEWEST, AskedTexts, Compared, EveryItem, NearestItems, Usual
from tvr.heads.search.gallery.coarse import CoarseVectors, coarse_of
from tvr.heads.search.gallery.encoded_items import EncodedNow

from ...fixtures.generated import generated_features


def test_a_score_stands_as_a_normal_distribution_says() -> None:
    torch.manual_seed(0)
    usual = Usual.of(torch.randn(100_000) * 0.02 + 0.3, 100_000)
    assert usual is not None
    assert usual.deviations(0.34) == pytest.approx(2.0, abs=0.02)
    # Two deviations are passed by 2.275 % of a normal distribution.
    assert usual.by_chance(0.34) == pytest.approx(2275, rel=0.03)
    assert usual.by_chance(0.3) == pytest.approx(50_000, rel=0.02)


def test_of_few_or_equal_scores_nothing_is_said() -> None:
    assert Usual.of(torch.randn(FEWEST - 1), FEWEST - 1) is None
    assert Usual.of(torch.full((100,), 0.25), 100) is None


def test_the_best_of_chance_alone_seldom_stands_out() -> None:
    """Of 1,000 queries that nothing answers, a tenth reach what a tenth of an item would reach by chance."""
    chance = 0.1
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(1000, 500, generator=generator)
    found = [Usual.of(row, 500) for row in rows]
    tops = [usual.by_chance(float(row.max())) for usual, row in zip(found, rows, strict=True) if usual]
    share = sum(top < chance for top in tops) / len(rows)
    assert share == pytest.approx(1 - math.exp(-chance), abs=0.03)


@pytest.mark.parametrize("kept", [True, False])
def test_every_item_is_compared_or_those_that_may_be_found(kept: bool) -> None:
    features = generated_features(videos=30, noise=2.0)
    head = wti.Head(wti.Config(layers=1, init="random"), features.shape()).eval()
    texts = features.text_batch(torch.arange(3), head.shape.num_words)
    with torch.no_grad():
        videos = head.encode_video(features.video_batch(torch.arange(30), head.shape.num_frames))
        expected = head.similarity(head.encode_text(texts), videos)
    compare, asked = EveryItem(head, features, kept=kept), AskedTexts.of(head, texts)
    for row, found in zip(expected, compare(asked), strict=True):
        torch.testing.assert_close(found.scores, row)
        assert found.items.tolist() == list(range(30))
    among = torch.arange(30) % 3 == 1
    for row, found in zip(expected, compare(asked, among), strict=True):
        torch.testing.assert_close(found.scores, row[among])
        assert found.items.tolist() == list(range(1, 30, 3))
        usual = Usual.of(row, 30)
        assert found.usual is not None and usual is not None
        assert found.usual.mean == pytest.approx(usual.mean, abs=1e-5), "what is usual is told by all"


def test_candidates_are_the_nearest_and_scored_by_the_head() -> None:
    features = generated_features(videos=60, noise=1.0)
    head = mean_pool.Head(mean_pool.Config(), features.shape()).eval()
    vectors = CoarseVectors(coarse_of(head), EncodedNow(head, features))
    texts = AskedTexts.of(head, features.text_batch(torch.arange(5), head.shape.num_words))
    every = EveryItem(head, features, kept=True)(texts)
    for among in (None, torch.arange(60) % 2 == 0):
        some = NearestItems(EncodedNow(head, features), coarse_of(head), vectors.nearest, 10)(texts, among)
        for whole, found in zip(every, some, strict=True):
            allowed = whole.scores if among is None else whole.scores.masked_fill(~among, -torch.inf)
            assert set(found.items.tolist()) == set(allowed.topk(10).indices.tolist())
            torch.testing.assert_close(found.scores, whole.scores[found.items])
            assert found.usual is not None and whole.usual is not None
            assert found.usual.mean == pytest.approx(whole.usual.mean, abs=1e-4), (
                "60 are fewer than are drawn"
            )


def test_candidates_fail_for_none() -> None:
    features = generated_features(videos=3)
    head = mean_pool.Head(mean_pool.Config(), features.shape())
    with pytest.raises(UsageError, match="candidates must be at least 1"):
        NearestItems(EncodedNow(head, features), coarse_of(head), lambda *_: [], 0)


def test_nothing_is_found_where_nothing_may_be() -> None:
    features = generated_features(videos=30)
    head = mean_pool.Head(mean_pool.Config(), features.shape())
    vectors = CoarseVectors(coarse_of(head), EncodedNow(head, features))
    nobody = torch.zeros(30, dtype=torch.bool)
    [found] = NearestItems(EncodedNow(head, features), coarse_of(head), vectors.nearest, 5)(
        AskedTexts.of(head, features.text_batch(torch.arange(1), 8)), nobody
    )
    assert not len(found.items)


def test_an_owner_has_the_best_of_its_items() -> None:
    compared = Compared(torch.tensor([0, 1, 3, 4]), torch.tensor([0.1, 0.5, 0.5, 0.2]), None)
    scores, items = compared.by_owner(torch.tensor([0, 0, 1, 2, 2]), 3)
    assert scores.tolist() == pytest.approx([0.5, -math.inf, 0.5])
    assert (items[0], items[2]) == (1, 3)
