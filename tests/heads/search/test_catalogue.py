"""What is known of each video of a store: by number, by filter."""

import pytest
from tvr.data.base import Video
from tvr.data.contracts.errors import UsageError
from tvr.heads.search.catalogue import Catalogue, Filter
from tvr.pipeline.store.reader import FeatureStore

from ...fixtures.archive import built_in_encoder, extracted, write_archive


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    folder = tmp_path_factory.mktemp("catalogue")
    return FeatureStore.open(
        extracted(write_archive(folder / "archive"), built_in_encoder(), folder / "store")
    )


@pytest.fixture
def catalogue(store: FeatureStore) -> Catalogue:
    root = store.folder.parent
    places = {
        "a": "archive/a.mp4",
        "b": "archive/trips/b.mp4",
        "c": "archive/trips/sea/c.mp4",
        "d": "archive/tripsters/d.mp4",
    }
    videos = {name: Video(name, root / file) for name, file in places.items()}
    return Catalogue(store, videos | {"e": Video("e", None)})


def test_a_video_is_told_by_its_number(catalogue: Catalogue, store: FeatureStore) -> None:
    assert [catalogue[number].id for number in range(len(catalogue))] == store.video_ids == list("abcde")
    assert catalogue.numbers == {name: number for number, name in enumerate("abcde")}
    one = catalogue[1]
    assert one.captions == ("a grey picture called b",)
    assert (one.status.status, one.status.frames, one.folder) == ("ok", 4, "trips")
    assert one.duration_seconds is not None and 0.5 < one.duration_seconds < 60
    failed = catalogue[2]
    assert (failed.status.status, failed.duration_seconds) == ("failed", None)
    assert failed.status.reason
    assert catalogue[4].path is None


@pytest.mark.parametrize("number", [-1, 5, 10**9])
def test_a_number_fails(catalogue: Catalogue, number: int) -> None:
    with pytest.raises(UsageError, match="the store has 5, counted from 0"):
        catalogue[number]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Filter(), "abcde"),
        (Filter(status="ok"), "abd"),
        (Filter(status="failed"), "ce"),
        (Filter(folder="trips"), "bc"),
        (Filter(folder="trips/sea"), "c"),
        (Filter(folder=""), "abcde"),
        (Filter(name="B.MP"), "b"),
        (Filter(name="../"), ""),
        (Filter(shortest=0.1), "abd"),
        (Filter(longest=0.1), ""),
        (Filter(split="nosuch"), ""),
    ],
)
def test_a_filter_lets_through(catalogue: Catalogue, wanted: Filter, expected: str) -> None:
    chosen = [catalogue[number].id for number in catalogue.chosen(wanted)]
    assert chosen == list(expected)
    mask = catalogue.mask(wanted, ("a", "b", "d"))
    assert (mask is None) == (wanted == Filter())
    if mask is not None:
        assert mask.tolist() == [name in expected for name in "abd"]


def test_a_split_holds_its_videos(catalogue: Catalogue, store: FeatureStore) -> None:
    for split, ids in store.splits.items():
        assert {catalogue[number].id for number in catalogue.chosen(Filter(split=split))} == set(ids)
        assert all(split in catalogue[catalogue.numbers[one]].splits for one in ids)


def test_a_text_has_its_owners(catalogue: Catalogue) -> None:
    assert catalogue.owners["a grey picture called d"] == (3,)
    assert "a grey picture" not in catalogue.owners
