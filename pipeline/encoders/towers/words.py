"""The features of every position of a text, from the text tower of an open_clip model.

``encode_text`` gives one row per text. The rows here are what it would give had it pooled at each position:
``ln_final`` and then the projection. Nothing after the end token can reach a position of a causal tower
(Radford et al. 2021, section 2.4: "masked self-attention"), so such a tower runs to the longest text of a batch.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int64
from open_clip import CLIP
from open_clip.transformer import TextTransformer
from torch import Tensor, nn

from .tokens import Tokens


class WordsUnavailableError(Exception):
    """This model's text tower gives no feature of each word; the message says why."""


@dataclass(frozen=True)
class Words:
    """Word features of a batch of texts."""

    features: Float[Tensor, "text position dim"]
    """Of the positions that were run; what lies behind a text's end is meaningless."""
    pooled_columns: list[int]
    """Where along ``position`` the pooled row of each text is."""


class WordTower:
    """A text tower that hands out all of its positions.

    Raises:
        WordsUnavailableError: the tower is of a kind whose positions are not known.
    """

    def __init__(self, model: Any) -> None:
        self._tower = tower = _text_tower(model)
        self._pooling: str = getattr(tower, "text_pool_type", None) or tower.pool_type
        self._end_id: int = getattr(tower, "text_eos_id", None) or tower.eos_id
        self._has_class_token = getattr(tower, "cls_emb", None) is not None
        self.context_length = int(tower.context_length)
        self.is_causal = _is_causal(tower.attn_mask)
        if self._pooling not in ("first", "last", "argmax", "eos"):
            raise WordsUnavailableError(f"its pooling {self._pooling!r} has no position")

    def needed(self, tokens: Tokens) -> Int64[Tensor, " text"]:
        """How many positions of each text must be run so that every row of it is right."""
        if not self.is_causal:
            return torch.full_like(tokens.lengths, self.context_length)
        if self._has_class_token:
            # The class token also sees the first padding position: open_clip's mask is shifted by one.
            last = (torch.arange(1, tokens.ids.shape[1] + 1) * (tokens.ids != self._tower.pad_id)).amax(dim=1)
            return torch.maximum(tokens.lengths, last + 1).clamp(max=self.context_length)
        return torch.maximum(tokens.lengths, self._pooled_positions(tokens) + 1)

    def __call__(self, tokens: Tokens, num_positions: int) -> Words:
        """Features of the first positions, of the class token behind them where the model has one."""
        ids = tokens.ids.to(self._tower.token_embedding.weight.device)
        hidden = self._tower.token_embedding(ids[:, :num_positions])
        kept = torch.arange(num_positions, device=ids.device)
        if self._has_class_token:
            hidden = torch.cat([hidden, self._tower.cls_emb.expand(len(hidden), 1, -1)], dim=1)
            kept = torch.cat([kept, kept.new_tensor([self.context_length])])
        hidden = hidden + self._tower.positional_embedding[kept]
        hidden = self._tower.transformer(hidden, attn_mask=self._mask(ids, kept, hidden.dtype))
        features = _projected(self._tower.ln_final(hidden), self._tower.text_projection)
        if self._has_class_token:
            return Words(features, [num_positions] * len(ids))
        return Words(features, self._pooled_positions(tokens).tolist())

    def _pooled_positions(self, tokens: Tokens) -> Int64[Tensor, " text"]:
        ids = tokens.ids
        if self._pooling in ("first", "last"):
            return torch.full_like(tokens.lengths, 0 if self._pooling == "first" else ids.shape[1] - 1)
        return ids.argmax(dim=1) if self._pooling == "argmax" else (ids == self._end_id).int().argmax(dim=1)

    def _mask(
        self, ids: Int64[Tensor, "text position"], kept: Int64[Tensor, " kept"], dtype: torch.dtype
    ) -> Float[Tensor, "*rest kept kept"] | None:
        """The additive attention mask between the positions that are run."""
        mask = self._tower.attn_mask
        if mask is not None:
            mask = mask[kept][:, kept]
        if self._has_class_token or getattr(self._tower, "use_pad_mask", False):
            padding = self._tower._build_additive_mask(ids, self._tower.num_pos, dtype)
            padding = padding[:, kept][:, :, kept]
            mask = padding if mask is None else mask + padding
        return mask


def check_words(tower: WordTower, model: Any, tokens: Tokens) -> None:
    """Compare the pooled rows with the model's own ``encode_text``, at full length.

    Raises:
        WordsUnavailableError: they differ, so that this version of open_clip computes something else.
    """
    expected = model.encode_text(tokens.ids.to(model.logit_scale.device), normalize=False).float().cpu()
    words = tower(tokens, int(tower.needed(tokens).max()))
    rows = words.features[torch.arange(len(expected)), words.pooled_columns].float().cpu()
    tolerance = 1e-4 * float(expected.abs().max())
    difference = float((rows - expected).abs().max()) if rows.shape == expected.shape else math.inf
    if not difference <= tolerance:
        raise WordsUnavailableError(f"its pooled rows differ from encode_text by {difference:.2g}")


def _text_tower(model: Any) -> Any:
    """The part of a model that has the text tower's layers: the model itself, or its ``text``."""
    tower = model if isinstance(model, CLIP) else getattr(model, "text", None)
    if not isinstance(tower, CLIP | TextTransformer):
        raise WordsUnavailableError(f"its text tower, {type(tower).__name__}, gives no feature at each word")
    return tower


def _is_causal(mask: Tensor | None) -> bool:
    """Whether the mask hides from each position everything that comes after it."""
    if mask is None:
        return False
    later = torch.ones_like(mask, dtype=torch.bool).triu(1)
    return bool(torch.isneginf(mask[later]).all())


def _projected(
    hidden: Float[Tensor, "text position width"], projection: Any
) -> Float[Tensor, "text position dim"]:
    if projection is None:
        return hidden
    return projection(hidden) if isinstance(projection, nn.Module) else hidden @ projection
