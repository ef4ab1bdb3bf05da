"""The Dataset contract."""

from pathlib import Path

import pytest
from tvr.data.base import Caption, Dataset, Preset, Split, Video
from tvr.data.contracts.errors import UsageError


@pytest.fixture
def dataset() -> Dataset:
    return Dataset(
        name="small",
        protocol="multi",
        preset=Preset(),
        videos={"a": Video("a", Path("a.mp4")), "b": Video("b", None), "c": Video("c", Path("c.mp4"))},
        captions=[Caption("a#0", "a", ("one two three",)), Caption("b#0", "b", ("one  two", "three\nfour"))],
        splits={"train": Split(("c",), 1, "list"), "test": Split(("a", "b"), 3, "list")},
        annotation_digests={},
    )


def test_coverage_counts_files_against_what_is_published(dataset: Dataset) -> None:
    coverage = dataset.coverage("test")
    assert (coverage.found, coverage.expected, coverage.missing) == (1, 3, ("b",))
    assert str(coverage) == "test: 1 of 3 videos found"


def test_coverage_fails_on_an_unknown_split(dataset: Dataset) -> None:
    with pytest.raises(
        UsageError, match=r"unknown split of small 'tests'\. Did you mean 'test'\? Known: test, train"
    ):
        dataset.coverage("tests")


def test_split_digest_does_not_depend_on_order() -> None:
    assert Split(("a", "b"), 2, "x").digest == Split(("b", "a"), 3, "y").digest
    assert Split(("a", "b"), 2, "x").digest != Split(("ab",), 2, "x").digest


def test_over_long_captions_are_counted_with_start_and_end_token(dataset: Dataset) -> None:
    assert [dataset.num_over_long(words) for words in (4, 5, 6)] == [2, 1, 0]
