import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from tvr.data.contracts.errors import DataError, UsageError
from tvr.heads.features import feature_set
from tvr.heads.features import from_store as stored
from tvr.heads.features.feature_set import FeatureSet, Origin
from tvr.heads.features.from_store import features_of, gallery_of
from tvr.heads.features.rows import Rows
from tvr.pipeline.store.reader import FeatureStore

from ...fixtures.generated import generated_features, generated_rows, without_frames
from ...fixtures.stores import write_store


def test_video_batches_equal_loops() -> None:
    videos, texts = generated_rows(videos=7, frames=(2, 9))
    features = FeatureSet(videos, texts)
    items = torch.tensor([5, 0, 5, 3])
    batch = features.video_batch(items, 20)
    for row, mask, item in zip(batch.frames, batch.mask, items.tolist(), strict=True):
        own = videos.frames[videos.offsets[item] : videos.offsets[item + 1]]
        assert int(mask.sum()) == len(own)
        np.testing.assert_array_equal(row[mask].numpy(), own.astype(np.float32))
        assert not row[~mask].any()
    assert batch.frames.shape[1] == max(int(videos.offsets[i + 1] - videos.offsets[i]) for i in items)


def test_text_batches_equal_loops() -> None:
    videos, texts = generated_rows(videos=7, captions=2, words=(2, 9))
    batch = FeatureSet(videos, texts).text_batch(torch.tensor([3, 13]), 20)
    for k, item in enumerate([3, 13]):
        own = texts.words[texts.offsets[item] : texts.offsets[item + 1]].astype(np.float32)
        np.testing.assert_array_equal(batch.words[k][batch.mask[k]].numpy(), own)
        np.testing.assert_array_equal(batch.sentence[k].numpy(), own[texts.sentence_row[item]])


def test_long_texts_keep_their_end_token() -> None:
    videos, texts = generated_rows(videos=2, words=(9, 9))
    batch = FeatureSet(videos, texts).text_batch(torch.tensor([1]), 4)
    own = texts.words[9:18].astype(np.float32)
    np.testing.assert_array_equal(batch.words[0].numpy(), own[[0, 1, 2, 8]])
    assert batch.mask.all()


def test_sentences_of_a_paragraph() -> None:
    videos, texts = generated_rows(videos=3)
    parts = np.arange(6 * 16, dtype=np.float16).reshape(6, 16)
    texts = dataclasses.replace(texts, parts=parts, part_offsets=np.array([0, 2, 3, 6]))
    batch = FeatureSet(videos, texts).text_batch(torch.tensor([2, 1]), 9)
    assert batch.parts is not None
    assert batch.parts_mask is not None
    assert batch.parts_mask.tolist() == [[True] * 3, [True, False, False]]
    np.testing.assert_array_equal(batch.parts[0].numpy(), parts[3:].astype(np.float32))


def test_a_share_is_cut_from_the_whole_batch() -> None:
    features = generated_features(videos=8, frames=(3, 30))
    items = torch.arange(8)
    whole = features.video_batch(items, 6, torch.Generator().manual_seed(1))
    part = features.video_batch(items, 6, torch.Generator().manual_seed(1), slice(4, 8))
    torch.testing.assert_close(part.frames, whole.frames[4:], atol=0, rtol=0)
    text_part = features.text_batch(items, 6, slice(4, 8))
    torch.testing.assert_close(text_part.words, features.text_batch(items, 6).words[4:], atol=0, rtol=0)


def test_mapped_features_give_the_same_batches(tmp_path: Path) -> None:
    videos, texts = generated_rows(videos=5)
    np.save(tmp_path / "frames.npy", videos.frames)
    mapped = dataclasses.replace(videos, frames=np.asarray(np.load(tmp_path / "frames.npy", mmap_mode="r")))
    features = FeatureSet(mapped, texts)
    assert not features.is_resident
    items = torch.arange(5)
    torch.testing.assert_close(
        features.video_batch(items, 9).frames,
        FeatureSet(videos, texts).video_batch(items, 9).frames,
        atol=0,
        rtol=0,
    )


def test_resident_where_asked(tmp_path: Path) -> None:
    values = np.arange(8, dtype=np.float16).reshape(4, 2)
    values.flags.writeable = False
    rows = Rows.of(values, np.array([0, 1, 4]))
    assert not rows.is_resident
    placed = rows.placed_on("cpu", resident=True)
    assert placed.is_resident
    gathered, _ = placed.gather(torch.tensor([1]), torch.tensor([[2, 0]]), torch.ones(1, 2, dtype=torch.bool))
    assert gathered.tolist() == [[[6, 7], [2, 3]]]


