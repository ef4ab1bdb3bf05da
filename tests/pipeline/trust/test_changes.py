"""Videos of the same names that are other files: their features never pass for those of these."""

import os
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
from tvr.pipeline.options import ExtractionOptions
from tvr.pipeline.progress import Progress
from tvr.pipeline.request import Named
from tvr.pipeline.store.checksummed_json import read_checksummed, write_checksummed
from tvr.pipeline.store.generations.record import Counts
from tvr.pipeline.store.reader import FeatureStore
from tvr.pipeline.store.receipts import load_receipt, receipt_path
from tvr.pipeline.store.verification import verify
from tvr.pipeline.summary import Summary
from tvr.pipeline.trust.changes import FileComparison, compared_by_request

from ...fixtures.archive import (
    built_in_encoder,
    bytes_of,
    extracted,
    options_for,
    warm_extract,
    write_archive,
)
from ...fixtures.mp4 import Movie, write_movie

FIRST = "video-00000-of-00003.h5"
"""Of the shards of the archive, the one of videos a and b."""


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return built_in_encoder()


@pytest.fixture(scope="module")
def made(encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive and its store."""
    place = tmp_path_factory.mktemp("made")
    extracted(write_archive(place / "archive"), encoder, place / "store")
    return place


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Path:
    """A copy of both: another folder, the same files at the same times."""
    return shutil.copytree(made, tmp_path / "place")


def again(place: Path, encoder: Encoder, root: Path | None = None, **changes: object) -> Summary:
    root = root or place / "archive"
    options: ExtractionOptions = options_for(root, **changes)
    return warm_extract(load_dataset("folder", root, {}), encoder, options, place / "store")


def other_film(path: Path) -> None:
    write_movie(path, Movie(num_frames=12))


def without_record_of_files(store: Path) -> None:
    """As an earlier version wrote it."""
    for shard in store.glob("video-*.h5"):
        record = read_checksummed(receipt_path(shard))
        del record["files"], record["versions"]
        write_checksummed(receipt_path(shard), record)


def test_the_same_files_elsewhere_are_the_same(place: Path, encoder: Encoder) -> None:
    before = bytes_of(place / "store")
    summary = again(place, encoder)
    assert (summary.shards_done, summary.unknown_files) == (0, 0)
    assert bytes_of(place / "store") == before
    os.utime(place / "archive" / "a.mp4", ns=(1, 1))  # touched, not changed
    assert again(place, encoder).shards_done == 0


def test_a_folder_that_was_renamed(place: Path, encoder: Encoder) -> None:
    renamed = (place / "archive").rename(place / "my clips")
    with pytest.raises(
        StoreError,
        match=r"the store has 'folder-archive'.*\nIf it is the same archive .* --data name=archive\.",
    ):
        again(place, encoder, renamed)
    described = load_dataset("folder", renamed, {"name": "archive"})
    assert warm_extract(described, encoder, options_for(renamed), place / "store").shards_done == 0


def test_another_camera_with_the_same_names_fails(place: Path, encoder: Encoder, tmp_path: Path) -> None:
    other = shutil.copytree(place / "archive", tmp_path / "other" / "archive")
    for name in "abd":
        other_film(other / f"{name}.mp4")
    before = bytes_of(place / "store")
    again(place, encoder)  # now the store knows this place
    with pytest.raises(StoreError) as refused:
        again(place, encoder, other)
    said = str(refused.value)
    assert "3 of the videos" in said
    assert "are other files now than those whose features it holds, such as 'a'" in said
    assert f"The store was made from {place / 'archive'}, this run looks in {other}" in said
    assert "Add --retry changed to extract them again" in said
    assert bytes_of(place / "store") == before
    assert load_receipt(place / "store" / FIRST).files.keys() == {"a", "b"}


@pytest.mark.parametrize("share", ["1/1", "1/3"])
def test_what_a_broken_off_retry_left_is_still_told_apart(
    place: Path, encoder: Encoder, tmp_path: Path, share: str
) -> None:
    """Lengths and times are equal, so only a place where all features come from vouches for files."""
    again(place, encoder)
    other = shutil.copytree(place / "archive", tmp_path / "other" / "archive")
    for name in "abd":
        path, facts = other / f"{name}.mp4", (other / f"{name}.mp4").stat()
        path.write_bytes(path.read_bytes()[:-1] + b"x")
        os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    described, options = load_dataset("folder", other, {}), options_for(other, retry="changed")

    def break_off(progress: Progress) -> None:
        if progress.stage == "videos":
            raise KeyboardInterrupt

    if share == "1/1":
        with pytest.raises(KeyboardInterrupt):
            warm_extract(described, encoder, options, place / "store", on_progress=break_off)
    else:
        assert (
            warm_extract(described, encoder, options, place / "store", share=JobShare.parse(share)).retried
            == 2
        )
    with pytest.raises(StoreError, match="this run looks in"):
        again(place, encoder, other)
    again(place, encoder, other, retry="changed")
    assert again(place, encoder, other).shards_done == 0


def test_a_share_of_another_camera_fails(encoder: Encoder, tmp_path: Path) -> None:
    """Also where no shard of the share itself is there yet."""
    root = write_archive(tmp_path / "archive")
    other = shutil.copytree(root, tmp_path / "other" / "archive")
    other_film(other / "a.mp4")
    store = tmp_path / "store"
    for place, share in ((root, "1/3"), (other, "2/3")):
        described = load_dataset("folder", place, {})
        if place is other:
            with pytest.raises(StoreError, match=r"1 of the videos .* such as 'a'.*this run looks in"):
                warm_extract(described, encoder, options_for(place), store, share=JobShare.parse(share))
            retried = options_for(place, retry="changed")
            assert warm_extract(described, encoder, retried, store, share=JobShare.parse(share)).retried == 0
        else:
            warm_extract(described, encoder, options_for(place), store, share=JobShare.parse(share))


def test_a_replaced_file_fails_whatever_else_is_to_be_retried(place: Path, encoder: Encoder) -> None:
    other_film(place / "archive" / "b.mp4")
    for what in (None, "failed", "untrusted"):
        with pytest.raises(
            StoreError, match=r"1 of the videos .* such as 'b': [\d,]+ bytes then, [\d,]+ now"
        ):
            again(place, encoder, retry=what)


def test_files_of_the_same_length_and_time_are_told_apart_elsewhere(
    place: Path, encoder: Encoder, tmp_path: Path
) -> None:
    """Cameras write files of one length, and clocks of cards tick in seconds."""
    again(place, encoder)
    other = shutil.copytree(place / "archive", tmp_path / "other" / "archive")
    path, facts = other / "a.mp4", (other / "a.mp4").stat()
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    with pytest.raises(StoreError, match=r"such as 'a': other content, [\d,]+ bytes long as before"):
        again(place, encoder, other)
    shutil.copy2(path, place / "archive" / "a.mp4")
    assert again(place, encoder).shards_done == 0, "in its own place its time vouches for it"
    assert again(place, encoder, file_digest="whole").counted_videos == Counts(changed=1, kept=4)


def test_every_byte_is_compared_on_demand(encoder: Encoder, tmp_path: Path) -> None:
    root = write_archive(tmp_path / "archive")
    long = root / "a.mp4"
    long.write_bytes(long.read_bytes() + bytes(200_000))  # behind the film, where nobody looks
    store = extracted(root, encoder, tmp_path / "store", file_digest="whole")
    assert " whole " in load_receipt(store / FIRST).files["a"]
    extracted(root, encoder, store, file_digest="whole")
    facts = long.stat()
    data = bytearray(long.read_bytes())
    data[100_000] = 1
    long.write_bytes(data)
    os.utime(long, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    described, options = load_dataset("folder", root, {}), options_for(root, file_digest="whole")
    assert warm_extract(described, encoder, options, store).counted_videos == Counts(changed=1, kept=4)


def test_only_changed_videos_are_extracted_again(place: Path, encoder: Encoder) -> None:
    store = place / "store"
    before = FeatureStore.open(store).frames("a").tobytes()
    untouched = {name: data for name, data in bytes_of(store).items() if name != FIRST}
    other_film(place / "archive" / "b.mp4")
    described = load_dataset("folder", place / "archive", {})
    options = options_for(place / "archive", retry="changed")
    assert count_retried(described, encoder.identity, options, store) == 1
    summary = again(place, encoder, retry="changed")
    assert (summary.retried, summary.shards_done, summary.frames) == (1, 1, 4)
    assert FeatureStore.open(store).frames("a").tobytes() == before
    assert {name: data for name, data in bytes_of(store).items() if name != FIRST} == untouched
    fresh = FeatureStore.open(extracted(place / "archive", encoder, place / "fresh"))
    np.testing.assert_allclose(FeatureStore.open(store).frames("b"), fresh.frames("b"), atol=2e-3)
    assert load_receipt(store / FIRST).files == load_receipt(place / "fresh" / FIRST).files
    assert verify(store).damages == ()
    assert again(place, encoder).shards_done == 0


def test_features_of_another_file_do_not_stay_where_the_new_one_fails(place: Path, encoder: Encoder) -> None:
    (place / "archive" / "b.mp4").write_bytes(b"no film at all")
    assert again(place, encoder, retry="changed").status["failed"] == 2
    assert len(FeatureStore.open(place / "store").frames("b")) == 0
    assert again(place, encoder).shards_done == 0, "a video that failed has no features of any file"


def test_a_file_that_changes_while_it_is_decoded_is_seen_the_next_time(
    encoder: Encoder, tmp_path: Path
) -> None:
    root, store = write_archive(tmp_path / "archive"), tmp_path / "store"
    described, options = load_dataset("folder", root, {}), options_for(root)

    def change(progress: Progress) -> None:
        if progress.stage == "videos" and (root / "a.mp4").stat().st_size < 10_000:
            other_film(root / "a.mp4")

    warm_extract(described, encoder, options, store, on_progress=change)
    assert warm_extract(described, encoder, options, store).counted_videos == Counts(changed=1, kept=4)


def test_what_an_older_store_does_not_know_is_said(place: Path, encoder: Encoder) -> None:
    without_record_of_files(place / "store")
    for _ in range(2):
        summary = again(place, encoder)
        assert (summary.is_moved, summary.unknown_files) == (True, 3), (
            "nothing vouches for them the next time either"
        )
    archive = Named(place / "archive")
    assert compared_by_request(FeatureStore.open(place / "store"), archive) == FileComparison({}, 0, 0, 3)
    other_film(place / "archive" / "b.mp4")
    assert again(place, encoder).shards_done == 0


def test_a_look_at_the_files(place: Path, encoder: Encoder) -> None:
    store = FeatureStore.open(place / "store")
    archive = Named(place / "archive")
    assert compared_by_request(store, archive) == FileComparison({}, 3, 0, 0)
    other_film(place / "archive" / "d.mp4")
    (place / "archive" / "a.mp4").unlink()
    (place / "archive" / "b.mp4").unlink()
    assert compared_by_request(store, archive).gone == 2
    os.mkfifo(place / "archive" / "b.mp4")  # nothing is read of it, or this would wait for ever
    looked: list[tuple[int, int]] = []
    compared = compared_by_request(store, archive, lambda done, total: looked.append((done, total)))
    assert list(compared.changed) == ["d"]
    assert looked[-1][0] == looked[-1][1]


def test_a_look_fails_at_a_receipt_that_names_no_file(place: Path) -> None:
    receipt = receipt_path(place / "store" / FIRST)
    record = read_checksummed(receipt)
    write_checksummed(receipt, record | {"files": {"a": "the one with the cat"}})
    with pytest.raises(StoreError, match=r"does not say which files it was made of: 'the one with the cat'"):
        compared_by_request(FeatureStore.open(place / "store"), Named(place / "archive"))


@pytest.mark.parametrize("what", ["changed:b", "changes"])
def test_a_part_of_what_changed_fails(what: str) -> None:
    with pytest.raises(UsageError, match=r"changed"):
        replace(options_for(Path("archive")), retry=what)
