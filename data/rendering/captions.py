"""Says in words what a story shows, and which words say which event."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..base import Protocol
from .world import Event, Motion, Shape, Size, Story


@dataclass(frozen=True, slots=True)
class Wording:
    """One way of putting things. Every part is made of whole words without punctuation."""

    verbs: Mapping[Motion, tuple[str, str]]
    """What one shape does, and what two do."""
    sizes: Mapping[Size, str] = field(default_factory=lambda: {"small": "small", "big": "big"})
    opening: str = ""
    """What is said before the first event."""
    joint: str = "then"
    """What is said between two events."""


PLAIN = Wording(
    verbs={
        "right": ("moves right", "move right"),
        "left": ("moves left", "move left"),
        "rise": ("rises", "rise"),
        "fall": ("falls", "fall"),
        "grow": ("grows", "grow"),
        "shrink": ("shrinks", "shrink"),
        "spin": ("spins", "spin"),
        "stay": ("stays still", "stay still"),
    }
)
"""The wording of the single-caption and the paragraph protocol."""

LOOSE = Wording(
    verbs={
        "right": ("goes to the right", "go to the right"),
        "left": ("goes to the left", "go to the left"),
        "rise": ("goes up", "go up"),
        "fall": ("drops down", "drop down"),
        "grow": ("becomes larger", "become larger"),
        "shrink": ("becomes smaller", "become smaller"),
        "spin": ("turns around", "turn around"),
        "stay": ("does not move", "do not move"),
    },
    sizes={"small": "little", "big": "large"},
    opening="first",
    joint="next",
)

BRISK = Wording(
    verbs={
        "right": ("slides right", "slide right"),
        "left": ("slides left", "slide left"),
        "rise": ("climbs", "climb"),
        "fall": ("sinks", "sink"),
        "grow": ("gets bigger", "get bigger"),
        "shrink": ("gets smaller", "get smaller"),
        "spin": ("keeps turning", "keep turning"),
        "stay": ("rests", "rest"),
    },
    joint="and after that",
)

PARAPHRASES: tuple[Wording, ...] = (PLAIN, LOOSE, BRISK)
"""The wordings of the multi-caption protocol, one caption each."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """The part of a caption that says one event."""

    text: str
    first_word: int
    """Place of its first word in ``Telling.text.split()``."""
    end_word: int
    """Place after its last word."""


@dataclass(frozen=True, slots=True)
class Telling:
    """One caption of a story: a sentence, or a paragraph of one sentence an event."""

    sentences: tuple[str, ...]
    phrases: tuple[Phrase, ...]
    """One for each event, in order."""


def caption_of(story: Story) -> str:
    """The plain caption: the events' phrases in order, joined by "then"."""
    return _told(story, PLAIN).sentences[0]


def tellings(story: Story, protocol: Protocol) -> tuple[Telling, ...]:
    """The captions of a story: one, one for each of ``PARAPHRASES``, or one paragraph."""
    if protocol == "paragraph":
        return (_paragraph(story),)
    wordings = PARAPHRASES if protocol == "multi" else (PLAIN,)
    return tuple(_told(story, wording) for wording in wordings)


def phrase_of(event: Event, wording: Wording = PLAIN) -> str:
    """What is seen in one event, such as "a big red circle and a small blue star move right"."""
    looks = " and ".join(_look(shape, wording) for shape in event.shapes)
    return f"{looks} {wording.verbs[event.motion][len(event.shapes) - 1]}"


def _look(shape: Shape, wording: Wording) -> str:
    return f"a {wording.sizes[shape.size]} {shape.colour} {shape.kind}"


def _told(story: Story, wording: Wording) -> Telling:
    texts = [phrase_of(event, wording) for event in story.events]
    opening, joint = wording.opening.split(), wording.joint.split()
    phrases = _located(texts, before=len(opening), between=len(joint))
    return Telling((" ".join([*opening, f" {wording.joint} ".join(texts)]),), phrases)


def _paragraph(story: Story) -> Telling:
    sentences = tuple(f"{phrase_of(event).capitalize()}." for event in story.events)
    return Telling(sentences, _located(sentences, before=0, between=0))


def _located(texts: Sequence[str], *, before: int, between: int) -> tuple[Phrase, ...]:
    """The texts with the places of their words, given how many other words come before and between them."""
    phrases: list[Phrase] = []
    first = before
    for text in texts:
        end = first + len(text.split())
        phrases.append(Phrase(text, first, end))
        first = end + between
    return tuple(phrases)
