"""Rows of an older store beside their files as they are now."""

import shutil
from pathlib import Path

import pytest
from tvr.data.base import load_dataset
from tvr.data.contracts.errors import DataError, StoreError
from tvr.pipeline.encoders.base import Encoder
from tvr.pipeline.request import Named
from tvr.pipeline.store.reader import FeatureStore
from tvr.pipeline.trust.files import verdicts_by_request, verdicts_of_files

from ...fixtures.archive import built_in_encoder, options_for
from ...fixtures.older_stores import Place, older_place

TEN_BIT = "decord: does not convert yuv420p10le as others do"
COUNTED = "its packets do not tell its frames, which older rules may have counted otherwise"


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return built_in_encoder()


@pytest.fixture(scope="module")
def place(encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Place:
    return older_place(tmp_path_factory.mktemp("older"), encoder)


def test_what_a_seeking_decoder_served_and_what_was_counted(place: Place) -> None:
    looked: list[tuple[int, int]] = []
    verdicts = verdicts_by_request(
        FeatureStore.open(place.store), on_file=lambda done, total: looked.append((done, total))
    )
    assert [(row.id, row.decoder, row.verdict, row.reason) for row in verdicts] == [
        ("a", "decord", "trusted", ""),
        ("b", "decord", "untrusted", TEN_BIT),
        ("d", "decord", "trusted", ""),
        ("f", "pyav", "untrusted", COUNTED),
        ("g", "decord", "trusted", ""),
    ]
    assert looked == [(done, 5) for done in range(1, 6)]


def test_of_some_shards(place: Place) -> None:
    videos = load_dataset("folder", place.archive, {}).videos
    store, options = FeatureStore.open(place.store), options_for(place.archive)
    some = verdicts_of_files(store, videos, options, shards={"video-00001-of-00004.h5"})
    assert [row.id for row in some] == ["d"]
    assert verdicts_of_files(FeatureStore.open(place.fresh), videos, options) == [], (
        "today's rows need no look"
    )


def test_files_that_are_gone_or_changed_are_never_trusted(place: Place, tmp_path: Path) -> None:
    moved = shutil.copytree(place.archive, tmp_path / "moved")
    (moved / "a.mp4").unlink()
    (moved / "d.mp4").write_bytes(b"no video")
    (moved / "g.mp4").write_bytes((moved / "b.mp4").read_bytes())
    rows = {
        row.id: (row.verdict, row.reason)
        for row in verdicts_by_request(FeatureStore.open(place.store), Named(moved))
    }
    assert rows["a"] == ("unknown", "file not found")
    assert rows["d"][0] == "unknown"
    assert "not a readable video file" in rows["d"][1]
    assert rows["g"] == ("untrusted", TEN_BIT)


def test_videos_that_the_data_set_has_no_more(place: Place) -> None:
    videos = dict(load_dataset("folder", place.archive, {}).videos)
    del videos["a"]
    rows = verdicts_of_files(FeatureStore.open(place.store), videos, options_for(place.archive))
    assert (rows[0].verdict, rows[0].reason) == ("unknown", "the data set has no such video now")


def test_by_request_fails(place: Place, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere"):
        verdicts_by_request(FeatureStore.open(place.store), Named(tmp_path / "nowhere"))
    store = shutil.copytree(place.store, tmp_path / "store")
    (store / "request.json").unlink()
    with pytest.raises(StoreError, match=r"request\.json is missing, so the files .* --retry untrusted"):
        verdicts_by_request(FeatureStore.open(store))
