import pytest
import torch
from tvr.data.contracts.errors import UsageError
from tvr.heads import mean_pool, wti
from tvr.heads.search.gallery.exact import Gallery, search

from ....fixtures.generated import generated_features


def test_search_ranks_as_the_similarity_does() -> None:
    features = generated_features(videos=30, noise=2.0)
    torch.manual_seed(0)
    head = wti.Head(wti.Config(layers=1, init="random"), features.shape()).eval()
    texts = features.text_batch(torch.arange(4), head.shape.num_words)
    found = search(head, features, texts, top_k=7)
    with torch.no_grad():
        videos = head.encode_video(features.video_batch(torch.arange(30), head.shape.num_frames))
        scores = head.similarity(head.encode_text(texts), videos)
    for row, hits in zip(scores, found, strict=True):
        assert [hit.video_id for hit in hits] == [
            features.video_ids[i] for i in row.argsort(descending=True)[:7]
        ]
        assert [hit.score for hit in hits] == pytest.approx(
            row.sort(descending=True).values[:7].tolist(), abs=1e-5
        )


def test_search_finds_the_video_that_is_described() -> None:
    features = generated_features(videos=20, noise=0.2)
    gallery = Gallery(mean_pool.Head(mean_pool.Config(), features.shape()), features)
    hits = gallery.search(features.text_batch(torch.arange(20), 8), top_k=1)
    assert [hit[0].video_id for hit in hits] == list(features.video_ids)


def test_search_gives_all_there_is() -> None:
    features = generated_features(videos=3)
    head = mean_pool.Head(mean_pool.Config(), features.shape())
    assert len(search(head, features, features.text_batch(torch.arange(1), 8), top_k=10)[0]) == 3


def test_search_fails_for_nothing() -> None:
    features = generated_features(videos=3)
    head = mean_pool.Head(mean_pool.Config(), features.shape())
    with pytest.raises(UsageError, match="top_k must be at least 1"):
        search(head, features, features.text_batch(torch.arange(1), 8), top_k=0)
