"""Numbers the stories of a split, and gives half of them twins: another order of events, or other colours.

Of every eight videos the first four are a family: two orders of the same events, each in two colourings. So
each of the four has an order twin, which holds the very same pictures, and a colour twin, in which two events
have exchanged the colours of their first shapes. The other four videos stand alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations, count, islice
from typing import Literal, get_args

import numpy as np

from .captions import caption_of
from .world import Event, Shape, Story, draw_story, is_held_out, pick, randomness

VERSION = 1
"""Of everything that decides what a video shows or a caption says. Another version is another benchmark."""

SplitName = Literal["train", "val", "test"]
SPLITS: tuple[SplitName, ...] = get_args(SplitName)

FAMILY = 4
"""Videos that are each other's twins, in the order: first, its order twin, its colour twin, both at once."""
BLOCK = 8
"""Videos after which a family follows again."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One video of a split."""

    id: str
    story: Story
    order_twin: str | None
    """Id of the video that shows the same events in another order; None where it stands alone."""
    colour_twin: str | None
    """Id of the video in which two events have exchanged colours; None where it stands alone."""


def entries(seed: int, split: SplitName, videos: int) -> list[Entry]:
    """The first videos of a split. More of them change none; the last may gain the twin they lacked."""
    stories = list(islice(_stories(seed, split), videos))
    return [Entry(_id(split, i), story, *_twins(split, i, videos)) for i, story in enumerate(stories)]


def _id(split: SplitName, index: int) -> str:
    return f"{split}-{index:05d}"


def _twins(split: SplitName, index: int, videos: int) -> tuple[str | None, str | None]:
    """Ids of the order twin and the colour twin, where there are any among so many videos."""
    place = index % BLOCK
    if place >= FAMILY:
        return None, None
    order, colour = index - place + (place ^ 1), index - place + (place ^ 2)
    return _id(split, order) if order < videos else None, _id(split, colour) if colour < videos else None


def _stories(seed: int, split: SplitName) -> Iterator[Story]:
    """The stories of a split without end. No two of them have the same caption."""
    told: set[str] = set()
    for block in count(step=BLOCK):
        yield from _untold(told, seed, split, block, size=FAMILY)
        for index in range(block + FAMILY, block + BLOCK):
            yield from _untold(told, seed, split, index, size=1)


def _untold(told: set[str], seed: int, split: SplitName, index: int, *, size: int) -> tuple[Story, ...]:
    """A family or a single story, drawn anew until none of its captions has been told before."""
    dice = randomness("storyboard", VERSION, seed, split, index)
    held_out = split != "train"
    while True:
        story = draw_story(dice, held_out=held_out)
        stories = (story,) if size == 1 else family(story, dice)
        captions = {caption_of(member) for member in stories}
        if len(captions) == size and not captions & told:
            told |= captions
            return stories


def family(story: Story, dice: np.random.RandomState) -> tuple[Story, ...]:
    """The story, its order twin, its colour twin and that one's order twin; none if no colours can swap."""
    recoloured = _with_swapped_colours(story, dice)
    if recoloured is None:
        return ()
    order = _another_order(len(story.events), dice)
    return story, _in_order(story, order), recoloured, _in_order(recoloured, order)


def _another_order(events: int, dice: np.random.RandomState) -> list[int]:
    while True:
        order = [int(i) for i in dice.permutation(events)]
        if order != sorted(order):
            return order


def _in_order(story: Story, order: list[int]) -> Story:
    return replace(story, events=tuple(story.events[i] for i in order))


def _with_swapped_colours(story: Story, dice: np.random.RandomState) -> Story | None:
    """Two events exchange the colours of their first shapes, and stay on their side of the held-out line."""
    pairs = [pair for pair in combinations(range(len(story.events)), 2) if _can_swap(story, *pair)]
    if not pairs:
        return None
    i, j = pick(dice, pairs)
    events = list(story.events)
    events[i], events[j] = (
        _coloured(events[i], events[j].shapes[0]),
        _coloured(events[j], events[i].shapes[0]),
    )
    return replace(story, events=tuple(events))


def _coloured(event: Event, like: Shape) -> Event:
    first = replace(event.shapes[0], colour=like.colour)
    return replace(event, shapes=(first, *event.shapes[1:]))


def _can_swap(story: Story, i: int, j: int) -> bool:
    """Whether the colours differ, stay unlike a companion's, and make no combination of the other half."""
    first, second = story.events[i].shapes[0], story.events[j].shapes[0]
    sides = {
        is_held_out(shape.kind, colour, story.background)
        for shape in (first, second)
        for colour in (first.colour, second.colour)
    }
    return (
        first.colour != second.colour
        and len(sides) == 1
        and second.colour not in {shape.colour for shape in story.events[i].shapes}
        and first.colour not in {shape.colour for shape in story.events[j].shapes}
    )
