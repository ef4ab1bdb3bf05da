"""Numbered stories: the same whenever they are asked for, distinct, and half of them twins."""

import hashlib
from collections import Counter

import pytest
from tvr.data.rendering.captions import caption_of
from tvr.data.rendering.twins import SPLITS, Entry, SplitName, entries
from tvr.data.rendering.world import Story, is_held_out


def by_id(split: SplitName, videos: int) -> dict[str, Entry]:
    return {entry.id: entry for entry in entries(7, split, videos)}


def colours(story: Story) -> Counter[str]:
    return Counter(shape.colour for event in story.events for shape in event.shapes)


@pytest.mark.parametrize("split", SPLITS)
def test_more_videos_never_change_the_first(split: SplitName) -> None:
    few, many = entries(3, split, 37), entries(3, split, 90)
    assert [e.story for e in few] == [e.story for e in many[:37]]
    assert [e.id for e in few] == [e.id for e in many[:37]]


def test_seed_and_split_decide() -> None:
    sets = [entries(seed, split, 8)[4].story for seed in (0, 1) for split in SPLITS]
    assert all(sets.count(story) == 1 for story in sets)


def test_captions_differ_within_a_split() -> None:
    captions = [caption_of(entry.story) for entry in entries(0, "train", 800)]
    assert len(set(captions)) == len(captions)


def test_half_of_the_videos_have_both_twins() -> None:
    twins = [(e.order_twin, e.colour_twin) for e in entries(0, "test", 400)]
    assert sum(None not in pair for pair in twins) == 200
    assert sum(pair == (None, None) for pair in twins) == 200


def test_twins_name_each_other() -> None:
    found = by_id("test", 80)
    for entry in found.values():
        if entry.order_twin and entry.colour_twin:
            assert found[entry.order_twin].order_twin == entry.id
            assert found[entry.colour_twin].colour_twin == entry.id


def test_order_twins_hold_the_same_events() -> None:
    found = by_id("test", 80)
    for entry in found.values():
        if entry.order_twin:
            events, others = entry.story.events, found[entry.order_twin].story.events
            assert events != others
            assert Counter(events) == Counter(others)


def test_colour_twins_differ_in_two_colours_only() -> None:
    found = by_id("train", 80)
    for entry in found.values():
        if entry.colour_twin:
            story, other = entry.story, found[entry.colour_twin].story
            assert colours(story) == colours(other)
            changed = [i for i, e in enumerate(story.events) if e != other.events[i]]
            assert len(changed) == 2
            first, second = (story.events[i].shapes[0] for i in changed)
            assert [other.events[i].shapes[0].colour for i in changed] == [second.colour, first.colour]


@pytest.mark.parametrize("split", SPLITS)
def test_only_val_and_test_show_held_out_combinations(split: SplitName) -> None:
    for entry in entries(0, split, 200):
        for event in entry.story.events:
            for shape in event.shapes:
                assert is_held_out(shape.kind, shape.colour, entry.story.background) == (split != "train")


def test_a_family_that_is_cut_short_names_no_absent_twin() -> None:
    first, second, third = entries(0, "val", 3)
    assert (first.order_twin, first.colour_twin) == (second.id, third.id)
    assert (second.colour_twin, third.order_twin) == (None, None)


def test_stories_never_change() -> None:
    """What the first videos tell; other stories need another version of the set."""
    told = "\n".join(f"{e.id} {e.story!r}" for split in SPLITS for e in entries(0, split, 40))
    assert (
        hashlib.sha256(told.encode()).hexdigest()
        == "c4e6ea7c6d392e3392f915b7294a5d7d504c9b452029a5eb743aab09c4854522"
    )


def test_no_videos() -> None:
    assert entries(0, "train", 0) == []
