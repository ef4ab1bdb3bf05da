"""Tokens of any vocabulary are put to the words that a person wrote."""

import pytest
from tvr.cli.page.written_words import Word, written_words


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        # CLIP, without its marks; MiniLM; SigLIP (sentencepiece); byte-level BPE.
        (["[start]", "a", "giraffe", "eats", "leaves", ".", "[end]"], [[1], [2], [3], [4, 5]]),
        (
            ["[CLS]", "a", "gi", "##raf", "##fe", "eats", "leaves", ".", "[SEP]", "[mean]"],
            [[1], [2, 3, 4], [5], [6, 7]],
        ),
        (
            ["\u2581a", "\u2581gir", "affe", "\u2581eats", "\u2581leaves", ".", "</s>"],
            [[0], [1, 2], [3], [4, 5]],
        ),
        (["a", "\u0120giraffe", "\u0120eats", "\u0120lea", "ves", "."], [[0], [1], [2], [3, 4, 5]]),
    ],
)
def test_each_word_has_its_tokens(tokens: list[str], expected: list[list[int]]) -> None:
    words = ["A", "giraffe", "eats", "leaves."]
    found = written_words("A giraffe eats  leaves.", tokens)
    assert found == [Word(word, places) for word, places in zip(words, expected, strict=True)]


def test_words_that_were_cut_off_are_not_there() -> None:
    assert written_words("one two three", ["[start]", "one", "two", "[end]"]) == [
        Word("one", [1]),
        Word("two", [2]),
    ]


def test_a_token_may_begin_in_one_word_and_end_in_the_next() -> None:
    assert written_words("ice cream", ["icecr", "eam"]) == [Word("ice", [0]), Word("cream", [1])]


def test_tokens_of_other_letters_are_words_of_their_own() -> None:
    assert written_words("ein Hund", ["0", "1"]) == [Word("0", [0]), Word("1", [1])]
