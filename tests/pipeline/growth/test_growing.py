"""A store follows its archive: what is new is extracted, what is kept is not, what is gone is read no more."""

import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from tvr.data.base import load_dataset
from tvr.data.contracts.errors import StoreError
from tvr.pipeline.encoders.base import Encoder
from tvr.pipeline.extract import planned_growth
from tvr.pipeline.job_array import JobShare
from tvr.pipeline.repair import repair
from tvr.pipeline.store.checksummed_json import read_checksummed, write_checksummed
from tvr.pipeline.store.claim import claimed_store
from tvr.pipeline.store.generations.record import (
    Counts,
    earlier_digests,
    load_generation,
    load_manifest,
    record_path,
)
from tvr.pipeline.store.reader import FeatureStore
from tvr.pipeline.store.receipts import receipt_path
from tvr.pipeline.store.verification import verify
from tvr.pipeline.summary import Summary
from tvr.pipeline.video.sample_clip import write_sample

from ...fixtures.archive import built_in_encoder, bytes_of, options_for, warm_extract
from ...fixtures.mp4 import Movie, write_movie

CLIPS = "abcdef"


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return built_in_encoder()


@pytest.fixture(scope="module")
def made(encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of six clips and its store, in three shards of videos and two of captions."""
    place = tmp_path_factory.mktemp("made")
    (place / "archive").mkdir()
    write_sample(place / "sample.mp4")
    for name in CLIPS:
        shutil.copy(place / "sample.mp4", place / "archive" / f"{name}.mp4")
    describe(place)
    extracted(place, encoder)
    return place


@pytest.fixture
def place(made: Path, encoder: Encoder, tmp_path: Path) -> Path:
    """A copy of both, of which the store knows that it lies there now."""
    copy = shutil.copytree(made, tmp_path / "place")
    extracted(copy, encoder)
    return copy


def describe(place: Path, names: Iterable[str] = CLIPS, others: Iterable[str] = ()) -> None:
    rows = [f"{name}.mp4,,,a clip called {name}" for name in names]
    manifest = place / "archive" / "captions.csv"
    manifest.write_text("\n".join(["path,start,end,caption", *rows, *others]) + "\n")


def add(place: Path, *names: str) -> None:
    for name in names:
        shutil.copy(place / "sample.mp4", place / "archive" / f"{name}.mp4")
    describe(place, sorted({*CLIPS, *names}))


def extracted(place: Path, encoder: Encoder, store: str = "store", **changes: object) -> Summary:
    share = JobShare.parse(str(changes.pop("share", "1/1")))
    root = place / "archive"
    described = load_dataset("folder", root, {})
    return warm_extract(described, encoder, options_for(root, **changes), place / store, share=share)


def counted(summary: Summary) -> tuple[Counts | None, Counts | None]:
    return summary.counted_videos, summary.counted_texts


def equals_fresh(place: Path, encoder: Encoder) -> None:
    extracted(place, encoder, "fresh")
    grown, fresh = FeatureStore.open(place / "store"), FeatureStore.open(place / "fresh")
    assert grown.statuses() == fresh.statuses()
    assert grown.videos().frames.tobytes() == fresh.videos().frames.tobytes()
    assert (grown.texts().ids, grown.texts().texts) == (fresh.texts().ids, fresh.texts().texts)
    assert grown.texts().words.tobytes() == fresh.texts().words.tobytes()
    assert grown.splits == fresh.splits
    assert verify(place / "store").damages == ()


def test_only_what_is_new_is_encoded(place: Path, encoder: Encoder) -> None:
    before = bytes_of(place / "store")
    add(place, "bb", "zz", "0")
    summary = extracted(place, encoder)
    assert counted(summary) == (Counts(new=3, kept=6), Counts(new=3, kept=6))
    assert (summary.frames, summary.shards_done) == (3 * 4, 3)
    after = bytes_of(place / "store")
    assert {name: after[name] for name in before} == before
    assert sorted(after.keys() - before.keys()) == [
        "text-g1-00000-of-00001.h5",
        "video-g1-00000-of-00002.h5",
        "video-g1-00001-of-00002.h5",
    ]
    equals_fresh(place, encoder)
    again = extracted(place, encoder)
    assert (again.shards_done, again.counted_videos) == (0, None)


def test_what_is_gone_is_read_no_more_and_comes_back_for_nothing(place: Path, encoder: Encoder) -> None:
    describe(place, "abdef")
    assert counted(extracted(place, encoder)) == (Counts(gone=1, kept=5), Counts(gone=1, kept=5))
    store = FeatureStore.open(place / "store")
    assert store.video_ids == list("abdef")
    with pytest.raises(StoreError, match="no video 'c'"):
        store.frames("c")
    equals_fresh(place, encoder)
    shutil.rmtree(place / "fresh")
    describe(place)
    summary = extracted(place, encoder)
    assert counted(summary) == (Counts(kept=6), Counts(kept=6))
    assert summary.frames == 0
    equals_fresh(place, encoder)


def test_another_file_caption_or_span_replaces_what_was_there(place: Path, encoder: Encoder) -> None:
    write_movie(place / "archive" / "a.mp4", Movie(num_frames=12))
    summary = extracted(place, encoder)
    assert counted(summary) == (Counts(changed=1, kept=5), Counts(kept=6))
    describe(place, "abcde", ["f.mp4,0.1,,another text"])
    summary = extracted(place, encoder)
    # Its span is part of its id where none is given.
    assert counted(summary) == (Counts(new=1, gone=1, kept=5), Counts(new=1, gone=1, kept=5))
    equals_fresh(place, encoder)


def test_another_span_of_the_same_id_is_another_video(tmp_path: Path, encoder: Encoder) -> None:
    (tmp_path / "archive").mkdir()
    write_sample(tmp_path / "archive" / "a.mp4")
    manifest = tmp_path / "archive" / "captions.csv"
    manifest.write_text("path,id,start,end,caption\na.mp4,one,0,0.2,x\na.mp4,two,0,0.3,y\n")
    extracted(tmp_path, encoder)
    manifest.write_text("path,id,start,end,caption\na.mp4,one,0,0.2,x\na.mp4,two,0.1,0.3,y\n")
    summary = extracted(tmp_path, encoder)
    assert counted(summary) == (Counts(changed=1, kept=1), Counts(kept=2))
    assert load_generation(tmp_path / "store", 1).videos == ["two"]  # type: ignore[union-attr]
    equals_fresh(tmp_path, encoder)


def test_a_failed_file_that_was_mended_is_seen(place: Path, encoder: Encoder) -> None:
    (place / "archive" / "b.mp4").write_bytes(b"no film")
    assert extracted(place, encoder).status == {"ok": 5, "failed": 1}
    shutil.copy(place / "sample.mp4", place / "archive" / "b.mp4")
    assert extracted(place, encoder).status == {"ok": 6}
    equals_fresh(place, encoder)


def test_failed_rows_of_an_earlier_generation_are_retried_in_their_shard(
    place: Path, encoder: Encoder
) -> None:
    (place / "archive" / "b.mp4").write_bytes(b"no film")
    extracted(place, encoder)
    add(place, "g")
    extracted(place, encoder)
    shutil.copy(place / "sample.mp4", place / "archive" / "b.mp4")
    summary = extracted(place, encoder, retry="failed")
    assert (summary.retried, summary.frames, summary.counted_videos) == (1, 4, None)
    equals_fresh(place, encoder)


def test_one_caption_a_video_becomes_several(place: Path, encoder: Encoder) -> None:
    describe(place, CLIPS, ["a.mp4,,,another caption"])
    assert counted(extracted(place, encoder)) == (Counts(kept=6), Counts(new=1, kept=6))
    assert load_manifest(place / "store").protocol == "multi"
    assert FeatureStore.open(place / "store").texts(["a"]).texts == ("a clip called a", "another caption")
    equals_fresh(place, encoder)


def test_jobs_share_what_is_new(place: Path, encoder: Encoder) -> None:
    add(place, *"ghijk")
    first = extracted(place, encoder, share="2/3")
    assert first.counted_videos == Counts(new=5, kept=6)
    assert first.shards_left
    for share in ("1/3", "3/3"):
        assert extracted(place, encoder, share=share).counted_videos is None
    equals_fresh(place, encoder)


def test_a_job_of_another_list_fails_while_somebody_writes(place: Path, encoder: Encoder) -> None:
    add(place, "g")
    stored = load_manifest(place / "store")
    with (
        claimed_store(place / "store", stored, FeatureStore.open(place / "store").splits),
        pytest.raises(StoreError, match=r"another process extracts into .* come, changed or gone"),
    ):
        extracted(place, encoder)
    assert extracted(place, encoder).counted_videos == Counts(new=1, kept=6)


def test_a_store_made_in_another_way_fails_to_grow(place: Path, encoder: Encoder) -> None:
    add(place, "g")
    with pytest.raises(StoreError, match=r"made in another way(.|\n)*max_seconds: the store has None"):
        extracted(place, encoder, max_seconds=1.0)


def test_a_published_set_fails_to_grow(place: Path, encoder: Encoder) -> None:
    add(place, "g")
    described = replace(load_dataset("folder", place / "archive", {}), is_archive=False)
    with pytest.raises(StoreError, match=r"annotation_digests\.captions\.csv: the store has"):
        warm_extract(described, encoder, options_for(place / "archive"), place / "store")


def test_an_interrupted_generation_that_changed_again_loses_nothing(place: Path, encoder: Encoder) -> None:
    add(place, *"ghijk")
    extracted(place, encoder, share="1/4")
    describe(place, sorted({*CLIPS, *"gijk"}))
    summary = extracted(place, encoder)
    kept = summary.counted_videos.kept if summary.counted_videos else 0
    assert 6 < kept < 10
    equals_fresh(place, encoder)


def test_what_is_planned_is_what_is_done_and_writes_nothing(place: Path, encoder: Encoder) -> None:
    add(place, "g")
    before = {path: path.stat().st_mtime_ns for path in (place / "store").rglob("*")}
    described, options = load_dataset("folder", place / "archive", {}), options_for(place / "archive")
    planned = planned_growth(described, encoder.identity, options, place / "store")
    assert planned is not None
    generation, plan = planned
    assert generation.counted_videos == Counts(new=1, kept=6)
    assert [video.id for video in plan.videos] == ["g"]
    assert {path: path.stat().st_mtime_ns for path in (place / "store").rglob("*")} == before
    extracted(place, encoder)
    assert planned_growth(described, encoder.identity, options, place / "store") is None


def test_digests_of_before_are_known(place: Path, encoder: Encoder) -> None:
    digests = [FeatureStore.open(place / "store").digest]
    for name in "gh":
        add(place, *"gh"[: "gh".index(name) + 1])
        extracted(place, encoder)
        digests.append(FeatureStore.open(place / "store").digest)
    assert earlier_digests(place / "store") == digests[:-1]
    assert len(set(digests)) == 3


@pytest.mark.parametrize(
    "name", ["video-00001-of-00003.h5", "video-g1-00000-of-00001.h5", "text-g1-00000-of-00001.h5"]
)
def test_a_damaged_shard_is_mended_with_what_is_wanted_now(place: Path, encoder: Encoder, name: str) -> None:
    add(place, "g")
    extracted(place, encoder)
    data = bytearray((place / "store" / name).read_bytes())
    data[len(data) // 2] ^= 1
    (place / "store" / name).write_bytes(data)
    found = verify(place / "store")
    assert [damage.file for damage in found.damages] == [name]
    repair(found)
    equals_fresh(place, encoder)


def test_a_damaged_shard_fails_to_be_mended_without_its_video(place: Path, encoder: Encoder) -> None:
    add(place, "g")
    extracted(place, encoder)
    (place / "store" / "video-00001-of-00003.h5").write_bytes(b"")
    (place / "archive" / "c.mp4").unlink()
    with pytest.raises(StoreError, match=r"lacks 1 video of damaged shards, the first is 'c'"):
        repair(verify(place / "store"))
    assert receipt_path(place / "store" / "video-00001-of-00003.h5").exists()


def test_a_record_that_was_changed_fails_and_is_made_anew(place: Path, encoder: Encoder) -> None:
    add(place, "g")
    extracted(place, encoder)
    path = record_path(place / "store", 1)
    path.write_text(path.read_text().replace('"gone_videos": []', '"gone_videos": ["a"]'))
    with pytest.raises(StoreError, match=r"00001\.json is not the record of a generation .*changed after"):
        FeatureStore.open(place / "store")
    found = verify(place / "store")
    assert [damage.file for damage in found.damages] == ["generations/00001.json"]
    repair(found)
    equals_fresh(place, encoder)


@pytest.mark.parametrize("shard", ["../elsewhere.h5", "audio-00000-of-00001.h5"])
def test_a_record_that_names_what_is_no_shard_fails(place: Path, encoder: Encoder, shard: str) -> None:
    add(place, "g")
    extracted(place, encoder)
    path = record_path(place / "store", 1)
    write_checksummed(path, read_checksummed(path) | {"shards": [shard]})
    with pytest.raises(StoreError, match="it names the shard"):
        FeatureStore.open(place / "store")
