"""Clips in S3 and in Google Cloud Storage make the store that the same clips in a folder make."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from tvr.data.contracts.byte_source import SourceError
from tvr.data.contracts.errors import DataError
from tvr.data.contracts.identity import FileIdentity
from tvr.data.sources import fetching
from tvr.data.sources.address import Address
from tvr.data.sources.network_errors import UnreachableError
from tvr.data.sources.remote_object import RemoteObject
from tvr.pipeline.encoders.base import Encoder
from tvr.pipeline.store.reader import FeatureStore
from tvr.pipeline.trust.changes import compared_files

from ..fixtures.archive import built_in_encoder
from ..fixtures.elsewhere import extracted_from, loaded, shards_of, write_clips, write_manifest
from ..fixtures.object_servers import SECRET, gcs_server, s3_server

LARGE = bytes(range(256)) * 2000
ODD = "a folder/#1 100%25?.mp4"
"""A name that is neither escaped nor cut anywhere."""


class Bucket:
    """A bucket of a server, and how it is written into."""

    def __init__(self, scheme: str, files: Any) -> None:
        self.scheme, self.files = scheme, files

    def put(self, key: str, content: bytes) -> None:
        self.files.pipe(f"bucket/{key}", content)

    def object(self, key: str, bucket: str = "bucket") -> RemoteObject:
        return RemoteObject(Address.parsed(f"{self.scheme}://{bucket}/{key}"))


SERVERS: dict[str, Any] = {"s3": s3_server, "gs": gcs_server}


@pytest.fixture(scope="module", params=list(SERVERS))
def bucket(request: pytest.FixtureRequest) -> Iterator[Bucket]:
    with pytest.MonkeyPatch.context() as patch:
        server: AbstractContextManager[Any] = SERVERS[request.param](patch)
        with server as files:
            yield Bucket(request.param, files)
    fetching._filesystem.cache_clear()


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return built_in_encoder()


def test_they_make_the_same_bytes_and_are_found_when_they_change(
    bucket: Bucket, tmp_path: Path, encoder: Encoder
) -> None:
    clips = write_clips(tmp_path / "clips")
    for name, content in clips.items():
        bucket.put(f"clips/{name}", content)
    addresses = {Path(name).stem: f"{bucket.scheme}://bucket/clips/{name}" for name in clips}
    root = write_manifest(tmp_path / "clips.csv", addresses)
    for place, store in ((tmp_path / "clips", tmp_path / "right"), (root, tmp_path / "store")):
        extracted_from(place, encoder, store)
    assert shards_of(tmp_path / "store") == shards_of(tmp_path / "right")
    for path in (tmp_path / "store").rglob("*"):
        assert path.is_dir() or SECRET.encode() not in path.read_bytes()

    store, videos = FeatureStore.open(tmp_path / "store"), loaded(root).videos
    assert compared_files(store, videos, by_time=True).same == 4
    bucket.put("clips/a.mp4", clips["c.ts"])
    assert list(compared_files(store, videos, by_time=True).changed) == ["a"]


def test_an_object_is_read_in_parts_of_one_version(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "_LEAST_AHEAD", 1 << 16)
    bucket.put(ODD, LARGE)
    (tmp_path / "a").write_bytes(LARGE)
    remote = bucket.object(ODD)
    assert remote.name == "#1 100%25?.mp4"
    identity = FileIdentity.of(remote)
    assert (identity.bytes, identity.digest) == (len(LARGE), FileIdentity.of(tmp_path / "a").digest)
    assert identity.modified_ns > 0
    with remote.open() as file:
        assert file.read(10) == LARGE[:10]
        bucket.put(ODD, LARGE[::-1])
        with pytest.raises(SourceError, match="was replaced or changed while it was fetched"):
            file.read()
            file.require_unchanged()


def test_what_is_not_there_fails(bucket: Bucket) -> None:
    with pytest.raises(SourceError, match="there is no such object") as failure:
        bucket.object("none.mp4").look()
    assert not isinstance(failure.value, UnreachableError)
    bucket.put("folder/a.mp4", b"x")
    with pytest.raises(SourceError, match="is a folder of objects, not an object"):
        bucket.object("folder").look()


def test_a_bucket_that_is_not_there_or_not_ours_fails_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(place: str) -> str:
        fetching._filesystem.cache_clear()
        root = write_manifest(
            tmp_path / "clips.csv", {"a": f"s3://{place}/a.mp4", "b": f"s3://{place}/b.mp4"}
        )
        with pytest.raises(DataError) as failure:
            extracted_from(root, built_in_encoder(), tmp_path / "store")
        assert not (tmp_path / "store").exists()
        return str(failure.value)

    with s3_server(monkeypatch):
        assert said("nobodys").startswith(
            "s3://nobodys cannot be read: there is no such bucket (NoSuchBucket). Credentials are those of the environ"
        )
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
        assert said("bucket").startswith("s3://bucket cannot be read: there are no credentials for it here. ")
    fetching._filesystem.cache_clear()
