"""Texts through the text tower of an open_clip model, in length-sorted batches no longer than they must be."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ..base import NO_TOKEN, EncodedText
from .precision import Arithmetic
from .text_passes import repeatable_passes, text_passes
from .tokens import Tokenizer, Tokens
from .words import WordsUnavailableError, WordTower, check_words

_PROBES = ("a", "a man is slicing two ripe tomatoes on a wooden board")
"""Texts of different length on which the towers of a model are compared when it is loaded."""


@dataclass(frozen=True)
class TextTower:
    """Runs a text tower; see ``EncodedText`` for what comes out."""

    model: Any
    tokenizer: Tokenizer
    words: WordTower | None
    """None where the model has no feature of each word: then every text has its pooled row alone."""
    words_unavailable_reason: str
    arithmetic: Arithmetic

    @property
    def texts_per_pass(self) -> int:
        """Most texts in one pass of the tower."""
        return 512 if self.arithmetic.device.type == "cuda" else 64

    def __call__(self, texts: Sequence[str], repeatable: bool = False) -> list[EncodedText]:
        """Features of at least one text, in the order given; see ``Encoder.encode_texts``."""
        tokens = self.tokenizer(texts)
        run = self._pooled_only if self.words is None else self._with_words
        longest, needed = self.tokenizer.context_length, self._needed(tokens)
        passes = (
            repeatable_passes(needed, self.arithmetic.device.type, longest)
            if repeatable
            else text_passes(needed, self.texts_per_pass, longest)
        )
        rows: dict[int, EncodedText] = {}
        with self.arithmetic.running():
            for one in passes:
                chosen = torch.tensor(one.filled)
                part = Tokens(tokens.ids[chosen], tokens.lengths[chosen], tokens.truncated[chosen])
                rows.update(zip(one.places, run(part, one.positions), strict=False))
        return [rows[i] for i in range(len(rows))]

    def _needed(self, tokens: Tokens) -> list[int]:
        """How many positions of each text are to be run."""
        if self.words is None:
            return [self.tokenizer.context_length] * len(tokens.lengths)
        return self.words.needed(tokens).tolist()

    def _with_words(self, tokens: Tokens, num_positions: int) -> list[EncodedText]:
        assert self.words is not None
        words = self.words(tokens, num_positions)
        features = words.features.float().cpu()
        return [
            _encoded(row, tokens.ids[i], column, int(tokens.lengths[i]), truncated=bool(tokens.truncated[i]))
            for i, (row, column) in enumerate(zip(features, words.pooled_columns, strict=True))
        ]

    def _pooled_only(self, tokens: Tokens, num_positions: int) -> list[EncodedText]:
        ids = tokens.ids[:, :num_positions].to(self.arithmetic.device)
        pooled = self.model.encode_text(ids, normalize=False).float().cpu().numpy()
        none = np.array([NO_TOKEN], np.int32)
        return [
            EncodedText(row[None].copy(), none, 0, is_truncated)
            for row, is_truncated in zip(pooled, tokens.truncated.tolist(), strict=True)
        ]


def text_tower(model: Any, tokenizer: Tokenizer, arithmetic: Arithmetic) -> TextTower:
    """The text tower of a model that is still in float32, checked against the model's own ``encode_text``."""
    try:
        with torch.no_grad():
            words = WordTower(model)
            check_words(words, model, tokenizer(_PROBES))
    except WordsUnavailableError as error:
        return TextTower(model, tokenizer, None, str(error), arithmetic)
    return TextTower(model, tokenizer, words, "", arithmetic)


def _encoded(
    features: Float[Tensor, "position dim"],
    ids: Int64[Tensor, " context"],
    pooled: int,
    length: int,
    *,
    truncated: bool,
) -> EncodedText:
    """The rows of one text: its words, and the pooled row behind them if it is none of them."""
    kept = list(range(length)) + ([] if pooled < length else [pooled])
    is_token = [column < len(ids) and not (column == pooled >= length) for column in kept]
    token_ids = [
        int(ids[column]) if known else NO_TOKEN for column, known in zip(kept, is_token, strict=True)
    ]
    return EncodedText(
        words=features[kept].numpy(),
        token_ids=np.array(token_ids, np.int32),
        sentence_row=kept.index(pooled),
        truncated=truncated,
    )
