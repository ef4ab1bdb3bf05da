"""Stories: lengths, spans, looks, and the half of the combinations that is held out."""

import math
from itertools import combinations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tvr.data.rendering.world import (
    BACKGROUNDS,
    COLOURS,
    EVENT_STEPS,
    KINDS,
    SPINNABLE,
    STORY_STEPS,
    Story,
    draw_story,
    is_held_out,
    randomness,
)

any_story = given(index=st.integers(0, 10**9), held_out=st.booleans())


def drawn(index: int, held_out: bool) -> Story:
    return draw_story(randomness("test", index), held_out=held_out)


@settings(deadline=None)
@any_story
def test_events_are_unequal_and_fill_the_story(index: int, held_out: bool) -> None:
    story = drawn(index, held_out)
    steps = [event.steps for event in story.events]
    assert 2 <= len(steps) <= 4
    assert len(set(steps)) == len(steps)
    assert all(step in EVENT_STEPS for step in steps)
    assert sum(steps) in STORY_STEPS


@settings(deadline=None)
@any_story
def test_spans_follow_each_other(index: int, held_out: bool) -> None:
    story = drawn(index, held_out)
    spans = story.spans()
    assert spans[0][0] == 0
    assert [start for start, _ in spans[1:]] == [end for _, end in spans[:-1]]
    assert [end - start for start, end in spans] == [event.seconds for event in story.events]
    assert story.seconds == spans[-1][1]


@settings(deadline=None)
@any_story
def test_every_shape_is_on_the_side_that_was_asked_for(index: int, held_out: bool) -> None:
    story = drawn(index, held_out)
    shapes = [shape for event in story.events for shape in event.shapes]
    assert {is_held_out(shape.kind, shape.colour, story.background) for shape in shapes} == {held_out}


@settings(deadline=None)
@any_story
def test_looks_fit_what_happens(index: int, held_out: bool) -> None:
    for event in drawn(index, held_out).events:
        sizes, kinds = {shape.size for shape in event.shapes}, {shape.kind for shape in event.shapes}
        assert event.motion != "grow" or sizes == {"small"}
        assert event.motion != "shrink" or sizes == {"big"}
        assert event.motion != "spin" or kinds <= set(SPINNABLE)
        assert len(kinds) == len({shape.colour for shape in event.shapes}) == len(event.shapes)


def test_a_quarter_is_held_out_of_every_background_kind_and_colour() -> None:
    held_out = [c for c in product(KINDS, COLOURS, BACKGROUNDS) if is_held_out(*c)]
    assert len(held_out) == len(KINDS) * len(COLOURS) * len(BACKGROUNDS) / 4
    for place, names in enumerate((KINDS, COLOURS, BACKGROUNDS)):
        assert {[c[place] for c in held_out].count(name) for name in names} == {len(held_out) // len(names)}


def test_any_two_of_the_three_occur_in_training() -> None:
    trained = [c for c in product(KINDS, COLOURS, BACKGROUNDS) if not is_held_out(*c)]
    for one, other in combinations(range(3), 2):
        names = (KINDS, tuple(COLOURS), tuple(BACKGROUNDS))
        assert {(c[one], c[other]) for c in trained} == set(product(names[one], names[other]))


def test_randomness_follows_from_its_name() -> None:
    assert randomness("a", 1).randint(10**9) == randomness("a", 1).randint(10**9)
    draws = {int(randomness("a", i).randint(2**31 - 1)) for i in range(100)}
    assert len(draws) == 100


def test_every_colour_stands_out_on_every_background() -> None:
    for colour, background in product(COLOURS.values(), BACKGROUNDS.values()):
        assert math.dist(colour, background) > 120, (colour, background)


@pytest.mark.parametrize("colour, background", [("mauve", "teal"), ("red", "sky")])
def test_a_name_outside_the_world_fails(colour: str, background: str) -> None:
    # Any name can be dealt out as a background; what draws pictures of it then fails.
    if background in BACKGROUNDS:
        with pytest.raises(KeyError, match=colour):
            is_held_out("circle", colour, background)
