"""The same clips in a folder, in tar files and on web servers make the same store; what goes wrong is told alike."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from tvr.data.base import Video
from tvr.data.contracts.errors import DataError, UsageError
from tvr.data.sources.address import Address
from tvr.data.sources.remote_object import RemoteObject
from tvr.pipeline.cluster.preflight import PreflightCheck
from tvr.pipeline.decoding import child_process
from tvr.pipeline.decoding import pool as pools
from tvr.pipeline.decoding.messages import SERVER_SECONDS
from tvr.pipeline.decoding.pool import DecoderPool, DecodeTask
from tvr.pipeline.encoders.base import Encoder
from tvr.pipeline.estimate import estimate
from tvr.pipeline.extract import extract
from tvr.pipeline.growth.watching import Watched
from tvr.pipeline.options import EncoderSpec
from tvr.pipeline.preprocessing import Preprocessing
from tvr.pipeline.sampling import Sampling
from tvr.pipeline.store.generations.record import Counts
from tvr.pipeline.store.reader import FeatureStore
from tvr.pipeline.store.verification import verify
from tvr.pipeline.trust.changes import compared_files

from ..fixtures.archive import built_in_encoder
from ..fixtures.elsewhere import (
    OPTIONS,
    extracted_from,
    loaded,
    shards_of,
    write_clips,
    write_manifest,
    write_shards,
)
from ..fixtures.file_server import FileServer, file_server
from ..fixtures.mp4 import HEIGHT, WIDTH, Movie, number_of, write_movie
from ..fixtures.tars import write_tar

STATUS = {"ok": 3, "partial": 1, "failed": 1}


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return built_in_encoder()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("folder") / "clips"


@pytest.fixture(scope="module")
def clips(folder: Path) -> Mapping[str, bytes]:
    return write_clips(folder)


@pytest.fixture(scope="module")
def right(folder: Path, clips: Mapping[str, bytes], encoder: Encoder) -> Mapping[str, str]:
    """The shards of the clips in the folder."""
    summary = extracted_from(folder, encoder, folder.parent / "store")
    assert dict(summary.status) == STATUS
    return shards_of(folder.parent / "store")


@pytest.fixture
def server(clips: Mapping[str, bytes]) -> Iterator[FileServer]:
    with file_server(files={f"/clips/{name}": content for name, content in clips.items()}) as server:
        yield server


def manifest(place: Path, server: FileServer, query: str = "") -> Path:
    addresses = {Path(path).stem: server.url(path, query) for path in server.files}
    return write_manifest(place / "clips.csv", addresses)


def reasons(store: Path) -> dict[str, str]:
    return {row.id: row.reason for row in FeatureStore.open(store).statuses() if row.status == "failed"}


def test_clips_in_tar_files_give_the_same_bytes(
    tmp_path: Path, clips: Mapping[str, bytes], right: Mapping[str, str], encoder: Encoder
) -> None:
    summary = extracted_from(write_shards(tmp_path / "shards", clips), encoder, tmp_path / "store")
    assert dict(summary.status) == STATUS
    assert shards_of(tmp_path / "store") == right
    assert not verify(tmp_path / "store").damages
    files = compared_files(FeatureStore.open(tmp_path / "store"), loaded(tmp_path / "shards").videos)
    assert (files.same, dict(files.changed), files.gone, files.unknown) == (4, {}, 0, 0)


@pytest.mark.parametrize("ranges", [True, False])
def test_clips_on_a_server_give_the_same_bytes(
    tmp_path: Path, server: FileServer, right: Mapping[str, str], encoder: Encoder, ranges: bool
) -> None:
    server.ranges = ranges
    summary = extracted_from(manifest(tmp_path, server), encoder, tmp_path / "store")
    assert dict(summary.status) == STATUS
    assert shards_of(tmp_path / "store") == right


def test_another_signature_is_the_same_store_and_no_signature_is_kept(
    tmp_path: Path, server: FileServer, right: Mapping[str, str], encoder: Encoder
) -> None:
    store = tmp_path / "store"
    for query in ("X-Amz-Signature=s3cret1", "X-Amz-Signature=s3cret2"):
        server.query = query
        server.asked.clear()
        extracted_from(manifest(tmp_path, server, query), encoder, store)
    assert {method for method, _, _ in server.asked} == {"HEAD"}, "it was fetched again"
    assert shards_of(store) == right
    for path in store.rglob("*"):
        assert path.is_dir() or b"s3cret" not in path.read_bytes(), path


def test_what_fails_on_the_way_is_a_row_that_is_tried_again(
    tmp_path: Path, server: FileServer, right: Mapping[str, str], encoder: Encoder
) -> None:
    store, root = tmp_path / "store", manifest(tmp_path, server)
    taken = server.files.pop("/clips/b.mkv")
    server.breaks_at = 4000
    summary = extracted_from(root, encoder, store)
    assert summary.status["failed"] == 5
    assert reasons(store) == {
        **dict.fromkeys("acd", "cannot be read (the connection was broken off)"),
        "b": "cannot be read (there is no such object (HTTP 404))",
        "e": "file is empty (0 bytes)",
    }
    server.breaks_at, server.files["/clips/b.mkv"] = None, taken
    assert shards_of(store) != right
    extracted_from(root, encoder, store, retry="failed")
    assert shards_of(store) == right


def test_an_object_that_was_replaced_is_found_and_extracted_again(
    tmp_path: Path, server: FileServer, encoder: Encoder
) -> None:
    store, root = tmp_path / "store", manifest(tmp_path, server)
    extracted_from(root, encoder, store)
    server.files["/clips/a.mp4"] = server.files["/clips/c.ts"]
    server.files["/clips/e.mp4"] = server.files["/clips/c.ts"]
    files = compared_files(FeatureStore.open(store), loaded(root).videos)
    assert (list(files.changed), list(files.mended)) == (["a"], ["e"])
    summary = extracted_from(root, encoder, store)
    assert summary.counted_videos == Counts(new=0, changed=2, gone=0, kept=3)
    features = FeatureStore.open(store)
    np.testing.assert_allclose(features.frames("a"), features.frames("c"), atol=1e-3)
    assert compared_files(features, loaded(root).videos).same == 5

    del server.files["/clips/a.mp4"]
    files = compared_files(features, loaded(root).videos)
    assert (files.same, dict(files.changed), files.gone) == (4, {}, 1)
    server.query = "another"
    with pytest.raises(DataError, match="cannot be read: access is denied"):
        compared_files(features, loaded(root).videos)


def test_a_server_that_does_not_let_us_in_ends_before_any_work(
    tmp_path: Path, server: FileServer, encoder: Encoder
) -> None:
    root = manifest(tmp_path, server, "sig=s3cret")
    server.query = "another"
    with pytest.raises(DataError, match="cannot be read: access is denied") as failure:
        extracted_from(root, encoder, tmp_path / "store")
    assert "s3cret" not in str(failure.value)
    assert not (tmp_path / "store").exists()
    with pytest.raises(DataError, match="cannot be read: access is denied"):
        estimate(loaded(root), encoder, OPTIONS)


def test_a_tar_that_is_replaced_after_it_was_listed_gives_no_frame(
    tmp_path: Path, clips: Mapping[str, bytes], right: Mapping[str, str], encoder: Encoder
) -> None:
    """What lay at a place lies elsewhere: nothing is taken from there for the video that was."""
    shards, store = write_shards(tmp_path / "shards", clips), tmp_path / "store"
    dataset = loaded(shards)
    write_tar(shards / "00000.tar", {"x.mp4": b"x" * 100, "a.mp4": clips["a.mp4"], "b.mkv": clips["b.mkv"]})
    extract(dataset, encoder, OPTIONS, store)
    said = "cannot be read (00000.tar was written to or replaced since its members were listed. Run the command again)"
    assert {id: reasons(store)[id] for id in "ab"} == dict.fromkeys("ab", said)
    (shards / "00000.tar").unlink()
    (shards / "00001.tar").unlink()
    shards.rmdir()
    extracted_from(write_shards(shards, clips), encoder, store, retry="failed")
    assert shards_of(store) == right


def test_a_member_that_was_replaced_and_a_tar_that_came_are_found(
    tmp_path: Path, clips: Mapping[str, bytes], encoder: Encoder
) -> None:
    shards, store = write_shards(tmp_path / "shards", clips), tmp_path / "store"
    extracted_from(shards, encoder, store)
    other = write_movie(tmp_path / "other.mp4", Movie(33)).read_bytes()
    for path in shards.iterdir():
        path.unlink()
    shards.rmdir()
    write_shards(shards, {**clips, "a.mp4": other})
    write_tar(shards / "00002.tar", {"f.mp4": other, "f.txt": b"one that came"})
    summary = extracted_from(shards, encoder, store)
    assert summary.counted_videos == Counts(new=1, changed=1, gone=0, kept=4)
    assert summary.counted_texts == Counts(new=1, changed=0, gone=0, kept=5)
    assert compared_files(FeatureStore.open(store), loaded(shards).videos).same == 5


@pytest.mark.parametrize("decoder", ["decord"])
def test_decoders_that_read_files_alone_fail_before_any_work(
    tmp_path: Path, clips: Mapping[str, bytes], encoder: Encoder, decoder: str
) -> None:
    shards = write_shards(tmp_path / "shards", clips)
    with pytest.raises(
        UsageError, match=r"--decoder decord reads files of their own alone; 5 videos .*00000\.tar"
    ):
        extracted_from(shards, encoder, tmp_path / "store", decoder=decoder)
    assert not (tmp_path / "store").exists()


def test_workers_of_a_cluster_have_to_see_the_tar_files(tmp_path: Path, clips: Mapping[str, bytes]) -> None:
    shards = write_shards(tmp_path / "shards", clips)
    remote = Video("x", RemoteObject(Address.parsed("https://host/x.mp4")))
    videos = [*loaded(shards).videos.values(), remote]
    seen = PreflightCheck(EncoderSpec("tvr-storyboard"), "pyav", videos).files
    assert {path for path, _ in seen} == {shards / "00000.tar", shards / "00001.tar"}
    assert all(path.stat().st_size == size for path, size in seen)


def test_an_archive_is_watched_by_its_tar_files_and_asks_no_server(
    tmp_path: Path, clips: Mapping[str, bytes], server: FileServer
) -> None:
    problems: list[DataError] = []
    for root in (write_shards(tmp_path / "shards", clips), manifest(tmp_path, server)):
        watched = Watched(lambda root=root: loaded(root), 0.01)
        assert len(watched.first(problems.append).videos) == 5
    assert not problems
    assert not server.asked


class Clock:
    """Of the process that waits for its children; it can go on by hours at once."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.skipped = 0.0
        self.waits: list[bool] = []
        """Whether each word of a child of servers was that it begins to wait."""
        count_wait = child_process.ChildProcess._count_wait

        def counted(child: child_process.ChildProcess, since: float, *, begins: bool) -> float:
            now = count_wait(child, since, begins=begins)
            self.waits.append(begins)
            return now

        patch.setattr(child_process.ChildProcess, "_count_wait", counted)
        patch.setattr(child_process, "time", self)
        patch.setattr(pools, "time", self)

    def monotonic(self) -> float:
        return time.monotonic() + self.skipped

    def skip(self, seconds: float) -> None:
        """Go on by so much while a child waits for what it has asked for."""
        while self.waits != [True, False, True]:
            time.sleep(0.01)
        self.skipped += seconds
        time.sleep(0.5)  # several looks of who ends what is late


