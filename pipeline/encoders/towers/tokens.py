"""Texts to token ids, exactly as open_clip's tokenizer of the model gives them, and where each text ends."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Int64
from torch import Tensor


@dataclass(frozen=True)
class Tokens:
    """A padded batch of tokenised texts."""

    ids: Int64[Tensor, "text position"]
    lengths: Int64[Tensor, " text"]
    """Number of positions from the start to the end token, both included."""
    truncated: Bool[Tensor, " text"]
    """Whether the text goes on after its last token."""


class Tokenizer:
    """An open_clip tokenizer together with the tokens that end and pad its texts."""

    _BEYOND = 8
    """By how many positions the context is widened to see whether a text goes on; special tokens take up to 3."""

    def __init__(self, tokenizer: Any, context_length: int) -> None:
        self._tokenizer, self.context_length = tokenizer, context_length
        inner = getattr(tokenizer, "tokenizer", None)
        if inner is None:
            self._pad_id, self._end_id = 0, getattr(tokenizer, "eot_token_id", None)
        else:
            is_stripped = getattr(tokenizer, "strip_sep_token", False)
            ends = (inner.eos_token_id, inner.sep_token_id)
            self._pad_id = 0 if is_stripped else inner.pad_token_id
            self._end_id = None if is_stripped else next((end for end in ends if end is not None), None)

    def __call__(self, texts: Sequence[str]) -> Tokens:
        """Token ids and lengths of the texts."""
        ids = self._tokenizer(list(texts), context_length=self.context_length)
        lengths = self._lengths(ids)
        return Tokens(ids, lengths, self._goes_on(texts, lengths))

    def _lengths(self, ids: Int64[Tensor, "text position"]) -> Int64[Tensor, " text"]:
        """Up to the first end token; without one, up to the last token that is no padding."""
        positions = torch.arange(1, ids.shape[1] + 1)
        lengths = (positions * (ids != self._pad_id)).amax(dim=1).clamp(min=1)
        if self._end_id is not None:
            is_end = ids == self._end_id
            lengths = torch.where(is_end.any(dim=1), is_end.int().argmax(dim=1) + 1, lengths)
        return lengths

    def _goes_on(self, texts: Sequence[str], lengths: Int64[Tensor, " text"]) -> Bool[Tensor, " text"]:
        """Whether a text has more tokens in a wider context. Only texts that nearly fill theirs are asked."""
        goes_on = torch.zeros(len(lengths), dtype=torch.bool)
        full = (lengths > self.context_length - self._BEYOND).nonzero().flatten().tolist()
        if full:
            wider = self._tokenizer(
                [texts[i] for i in full], context_length=self.context_length + self._BEYOND
            )
            goes_on[full] = self._lengths(wider) > lengths[full]
        return goes_on
