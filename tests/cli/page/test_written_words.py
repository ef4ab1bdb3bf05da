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
    assert found == [
        Word(word, place, own) for place, (word, own) in enumerate(zip(words, expected, strict=True))
    ]


def test_words_that_were_cut_off_are_not_there() -> None:
    assert written_words("one two three", ["[start]", "one", "two", "[end]"]) == [
        Word("one", 0, [1]),
        Word("two", 1, [2]),
    ]


def test_a_token_may_begin_in_one_word_and_end_in_the_next() -> None:
    assert written_words("ice cream", ["icecr", "eam"]) == [Word("ice", 0, [0]), Word("cream", 1, [1])]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        (
            "A caf\u00e9 with a na\u00efve man",
            ["[CLS]", "a", "cafe", "with", "a", "naive", "man", "[SEP]", "[mean]"],
        ),
        ("a red \U0001f389 car", ["[CLS]", "a", "red", "[UNK]", "car", "[SEP]"]),
    ],
)
def test_a_vocabulary_without_accents_or_signs_loses_no_later_word(text: str, tokens: list[str]) -> None:
    assert written_words(text, tokens) == [
        Word(word, place, [1 + place]) for place, word in enumerate(text.split())
    ]


def test_a_sign_that_is_passed_over_is_no_word() -> None:
    assert written_words("red \U0001f389 car", ["red", "car"]) == [Word("red", 0, [0]), Word("car", 2, [1])]


def test_of_tokens_of_other_letters_nothing_is_known() -> None:
    assert written_words("ein Hund", ["0", "1"]) == []
