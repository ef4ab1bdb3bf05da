"""The words of a query as a person wrote them, each with the tokens that a vocabulary made of it."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

_MARKS = re.compile(r"^(##|\u2581|\u0120)|(</w>)$")
"""By which vocabularies say that a token goes on with a word, begins one or ends one."""
_UNKNOWN = frozenset({"[UNK]", "<unk>", "?"})
"""What stands for a word that a vocabulary does not have."""


@dataclass(frozen=True, slots=True)
class Word:
    """One word."""

    text: str
    place: int
    """Among the words of the text."""
    tokens: list[int]
    """Their places among the tokens of the text; never none."""


def written_words(text: str, tokens: Sequence[str]) -> list[Word]:
    """Put the tokens of a text to its words.

    Start, end and pooled tokens, of which the text has no letters, belong to none. Words of which no token is left,
    because the text was cut, are not there; nor are signs that a vocabulary passes over. Accents and case are no
    difference, for many vocabularies take them away. Where the tokens are not of the text's letters at all, nothing
    is known of any word.

    Args:
        text: as it was written.
        tokens: the written form of each token, in order.
    """
    words = text.split()
    plain = [_plain(word) for word in words]
    starts = [sum(map(len, plain[:place])) for place in range(len(words))]
    owners = [place for place, word in enumerate(plain) for _ in word]
    letters, at = "".join(plain), 0
    found: dict[int, list[int]] = {}
    for number, token in enumerate(tokens):
        piece = _plain(_MARKS.sub("", token.strip()))
        if not letters.startswith(
            piece, at
        ):  # the vocabulary left something out: the piece begins a later word
            at = next((start for start in starts if start > at and letters.startswith(piece, start)), at)
        if at < len(letters) and piece and letters.startswith(piece, at):
            found.setdefault(owners[at], []).append(number)
            at += len(piece)
        elif at < len(letters) and token in _UNKNOWN:
            found.setdefault(owners[at], []).append(number)
            at = next((start for start in starts if start > at), len(letters))
    return [Word(words[place], place, numbers) for place, numbers in found.items()]


def _plain(text: str) -> str:
    """Without case and accents."""
    apart = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in apart if not unicodedata.combining(letter))
