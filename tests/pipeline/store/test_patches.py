"""Patches from the spool into the shard and back, in both number formats."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from tvr.data.contracts.errors import StoreError, UsageError
from tvr.pipeline.decoding.pool import DecoderPool
from tvr.pipeline.encoders import clip
from tvr.pipeline.encoders.base import Encoder
from tvr.pipeline.encoders.towers.patch_tokens import pooled
from tvr.pipeline.estimate import estimate
from tvr.pipeline.options import ExtractionOptions
from tvr.pipeline.sampling import Sampling
from tvr.pipeline.shard_worker import decode_task
from tvr.pipeline.store.generations.record import load_manifest
from tvr.pipeline.store.manifest import differences
from tvr.pipeline.store.patches import PatchFormat, PatchLayout, PatchSpool, dequantised, quantised
from tvr.pipeline.store.reader import FeatureStore
from tvr.pipeline.video.sample_clip import write_sample

from ...fixtures.archive import warm_extract
from ...fixtures.datasets import dataset
from ...fixtures.shell import tvr


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return clip.load("tvr-storyboard", None, precision="fp32")


@pytest.fixture
def videos(tmp_path: Path) -> dict[str, Path | None]:
    """Sound clips with an empty file and a missing one between them."""
    paths: dict[str, Path | None] = {name: tmp_path / f"{name}.mp4" for name in "abcd"}
    for name in "abd":
        write_sample(tmp_path / f"{name}.mp4")
    (tmp_path / "c.mp4").touch()
    return paths | {"e": None}


def options(number_format: PatchFormat | None, sampling: Sampling | None = None) -> ExtractionOptions:
    return ExtractionOptions(
        sampling or Sampling(num_frames=5),
        videos_per_shard=3,
        frames_per_batch=4,
        num_children=2,
        patches_dtype=number_format,
    )


@pytest.mark.parametrize(("number_format", "tolerance"), [("float16", 1e-3), ("int8", 1 / 127)])
def test_patches_come_back(
    videos: dict[str, Path | None],
    encoder: Encoder,
    tmp_path: Path,
    number_format: PatchFormat,
    tolerance: float,
) -> None:
    described, chosen = dataset(videos), options(number_format)
    warm_extract(described, encoder, chosen, tmp_path / "store")
    store = FeatureStore.open(tmp_path / "store")
    assert store.has_patches
    with DecoderPool(1) as pool:
        found = [described.videos[name] for name in ("a", "b", "d")]
        for video in pool.decode(decode_task(one, encoder.identity.preprocessing, chosen) for one in found):
            expected = encoder.begin_frames(video.frames, patches=True)().patches
            assert expected is not None
            stored = store.patches(video.id)
            assert stored.shape == expected.shape
            largest = np.abs(expected).max(axis=-1, keepdims=True)
            assert (np.abs(stored - expected) <= tolerance * largest + 1e-6).all()
    assert store.patches("c").shape == store.patches("e").shape == (0, *expected.shape[1:])  # pyright: ignore
    assert [path.name for path in (tmp_path / "store").iterdir() if "tmp" in path.name] == []


def test_patches_are_read_in_a_few_lines(
    videos: dict[str, Path | None], encoder: Encoder, tmp_path: Path
) -> None:
    warm_extract(dataset(videos), encoder, options("int8"), tmp_path)
    shard: Any
    with h5py.File(tmp_path / "video-00000-of-00002.h5") as shard:
        start, stop = shard["offsets"][1:3]
        patches = shard["patches"][start:stop] * shard["patch_scales"][start:stop][..., None]
    assert np.array_equal(patches, FeatureStore.open(tmp_path).patches("b"))


def test_the_bytes_depend_neither_on_children_nor_on_chunks(
    videos: dict[str, Path | None], encoder: Encoder, tmp_path: Path
) -> None:
    every = Sampling("all")
    for children in (1, 3):
        warm_extract(
            dataset(videos),
            encoder,
            ExtractionOptions(
                every, videos_per_shard=3, frames_per_batch=3, num_children=children, patches_dtype="float16"
            ),
            tmp_path / str(children),
        )
    for path in (tmp_path / "1").glob("*.h5"):
        assert path.read_bytes() == (tmp_path / "3" / path.name).read_bytes()
    assert len(FeatureStore.open(tmp_path / "1").frames("a")) == 8, "two chunks and a rest"


def test_a_retry_keeps_the_patches_of_a_video_that_is_gone(
    videos: dict[str, Path | None], encoder: Encoder, tmp_path: Path
) -> None:
    described, folder = dataset(videos), tmp_path / "store"
    warm_extract(described, encoder, options("int8"), folder)
    before = FeatureStore.open(folder).patches("a").copy()
    path = videos["a"]
    assert path is not None
    path.unlink()
    path.mkdir()  # not a file any more, so not another one either
    again = ExtractionOptions(
        Sampling(num_frames=5),
        videos_per_shard=3,
        frames_per_batch=4,
        retry="failed",
        patches_dtype="int8",
    )
    warm_extract(described, encoder, again, folder)
    assert np.array_equal(FeatureStore.open(folder).patches("a"), before)


def test_the_estimate_is_what_the_store_takes(
    videos: dict[str, Path | None], encoder: Encoder, tmp_path: Path
) -> None:
    described = dataset({name: path for name, path in videos.items() if name in "abd"})
    expected = estimate(described, encoder, options("int8"))
    warm_extract(described, encoder, options("int8"), tmp_path / "store")
    shard: Any = h5py.File(tmp_path / "store" / "video-00000-of-00001.h5")
    assert expected.patch_gigabytes * 1e9 == shard["patches"].nbytes + shard["patch_scales"].nbytes
    found = encoder.identity
    assert (expected.patch_kind, expected.patch_dim) == ("projected", found.dim)
    assert expected.patches_per_frame == found.num_patches
    without = estimate(described, encoder, options(None))
    assert (without.patch_gigabytes, without.patch_kind, without.patch_dim) == (0, "", 0)


def test_a_store_without_patches_fails(
    videos: dict[str, Path | None], encoder: Encoder, tmp_path: Path
) -> None:
    warm_extract(dataset(videos), encoder, options(None), tmp_path / "store")
    with pytest.raises(StoreError, match="has no patches; extract with --patches"):
        FeatureStore.open(tmp_path / "store").patches("a")
    with pytest.raises(StoreError, match=r"patches_dtype: the store has None, this run would use 'int8'"):
        warm_extract(dataset(videos), encoder, options("int8"), tmp_path / "store")


def test_a_model_without_patches_fails(videos: dict[str, Path | None], tmp_path: Path) -> None:
    encoder = clip.load("RN50", "random", precision="fp32")
    with pytest.raises(UsageError, match="RN50 has no patch features: its image tower, ModifiedResNet"):
        warm_extract(dataset(videos), encoder, options("int8"), tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_raw_tokens_of_a_store_pool_to_its_frames(tmp_path: Path) -> None:
    """Through the commands, by a tower that pools by attention; what float16 rounds is 5e-4 of a number."""
    (tmp_path / "films").mkdir()
    write_sample(tmp_path / "films" / "a.mp4")
    model = ("PE-Core-T-16-384", "random")
    films = (
        "extract",
        "--dataset",
        "folder",
        "--root",
        "films",
        "--model",
        model[0],
        "--pretrained",
        model[1],
    )
    small = (
        "--num-frames",
        "2",
        "--precision",
        "fp32",
        "--yes",
        "--batch-size",
        "2",
        "--patches",
        "--store",
        "made",
    )
    made = tvr(*films, *small, cwd=tmp_path)
    assert made.code == 0, made
    said = tvr("inspect", "made", cwd=tmp_path).out
    assert "577 raw tokens of each frame (1 of them before its patches), 192 wide, float16" in said
    store = FeatureStore.open(tmp_path / "made")
    assert (store.manifest.patch_kind, store.manifest.patch_dim) == ("raw", 192)
    loaded = clip.load(*model, device="cpu", precision="fp32")
    raw = loaded.identity.raw_patches
    assert raw is not None
    assert store.manifest.encoder["raw_patches"] == {**asdict(raw), "pooling": list(raw.pooling)}
    assert f"pooled by weights {', '.join(raw.pooling)} (sha256 {raw.pooling_digest[:12]})" in said
    for name in store.video_ids:
        tokens = torch.from_numpy(np.array(store.patches(name), np.float32))
        with torch.no_grad():
            expected = pooled(loaded.texts.model, tokens).numpy()
        assert expected.shape == (2, 512)
        assert np.abs(store.frames(name) - expected).max() <= 2e-3 * np.abs(expected).max()


def test_a_store_from_before_raw_tokens_is_the_same_store(
    videos: dict[str, Path | None], encoder: Encoder, tmp_path: Path
) -> None:
    """Its record has no such key; nor does its digest change, which the receipts of its shards name."""
    warm_extract(dataset(videos), encoder, options(None), tmp_path)
    old = load_manifest(tmp_path)
    without = replace(old, encoder={k: v for k, v in old.encoder.items() if k != "raw_patches"})
    raw = {"per_frame": 9, "prefix": 1, "dim": 4, "pooling": ["visual.head."], "pooling_digest": "0" * 64}
    now = replace(old, encoder={**old.encoder, "raw_patches": raw})
    assert differences(without, now) == differences(without, old) == []
    assert without.features_digest == old.features_digest == now.features_digest
    assert (without.patch_kind, without.patch_dim, now.patch_kind, now.patch_dim) == ("", 0, "", 0)
    kept, raw_kept = (replace(one, patches_dtype="float16") for one in (without, now))
    assert (kept.patch_kind, kept.patch_dim, raw_kept.patch_kind, raw_kept.patch_dim) == (
        "projected",
        old.dim,
        "raw",
        4,
    )


@pytest.mark.parametrize("value", [{"per_frame": "many", "dim": 4}, {"per_frame": 9, "dim": 0}, 5, {}])
def test_a_record_of_raw_tokens_fails(
    videos: dict[str, Path | None], encoder: Encoder, tmp_path: Path, value: object
) -> None:
    warm_extract(dataset({"a": videos["a"]}), encoder, options(None), tmp_path)
    old = load_manifest(tmp_path)
    replace(old, encoder={**old.encoder, "raw_patches": value}).save(tmp_path, {})
    with pytest.raises(StoreError, match="is not the manifest of a store"):
        load_manifest(tmp_path)


def test_quantised() -> None:
    patches = np.random.default_rng(0).normal(size=(3, 4, 8)).astype(np.float32) * 7
    patches[1, 2] = 0
    values, scales = quantised(patches)
    back = dequantised(values, scales)
    assert np.abs(back - patches).max() <= scales.max() / 2 * 1.0001
    assert (np.abs(values).max(axis=-1)[scales > 0] == 127).all()
    assert not back[1, 2].any()


@pytest.mark.parametrize("number_format", ["float16", "int8"])
def test_the_spool_fails(tmp_path: Path, number_format: PatchFormat) -> None:
    spool = PatchSpool(tmp_path, PatchLayout(2, 3, number_format))
    with pytest.raises(StoreError, match="NaN or infinity in patch tokens"):
        spool.add(np.full((1, 2, 3), np.nan, np.float32))
    if number_format == "float16":
        with pytest.raises(StoreError, match="too large for float16; use --patches-dtype int8"):
            spool.add(np.full((1, 2, 3), 1e5, np.float32))
