"""Texts to token ids by a tokenizer of the transformers library, and through a network in passes of like lengths."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ..base import NO_TOKEN, EncodedText
from ..towers.precision import Arithmetic
from ..towers.text_passes import repeatable_passes, text_passes

_TEXTS_PER_PASS = {"cuda": 256}
_TEXTS_PER_PASS_ELSEWHERE = 64
_ALL = slice(None)


@dataclass(frozen=True)
class TokenIds:
    """The tokens of one text, as many as the network reads."""

    ids: list[int]
    truncated: bool
    own: slice
    """Which of them are of the text itself, where a template stands around it."""


@dataclass(frozen=True)
class TextPasses:
    """Runs texts through a network; see ``EncodedText`` for what comes out."""

    tokenise: Callable[[Sequence[str]], list[TokenIds]]
    rows: Callable[[Sequence[TokenIds], int, torch.device], list[EncodedText]]
    """Of texts that run together, and so many positions of each."""
    longest: int
    """Positions that the network has."""
    arithmetic: Arithmetic

    def __call__(self, texts: Sequence[str], repeatable: bool = False) -> list[EncodedText]:
        """Features of at least one text, in the order given; see ``Encoder.encode_texts``."""
        tokens, device = self.tokenise(texts), self.arithmetic.device
        needed = [len(one.ids) for one in tokens]
        passes = (
            repeatable_passes(needed, device.type, self.longest)
            if repeatable
            else text_passes(
                needed, _TEXTS_PER_PASS.get(device.type, _TEXTS_PER_PASS_ELSEWHERE), self.longest
            )
        )
        found: dict[int, EncodedText] = {}
        with self.arithmetic.running():
            for one in passes:
                rows = self.rows([tokens[place] for place in one.filled], one.positions, device)
                found.update(zip(one.places, rows, strict=False))
        return [found[place] for place in range(len(texts))]


def token_ids_of(tokenizer: Any, texts: Sequence[str], context_length: int) -> list[TokenIds]:
    """The ids that the library's tokenizer gives, special ones included, without padding."""
    ids_of = partial(tokenizer, return_attention_mask=False, return_token_type_ids=False, verbose=False)
    tokens = [TokenIds(ids, False, _ALL) for ids in ids_of(list(texts))["input_ids"]]
    long = [place for place, one in enumerate(tokens) if len(one.ids) > context_length]
    if long:
        cut = ids_of([texts[place] for place in long], truncation=True, max_length=context_length)
        for place, ids in zip(long, cut["input_ids"], strict=True):
            tokens[place] = TokenIds(ids, True, _ALL)
    return tokens


def padded(
    tokens: Sequence[TokenIds], length: int, padding: int, device: torch.device, *, is_left: bool = False
) -> tuple[Int64[Tensor, "text position"], Int64[Tensor, "text position"]]:
    """The ids of texts with padding behind them, or before them, and where they are no padding (1)."""
    ids = torch.full((len(tokens), length), padding)
    mask = torch.zeros_like(ids)
    for row, one in enumerate(tokens):
        place = slice(length - len(one.ids), length) if is_left else slice(0, len(one.ids))
        ids[row, place], mask[row, place] = torch.tensor(one.ids), 1
    return ids.to(device), mask.to(device)


def encoded_text(
    words: Float[Tensor, "word dim"],
    token_ids: Sequence[int],
    pooled: Float[Tensor, " dim"],
    pooled_row: int | None,
    *,
    truncated: bool,
) -> EncodedText:
    """The rows of one text; the pooled row behind them where it is none of them."""
    ids = list(token_ids)
    if pooled_row is None:
        words, ids, pooled_row = torch.cat([words, pooled[None]]), [*ids, NO_TOKEN], len(ids)
    rows = words.float().cpu().numpy().copy()
    rows[pooled_row] = pooled.float().cpu().numpy()
    return EncodedText(rows, np.array(ids, np.int32), pooled_row, truncated)
