"""Captions: what they say, and which of their words say it."""

from itertools import combinations
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tvr.data.base import Protocol
from tvr.data.rendering.captions import PARAPHRASES, PLAIN, Wording, caption_of, phrase_of, tellings
from tvr.data.rendering.world import MOTIONS, Event, Shape, Story, draw_story, randomness

PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)
RED, BLUE = Shape("circle", "red", "big"), Shape("star", "blue", "small")

any_story = given(index=st.integers(0, 10**9))


def drawn(index: int) -> Story:
    return draw_story(randomness("test", index), held_out=False)


def tale(*events: Event) -> Story:
    return Story("teal", events)


def event(motion: str, *shapes: Shape) -> Event:
    return Event(shapes, motion, 8, tuple((0.5, 0.5) for _ in shapes))  # pyright: ignore[reportArgumentType]


def test_phrases() -> None:
    assert phrase_of(event("right", RED)) == "a big red circle moves right"
    assert phrase_of(event("rise", RED, BLUE)) == "a big red circle and a small blue star rise"


def test_caption_joins_phrases_by_then() -> None:
    told = caption_of(tale(event("right", RED), event("stay", BLUE)))
    assert told == "a big red circle moves right then a small blue star stays still"


def test_paraphrases() -> None:
    told = [t.sentences for t in tellings(tale(event("fall", RED), event("grow", BLUE)), "multi")]
    assert told == [
        ("a big red circle falls then a small blue star grows",),
        ("first a large red circle drops down next a little blue star becomes larger",),
        ("a big red circle sinks and after that a small blue star gets bigger",),
    ]


def test_paragraph_has_a_sentence_an_event() -> None:
    (told,) = tellings(tale(event("fall", RED), event("grow", BLUE)), "paragraph")
    assert told.sentences == ("A big red circle falls.", "A small blue star grows.")


@pytest.mark.parametrize("wording", PARAPHRASES)
def test_every_wording_tells_motions_apart(wording: Wording) -> None:
    for one, other in combinations(MOTIONS, 2):
        assert phrase_of(event(one, RED), wording) != phrase_of(event(other, RED), wording)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@settings(deadline=None)
@any_story
def test_words_of_a_phrase_are_found_where_it_says(protocol: Protocol, index: int) -> None:
    story = drawn(index)
    for telling in tellings(story, protocol):
        words = " ".join(telling.sentences).split()
        assert len(telling.phrases) == len(story.events)
        for phrase in telling.phrases:
            assert " ".join(words[phrase.first_word : phrase.end_word]) == phrase.text


@settings(deadline=None)
@any_story
def test_plain_phrases_name_every_shape(index: int) -> None:
    story = drawn(index)
    (telling,) = tellings(story, "single")
    for phrase, told in zip(telling.phrases, story.events, strict=True):
        assert phrase.text == phrase_of(told, PLAIN)
        assert all(f"{s.size} {s.colour} {s.kind}" in phrase.text for s in told.shapes)
