"""Published splits are known by digest; hold-outs are the same on every machine."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tvr.data.annotation_files.splits import (
    PublishedSplit,
    checked_split,
    held_out,
    parts_by_digest,
    with_validation,
)
from tvr.data.base import Split
from tvr.data.contracts.errors import DataError

IDS = [f"video{number}" for number in range(20)]
PUBLISHED = [PublishedSplit(20, hashlib.sha256("\n".join(sorted(IDS)).encode()).hexdigest())]


def test_the_published_ids_pass_in_any_order() -> None:
    checked = checked_split("test", IDS[::-1], "test_list.txt", PUBLISHED, own_lists=False)
    assert checked.split == Split(tuple(IDS[::-1]), 20, "test_list.txt")
    assert checked.notes == ()


@pytest.mark.parametrize("ids", [IDS[:19], [*IDS, "more"], [*IDS[:19], "other"]])
def test_other_ids_fail(ids: list[str]) -> None:
    with pytest.raises(
        DataError, match=r"test_list\.txt: the test split is not the published one.*own_lists=true"
    ):
        checked_split("test", ids, "test_list.txt", PUBLISHED, own_lists=False)


def test_an_own_list_says_so_wherever_it_goes() -> None:
    checked = checked_split("test", IDS[:19], "test_list.txt", PUBLISHED, own_lists=True)
    assert checked.split.expected == 20
    assert "own list" in checked.split.source
    assert "19 ids where 20 are published" in checked.notes[0]


def test_held_out_is_frozen() -> None:
    rest, held = held_out(IDS, 3)
    # Worked out by hand with sha256sum: the three smallest digests.
    smallest = sorted(IDS, key=lambda id: hashlib.sha256(id.encode()).hexdigest())[:3]
    assert set(held) == set(smallest)
    assert rest == tuple(id for id in IDS if id not in smallest)
    assert held_out(IDS[::-1], 3)[1] == held[::-1]


def test_with_validation_never_shares_a_video() -> None:
    train = checked_split("train", IDS, "train_list.txt", PUBLISHED, own_lists=False)
    splits = with_validation(train, IDS[5:8], "by hand")
    assert set(splits["train"].split.video_ids) | set(splits["val"].split.video_ids) == set(IDS)
    assert not set(splits["train"].split.video_ids) & set(splits["val"].split.video_ids)
    assert (splits["train"].split.expected, splits["val"].split.expected) == (17, 3)
    assert "3 are held out for validation: by hand" in splits["train"].notes[0]


@settings(deadline=None)
@given(st.sets(st.text(min_size=1, max_size=5), min_size=3, max_size=60))
def test_parts_are_never_empty(keys: set[str]) -> None:
    assert set(parts_by_digest(sorted(keys)).values()) == {"train", "val", "test"}


def test_parts_are_about_80_10_10_and_do_not_move_when_videos_are_added() -> None:
    many = [f"clip {number}" for number in range(5000)]
    parts = parts_by_digest(many)
    sizes = [list(parts.values()).count(name) / 5000 for name in ("train", "val", "test")]
    assert sizes == pytest.approx([0.8, 0.1, 0.1], abs=0.02)
    more = parts_by_digest([*many, *(f"new {number}" for number in range(500))])
    assert all(more[key] == part for key, part in parts.items())


def test_parts_of_one_or_two_videos_all_train() -> None:
    assert parts_by_digest(["a", "b"]) == {"a": "train", "b": "train"}
