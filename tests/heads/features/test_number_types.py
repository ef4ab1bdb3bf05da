"""A store of which one shard is float16, one too large for it and one too small: as numbers it is one store."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tvr.heads import mean_pool
from tvr.heads.evaluation.scores import similarity_matrix
from tvr.heads.features import feature_set
from tvr.heads.features import from_store as stored
from tvr.heads.features.feature_set import FeatureSet
from tvr.heads.features.from_store import features_of, fits_in_memory, gallery_of
from tvr.heads.features.rows import ConcatenatedArrays
from tvr.heads.search.gallery.exact import search
from tvr.heads.search.gallery.faiss_index import IndexedGallery, build_index
from tvr.pipeline.store.generations.record import shard_name
from tvr.pipeline.store.manifest import SplitRecord, ids_digest
from tvr.pipeline.store.reader import FeatureStore, common_dtype
from tvr.pipeline.store.shards import TextRow, VideoRow, write_text_shard, write_video_shard

from ...fixtures.stores import DIM, manifest

MAGNITUDES = {"usual": 1.0, "large": 1e6, "tiny": 1e-8}
SPLITS = {"test": ("v0", "v1", "v2"), "usual": ("v0",)}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """Videos v0, v1 and v2 in a shard each, and a text of each in a shard each."""
    folder = tmp_path_factory.mktemp("mixed")
    splits = {n: SplitRecord(len(i), len(i), "made up", ids_digest(i)) for n, i in SPLITS.items()}
    changes = {"num_videos": 3, "videos_per_shard": 1, "num_texts": 3, "texts_per_shard": 1}
    manifest(splits=splits, **changes).save(folder, SPLITS)
    for place in range(3):
        frames, words = expected(place)
        indices = np.arange(len(frames), dtype=np.int32)
        video = VideoRow(f"v{place}", frames, indices.astype(np.float32), indices, "ok", "", "pyav")
        write_video_shard(folder / shard_name("video", place, 3), [video], DIM, {})
        tokens = np.arange(len(words), dtype=np.int32)
        text = TextRow(f"t{place}", f"v{place}", f"text {place}", words, tokens, len(words) - 1, False)
        write_text_shard(folder / shard_name("text", place, 3), [text], DIM, {})
    return FeatureStore.open(folder)


def expected(place: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames and words of an item, as float16 has them where it can."""
    random = np.random.default_rng(place)
    magnitude = list(MAGNITUDES.values())[place]
    rows = (random.standard_normal((7, DIM)) * magnitude).astype(np.float32)
    rows = rows.astype(np.float16).astype(np.float32) if place == 0 else rows
    return rows[:4], rows[4:]


def ways(store: FeatureStore, split: str) -> dict[str, FeatureSet]:
    """Every way in which features reach a head."""
    found = {
        "copied": features_of(store, split, mapped=False),
        "mapped": features_of(store, split, mapped=True),
    }
    with pytest.MonkeyPatch.context() as patch:  # a GPU that has room
        patch.setattr(feature_set, "_free_bytes", lambda device: 1e12)
        return found | {f"{name}, placed": some.placed_on("cpu") for name, some in found.items()}


def test_shards_are_of_two_types(mixed: FeatureStore) -> None:
    types = [str(shard.array("frames").dtype) for shard in mixed.shards("video")]
    assert types == ["float16", "float32", "float32"]
    assert mixed.dtype("frames") == mixed.dtype("words") == np.float32


@pytest.mark.parametrize("split", SPLITS)
def test_every_number_reaches_a_head(mixed: FeatureStore, split: str) -> None:
    for name, features in ways(mixed, split).items():
        for place in range(features.num_videos):
            frames, words = expected(place)
            video, text = (
                features.video_batch(torch.tensor([place]), 9),
                features.text_batch(torch.tensor([place]), 9),
            )
            np.testing.assert_array_equal(video.frames[0].numpy(), frames, name)
            np.testing.assert_array_equal(text.words[0].numpy(), words, name)
            np.testing.assert_array_equal(text.sentence[0].numpy(), words[-1], name)
        assert features.num_bytes == 7 * 4 * DIM * features.num_videos, name


def test_scores_are_the_same_by_every_way(mixed: FeatureStore) -> None:
    copied, *others = ways(mixed, "test").values()
    head = mean_pool.Head(mean_pool.Config(), copied.shape())
    scores = similarity_matrix(head, copied)
    assert bool(scores.isfinite().all())
    for features in others:
        assert torch.equal(similarity_matrix(head, features), scores)
    queries, gallery = copied.text_batch(torch.arange(3), 9), gallery_of(mixed)
    exact = search(head, gallery, queries, top_k=3)
    indexed = IndexedGallery(head, gallery, build_index(head, gallery)).search(queries, 3, 3)
    for row, *found in zip(scores.tolist(), exact, indexed, strict=True):
        for hits in found:
            assert {hit.video_id: hit.score for hit in hits} == pytest.approx(
                dict(zip(copied.video_ids, row, strict=True)), abs=1e-6
            )


def test_a_copy_is_as_large_as_its_largest_numbers_need(
    mixed: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = (12 + 9) * DIM * 4
    for free, fits in ((2 * copied, True), (2 * copied - 2, False)):
        monkeypatch.setattr(stored, "available_memory", lambda free=free: free)
        assert fits_in_memory(mixed) == fits


def test_no_shards_are_float16() -> None:
    assert common_dtype([]) == np.float16
    assert ConcatenatedArrays([np.zeros((1, 2), np.float16)]).itemsize == 2


def test_a_gallery_needs_no_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store of videos alone has not one shard of texts."""
    manifest(num_videos=1, videos_per_shard=1, num_texts=0, splits={}).save(tmp_path, {})
    frames, indices = expected(0)[0], np.arange(4, dtype=np.int32)
    row = VideoRow("v0", frames, indices.astype(np.float32), indices, "ok", "", "pyav")
    write_video_shard(tmp_path / shard_name("video", 0, 1), [row], DIM, {})
    for share in (0.5, 0.0):
        monkeypatch.setattr(stored, "SHARE_OF_MEMORY", share)
        assert gallery_of(FeatureStore.open(tmp_path)).video_ids == ("v0",)