@contextmanager
def held_back(content: bytes, clock: Clock, seconds: float, *, answers: bool) -> Iterator[DecodeTask]:
    """A video whose server says how long it is, and sends nothing before the clock has gone on by so much, or ever."""
    held = threading.Event()
    size = Preprocessing(HEIGHT, WIDTH, "squash", "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))

    def release() -> None:
        clock.skip(seconds)
        if answers:
            held.set()

    with file_server(files={"/a.mp4": content}, held=held) as server:
        thread = threading.Thread(target=release)
        thread.start()
        remote = RemoteObject(Address.parsed(server.url("/a.mp4")))
        yield DecodeTask("a", remote, Sampling("uniform", 3), size, identify="ends")
        thread.join()


def test_waiting_for_a_server_takes_nothing_of_a_videos_time(
    clips: Mapping[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, limit = Clock(monkeypatch), 60.0
    with (
        held_back(clips["a.mp4"], clock, 10 * limit, answers=True) as task,
        DecoderPool(1, time_limit_seconds=limit) as pool,
    ):
        (video,) = pool.decode([task])
    assert (video.status, video.reason) == ("ok", "")
    assert [number_of(frame) for frame in video.frames] == [10, 30, 50]
    assert video.file.startswith(f"{len(clips['a.mp4'])} bytes, modified 1700000000000000000, ends ")


def test_a_server_that_never_answers_is_not_waited_for_for_ever(
    clips: Mapping[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    with held_back(clips["a.mp4"], clock, SERVER_SECONDS + 1, answers=False) as task, DecoderPool(1) as pool:
        (video,) = pool.decode([task])
    assert video.status == "failed"
    assert "it took longer than its time limit of 9" in video.reason
