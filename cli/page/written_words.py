"""The words of a query as a person wrote them, each with the tokens that a vocabulary made of it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_MARKS = re.compile(r"^(##|\u2581|\u0120)|(</w>)$")
"""By which vocabularies say that a token goes on with a word, begins one or ends one."""


@dataclass(frozen=True, slots=True)
class Word:
    """One word."""

    text: str
    tokens: list[int]
    """Their places among the tokens of the text; never none."""


def written_words(text: str, tokens: Sequence[str]) -> list[Word]:
    """Put the tokens of a text to its words.

    Start, end and pooled tokens, of which the text has no letters, belong to none. Words of which no token is left,
    because the text was cut, are not there. Where the tokens are not of the text's letters at all, each is a word.

    Args:
        text: as it was written.
        tokens: the written form of each token, in order.
    """
    owners = [place for place, word in enumerate(text.split()) for _ in word.casefold()]
    letters = "".join(word.casefold() for word in text.split())
    found: dict[int, list[int]] = {}
    at = 0
    for place, token in enumerate(tokens):
        piece = _MARKS.sub("", token.strip()).casefold()
        if piece and letters.startswith(piece, at):
            found.setdefault(owners[at], []).append(place)
            at += len(piece)
    if not found:
        return [Word(token, [place]) for place, token in enumerate(tokens)]
    words = text.split()
    return [Word(words[place], places) for place, places in found.items()]
