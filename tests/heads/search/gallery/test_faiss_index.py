import re
import sys
from functools import cache
from pathlib import Path
from typing import Literal

import pytest
import torch
from tvr.data.contracts.errors import StoreError, UsageError
from tvr.data.contracts.plug_ins import load_plug_in, plug_in_names
from tvr.heads.base import Head, TextFeatures, build_head
from tvr.heads.features.feature_set import FeatureSet
from tvr.heads.search.gallery.coarse import coarse_of
from tvr.heads.search.gallery.exact import search
from tvr.heads.search.gallery.faiss_index import IndexedGallery, build_index
from tvr.heads.search.gallery.index_folder import VideoIndex

from ....fixtures.generated import generated_features


@cache
def toy_features() -> FeatureSet:
    """Generated features, made when the first test asks for them."""
    return generated_features(videos=60, noise=1.5)


@cache
def queries() -> TextFeatures:
    return toy_features().text_batch(torch.arange(10), 8)


def head_of(name: str) -> Head:
    torch.manual_seed(0)
    return build_head(name, load_plug_in("tvr.heads", name).Config(), toy_features().shape()).eval()


@pytest.mark.parametrize("name", plug_in_names("tvr.heads"))
def test_every_head_has_coarse_vectors(name: str) -> None:
    coarse = coarse_of(head_of(name))
    texts = coarse.of_texts(queries())
    videos = coarse.of_videos(toy_features().video_batch(torch.arange(5), 9))
    assert texts.shape == (10, videos.shape[1])
    torch.testing.assert_close(videos.norm(dim=1), torch.ones(5))


def test_heads_with_global_vectors_use_them() -> None:
    assert [coarse_of(head_of(name)).source for name in ("seq_transformer", "hcmi", "wti")] == [
        "head",
        "head",
        "mean_pool",
    ]


@pytest.mark.parametrize("kind", ["flat", "hnsw"])
def test_all_candidates_give_the_exact_ranking(kind: Literal["flat", "hnsw"]) -> None:
    head = head_of("wti")
    index = build_index(head, toy_features(), kind)
    found = IndexedGallery(head, toy_features(), index).search(queries(), top_k=5, candidates=60)
    for ours, exact in zip(found, search(head, toy_features(), queries(), top_k=5), strict=True):
        assert [hit.video_id for hit in ours] == [hit.video_id for hit in exact]
        assert [hit.score for hit in ours] == pytest.approx([hit.score for hit in exact], abs=1e-5)


def test_few_candidates_are_the_nearest() -> None:
    head = head_of("wti")
    coarse = coarse_of(head)
    nearest = (
        coarse.of_texts(queries()) @ coarse.of_videos(toy_features().video_batch(torch.arange(60), 9)).T
    ).topk(6)
    found = IndexedGallery(head, toy_features(), build_index(head, toy_features())).search(
        queries(), top_k=3, candidates=6
    )
    for hits, places in zip(found, nearest.indices.tolist(), strict=True):
        assert {hit.video_id for hit in hits} <= {toy_features().video_ids[place] for place in places}
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_an_index_is_read_back(tmp_path: Path) -> None:
    head = head_of("seq_transformer")
    built = build_index(head, toy_features())
    built.save(tmp_path / "index")
    loaded = VideoIndex.load(tmp_path / "index")
    assert loaded.record == built.record
    vectors = coarse_of(head).of_texts(queries()).numpy()
    assert loaded.nearest(vectors, 4) == built.nearest(vectors, 4)
    assert len(loaded.nearest(vectors, 10**17)[0]) == 60, "more than there are"


def test_index_fails_where_it_cannot_be_right(tmp_path: Path) -> None:
    head = head_of("wti")
    advice = re.escape(f"Make one with `tvr index {tmp_path / 'run-1'}`, or leave --candidates out")
    with pytest.raises(UsageError, match=advice):
        VideoIndex.load(tmp_path / "run-1" / "index")
    index = build_index(head, toy_features())
    with pytest.raises(
        StoreError, match=r"other videos than the store holds now. Make it again with `build_index`"
    ):
        IndexedGallery(head, generated_features(videos=59), index)
    gallery = IndexedGallery(head, toy_features(), index)
    with pytest.raises(UsageError, match=r"candidates must be at least top_k"):
        gallery.search(queries(), top_k=5, candidates=4)


def test_index_fails_without_faiss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(UsageError, match=r"pip install 'tvr\[index\]'"):
        build_index(head_of("wti"), toy_features())
