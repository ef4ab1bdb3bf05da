"""``--retry untrusted``: such videos are extracted again, and not a bit of any other row changes."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tvr.data.base import load_dataset
from tvr.data.contracts.errors import StoreError, UsageError
from tvr.pipeline.encoders.base import Encoder
from tvr.pipeline.extract import count_retried
from tvr.pipeline.job_array import JobShare
from tvr.pipeline.progress import Progress
from tvr.pipeline.request import Named
from tvr.pipeline.store.reader import FeatureStore
from tvr.pipeline.store.receipts import load_receipt
from tvr.pipeline.store.verification import verify
from tvr.pipeline.summary import Summary
from tvr.pipeline.trust.files import verdicts_by_request
from tvr.pipeline.video.sample_clip import write_sample

from ...fixtures.archive import built_in_encoder, options_for, warm_extract
from ...fixtures.older_stores import MARK, Place, older_place

FIRST, SECOND, THIRD, FOURTH = (f"video-0000{index}-of-00004.h5" for index in range(4))


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return built_in_encoder()


@pytest.fixture(scope="module")
def made(encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Place:
    return older_place(tmp_path_factory.mktemp("older"), encoder)


@pytest.fixture
def place(made: Place, tmp_path: Path) -> Place:
    """A copy of the archive and of its older store."""
    shutil.copytree(made.archive, tmp_path / "archive")
    return replace(made, archive=tmp_path / "archive", store=shutil.copytree(made.store, tmp_path / "store"))


def retry(place: Place, encoder: Encoder, what: str = "untrusted", **more: object) -> Summary:
    options = options_for(place.archive, retry=what)
    return warm_extract(load_dataset("folder", place.archive, {}), encoder, options, place.store, **more)  # type: ignore[arg-type]


def untrusted(store: Path, root: Path) -> list[str]:
    verdicts = verdicts_by_request(FeatureStore.open(store), Named(root))
    return [row.id for row in verdicts if row.verdict == "untrusted"]


def as_it_was(store: Path, before: FeatureStore, videos: str) -> None:
    """These rows are equal to the bit, and their times and states too."""
    after = FeatureStore.open(store)
    for video in videos:
        assert after.frames(video).tobytes() == before.frames(video).tobytes()
        assert after.frame_seconds(video).tobytes() == before.frame_seconds(video).tobytes()
    old, new = ({row.id: row for row in opened.statuses()} for opened in (before, after))
    assert [new[video] for video in videos] == [old[video] for video in videos]


def as_extracted_today(store: Path, fresh: Path, videos: str) -> None:
    after, wanted = FeatureStore.open(store), FeatureStore.open(fresh)
    for video in videos:
        np.testing.assert_allclose(after.frames(video), wanted.frames(video), atol=2e-3)
        assert after.frame_seconds(video).tolist() == wanted.frame_seconds(video).tolist()


def files(store: Path) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in store.glob("*-of-*")}


def test_only_untrusted_videos_are_extracted_again(place: Place, made: Place, encoder: Encoder) -> None:
    before, looked, extracted = files(place.store), [], []

    def note(progress: Progress) -> None:
        (looked if progress.stage == "files" else extracted).append(progress)

    summary = retry(place, encoder, on_progress=note)
    assert (summary.retried, summary.shards_done, summary.shards_skipped) == (2, 2, 5)
    assert summary.frames == 8, "those of two videos"
    assert summary.still_untrusted == 0
    assert (looked[-1].done, looked[-1].total) == (5, 5)
    assert (extracted[-1].done, extracted[-1].total, extracted[-1].frames) == (2, 2, 8)

    after = files(place.store)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {FIRST, THIRD, FIRST.replace(".h5", ".json"), THIRD.replace(".h5", ".json")}
    as_it_was(place.store, FeatureStore.open(made.store), "acdeg")
    as_extracted_today(place.store, made.fresh, "bf")
    assert {row.id: row.decoder for row in FeatureStore.open(place.store).statuses()}["b"] == "pyav"
    receipt = load_receipt(place.store / FIRST)
    assert (receipt.rules_of("a"), receipt.rules_of("b")) == (1, 2)
    assert verify(place.store).damages == ()

    assert untrusted(place.store, place.archive) == []
    again = retry(place, encoder)
    assert (again.retried, again.shards_done) == (0, 0)
    assert files(place.store) == after


def test_of_those_the_ones_with_a_reason(place: Place, made: Place, encoder: Encoder) -> None:
    summary = retry(place, encoder, "untrusted:yuv420p10")
    assert (summary.retried, summary.shards_done) == (1, 1)
    as_it_was(place.store, FeatureStore.open(made.store), "acdefg")
    assert untrusted(place.store, place.archive) == ["f"]


def test_patches_of_others_stay(encoder: Encoder, tmp_path: Path) -> None:
    place = older_place(tmp_path, encoder, patches_dtype="int8")
    before = FeatureStore.open(shutil.copytree(place.store, tmp_path / "before"))
    options = options_for(place.archive, retry="untrusted", patches_dtype="int8")
    warm_extract(load_dataset("folder", place.archive, {}), encoder, options, place.store)
    after, fresh = FeatureStore.open(place.store), FeatureStore.open(place.fresh)
    assert np.array_equal(after.patches("a"), before.patches("a"))
    assert after.frames("a").tobytes() == before.frames("a").tobytes()
    np.testing.assert_allclose(after.patches("b"), fresh.patches("b"), atol=0.05)


def test_a_missing_video_that_appears_is_extracted_too(place: Place, made: Place, encoder: Encoder) -> None:
    write_sample(place.archive / "e.mp4")
    summary = retry(place, encoder)
    assert (summary.retried, summary.frames) == (2, 12)
    as_it_was(place.store, FeatureStore.open(made.store), "acdg")
    assert len(FeatureStore.open(place.store).frames("e")) == 4


def test_a_video_that_cannot_be_read_any_more_keeps_its_row(
    place: Place, made: Place, encoder: Encoder
) -> None:
    (place.archive / "f.avi").unlink()
    whole = (place.archive / "b.mp4").read_bytes()
    # Its packets are all there, and none of them can be decoded.
    start, end = whole.index(b"mdat") + 4, whole.index(b"moov") - 4
    (place.archive / "b.mp4").write_bytes(whole[:start] + bytes(end - start) + whole[end:])
    summary = retry(place, encoder)
    as_it_was(place.store, FeatureStore.open(made.store), "abcdefg")
    verdicts = {
        row.id: row.verdict
        for row in verdicts_by_request(FeatureStore.open(place.store), Named(place.archive))
    }
    assert verdicts["f"] == "unknown"
    assert verdicts["b"] == "untrusted"
    assert (summary.retried, summary.still_untrusted) == (1, 1)


def test_a_plain_run_leaves_older_rows_alone(place: Place, made: Place, encoder: Encoder) -> None:
    (place.store / FOURTH).unlink()
    before = files(place.store)
    summary = warm_extract(
        load_dataset("folder", place.archive, {}), encoder, options_for(place.archive), place.store
    )
    assert summary.shards_done == 1
    assert {name: files(place.store)[name] for name in before if "00003" not in name} == {
        name: before[name] for name in before if "00003" not in name
    }
    as_it_was(place.store, FeatureStore.open(made.store), "abcdef")
    assert float(np.abs(FeatureStore.open(place.store).frames("a")).max()) > MARK


def test_count_retried(place: Place, encoder: Encoder) -> None:
    before = files(place.store)
    described, options = load_dataset("folder", place.archive, {}), options_for(place.archive)
    for what, count in (("untrusted", 2), ("failed", 2), (None, 0)):
        chosen = replace(options, retry=what, frames_per_batch=64)
        assert count_retried(described, encoder.identity, chosen, place.store) == count
    options = replace(options, retry="untrusted")
    for share, count in ((JobShare(1, 3), 1), (JobShare(2, 3), 0)):
        assert count_retried(described, encoder.identity, options, place.store, share=share) == count
    assert files(place.store) == before


def test_retry_untrusted_fails(place: Place, encoder: Encoder) -> None:
    with pytest.raises(UsageError, match=r"unknown --retry 'untrustd'\. Did you mean 'untrusted'"):
        options_for(place.archive, retry="untrustd")
    options = options_for(place.archive, retry="untrusted")
    described = load_dataset("folder", place.archive, {})
    with pytest.raises(StoreError, match="no feature store"):
        count_retried(described, encoder.identity, options, place.store / "nowhere")
    other = replace(options, sampling=replace(options.sampling, num_frames=3))
    with pytest.raises(StoreError, match=r"sampling\.num_frames: the store has 4"):
        count_retried(described, encoder.identity, other, place.store)
    shard = place.store / FIRST
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    with pytest.raises(StoreError, match=r"tvr verify .*--repair"):
        retry(place, encoder)
    assert shard.read_bytes() == bytes(data)