def test_videos_without_frames_are_left_out_and_counted() -> None:
    videos, texts = generated_rows(videos=4, captions=2)
    origin = Origin("test", reasons={"video00001": "failed: truncated"})
    features = FeatureSet(without_frames(videos, 1), texts, origin)
    assert features.video_ids == ("video00000", "video00002", "video00003")
    assert features.excluded_videos == {"video00001": "failed: truncated"}
    assert features.text_ids == tuple(f"text{i:05d}" for i in (0, 1, 4, 5, 6, 7))
    assert features.text_video.tolist() == [0, 0, 1, 1, 2, 2]
    assert features.excluded_queries["text00002"] == "its video 'video00001' failed: truncated"
    assert str(features) == ("test: 3 videos, 6 texts (1 video and 2 texts excluded: 1 failed: truncated)")
    assert features.recorded == str(features).replace("1 video ", "1 videos "), (
        "by which former runs are known"
    )
    own = videos.frames[videos.offsets[2] : videos.offsets[3]].astype(np.float32)
    np.testing.assert_array_equal(features.video_batch(torch.tensor([1]), 99).frames[0].numpy(), own)


def test_shape_prefers_what_is_asked_then_what_is_usual() -> None:
    videos, texts = generated_rows(frames=(20, 24), words=(9, 9))
    usual = FeatureSet(videos, texts, Origin(num_frames=12, logit_scale=50.0)).shape()
    assert (usual.num_frames, usual.num_words, usual.dim, usual.logit_scale) == (12, 9, 16, 50.0)
    assert FeatureSet(videos, texts).shape(num_frames=5, num_words=6).num_frames == 5


def test_features_of_a_store(tmp_path: Path) -> None:
    store = FeatureStore.open(write_store(tmp_path / "store"))
    features = features_of(store, "train")
    assert features.video_ids == ("v0", "v1")
    assert features.excluded_videos == {"v2": "failed: no video stream"}
    assert features.text_ids == ("t0", "t1", "t5")
    assert features.origin.expected_videos == 3
    assert (features.shape().num_frames, features.shape().num_words) == (4, 8)
    assert features.origin.store["encoder"]["model"] == "toy-model"
    assert features.shape().attention_heads is None
    said = dataclasses.replace(store.manifest, encoder={**store.manifest.encoder, "attention_heads": 3})
    assert features_of(FeatureStore(store.folder, said), "train").shape().attention_heads == 3
    everything = gallery_of(store)
    assert everything.video_ids == ("v0", "v1", "v3")
    assert everything.num_texts == 0


def test_mapped_features_are_those_in_memory(tmp_path: Path) -> None:
    """Over several shards, with failed videos in between, and moved to a device as a whole."""
    store = FeatureStore.open(write_store(tmp_path / "store"))
    for split in ("train", "test"):
        copied, mapped = features_of(store, split, mapped=False), features_of(store, split, mapped=True)
        assert (mapped.video_ids, mapped.text_ids, mapped.texts) == (
            copied.video_ids,
            copied.text_ids,
            copied.texts,
        )
        assert mapped.excluded_queries == copied.excluded_queries
        assert mapped.num_bytes == copied.num_bytes
        assert (copied.is_resident, mapped.is_resident) == (True, False)
        videos, texts = torch.arange(copied.num_videos), torch.arange(copied.num_texts)
        moved = placed_resident(mapped)
        assert moved.is_resident
        for some in (mapped, moved):
            assert torch.equal(some.video_batch(videos, 9).frames, copied.video_batch(videos, 9).frames)
            assert torch.equal(some.text_batch(texts, 5).words, copied.text_batch(texts, 5).words)
            assert torch.equal(some.text_batch(texts, 5).sentence, copied.text_batch(texts, 5).sentence)
            assert some.frame_seconds(0, 9).tolist() == copied.frame_seconds(0, 9).tolist()
            assert some.token_ids(0, 5).tolist() == copied.token_ids(0, 5).tolist()


def placed_resident(features: FeatureSet) -> FeatureSet:
    """On the CPU as on a GPU that has room."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feature_set, "_free_bytes", lambda device: 1e12)
        return features.placed_on("cpu")


def test_large_stores_are_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FeatureStore.open(write_store(tmp_path / "store"))
    assert features_of(store, "train").is_resident
    monkeypatch.setattr(stored, "SHARE_OF_MEMORY", 0.0)
    assert not features_of(store, "train").is_resident
    assert gallery_of(store).video_ids == ("v0", "v1", "v3")


def test_features_of_fails_on_an_unknown_split(tmp_path: Path) -> None:
    store = FeatureStore.open(write_store(tmp_path / "store"))
    with pytest.raises(UsageError, match=r"no split 'validation'. Known: test, train"):
        features_of(store, "validation")


def test_feature_set_fails_without_frames() -> None:
    videos, texts = generated_rows(videos=1)
    with pytest.raises(DataError, match="none of its 1 video has frames"):
        FeatureSet(without_frames(videos, 0), texts)
