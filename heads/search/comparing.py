"""How a query meets a gallery: with every item of it, or with those that are nearest by one coarse vector.

Both say, beside the scores, what a usual score of this query is: a cosine alone means little to a person.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from math import erfc, sqrt
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ...data.contracts.errors import UsageError
from ..base import Encoded, Head, TextFeatures
from ..evaluation.blockwise import similarity_in_blocks
from ..features.feature_set import FeatureSet
from .gallery.coarse import Coarse
from .gallery.encoded_items import EncodedItems, drawn_places
from .gallery.exact import Gallery, scores_in_batches

DRAWN = 256
"""Items by which a usual score is known where not every item is compared: the same for every query."""
FEWEST = 20
"""With fewer scores nothing is said of what is usual among them."""


@dataclass(frozen=True, slots=True)
class Usual:
    """The scores of one query with the items of a gallery, or with some that were drawn."""

    mean: float
    deviation: float
    """Standard deviation."""
    items: int
    """How many items the gallery has."""

    @classmethod
    def of(cls, scores: Float[Tensor, " item"], items: int) -> "Usual | None":
        """None where there are fewer than ``FEWEST``, or all are equal."""
        if len(scores) < FEWEST or not float(scores.std()) > 0:
            return None
        return cls(float(scores.mean()), float(scores.std()), items)

    def deviations(self, score: float) -> float:
        """How many standard deviations a score lies above the mean."""
        return (score - self.mean) / self.deviation

    def by_chance(self, score: float) -> float:
        """How many items of the gallery would reach a score if scores were spread as a normal distribution."""
        return self.items * erfc(self.deviations(score) / sqrt(2)) / 2


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """One query beside items of a gallery."""

    items: Int[Tensor, " compared"]
    """Their places."""
    scores: Float[Tensor, " compared"]
    """Cosine scale."""
    usual: Usual | None
    """None where nothing can be said."""

    def by_owner(
        self, owner: Int[Tensor, " item"], count: int
    ) -> tuple[Float[Tensor, " owner"], Int[Tensor, " owner"]]:
        """The best score of each owner of items, minus infinity where none of its items was compared, and the item that
        has it.

        Args:
            owner: of every item of the gallery.
            count: how many owners there are.
        """
        order = self.scores.argsort(stable=True)
        items, found = self.items[order], self.scores[order]
        scores, best = torch.full((count,), -torch.inf), torch.zeros(count, dtype=torch.long)
        scores.scatter_reduce_(0, owner[items], found, "amax")
        is_best = found == scores[owner[items]]
        best[owner[items[is_best]]] = items[is_best]
        return scores, best


def compared_with_all(
    scores: Float[Tensor, "text item"], among: Bool[Tensor, " item"] | None
) -> list[Compared]:
    """What there is to say of texts whose scores with every item are known.

    Args:
        scores: cosine scale.
        among: True where an item may be found; None: anywhere.
    """
    items = torch.arange(scores.shape[1]) if among is None else among.nonzero().flatten()
    return [Compared(items, row[items], Usual.of(row, len(row))) for row in scores]


@dataclass(frozen=True, slots=True, eq=False)
class AskedTexts:
    """A batch of texts that are looked for, as it is and as a head encodes it."""

    features: TextFeatures
    encoded: Encoded

    @classmethod
    @torch.no_grad()
    def of(cls, head: Head, texts: TextFeatures) -> "AskedTexts":
        """Encoded by a head."""
        return cls(texts, head.encode_text(texts))

    def row(self, place: int) -> "AskedTexts":
        """One of them, as long as the batch."""
        columns = {one.name: getattr(self.features, one.name) for one in fields(TextFeatures)}
        present = {name: column[[place]] for name, column in columns.items() if column is not None}
        encoded = {name: tensor[[place]] for name, tensor in self.encoded.items()}
        return AskedTexts(replace(self.features, **present), encoded)


@runtime_checkable
class Comparer(Protocol):
    """Compares queries with a gallery."""

    def __call__(self, texts: AskedTexts, among: Bool[Tensor, " item"] | None = None) -> list[Compared]:
        """Each text with the items of the gallery, or of a part of it.

        Args:
            texts: what is looked for.
            among: True where an item may be found; None: anywhere.
        """
        ...


class EveryItem:
    """Compares with every item.

    Args:
        head: that compares.
        features: the items.
        kept: whether what is encoded of them is kept for the next query, or memory shall not grow with them.
    """

    def __init__(self, head: Head, features: FeatureSet, *, kept: bool) -> None:
        self._head = head.eval()
        self._features = features
        self._gallery = Gallery(head, features) if kept else None

    @torch.no_grad()
    def __call__(self, texts: AskedTexts, among: Bool[Tensor, " item"] | None = None) -> list[Compared]:
        """See ``Comparer``."""
        scores = self._gallery.scores(texts.encoded) if self._gallery else self._streamed(texts.encoded)
        return compared_with_all(scores, among)

    def _streamed(self, text: Encoded) -> Float[Tensor, "text item"]:
        return torch.cat([scores for _, scores in scores_in_batches(self._head, self._features, text)], dim=1)


Nearest = Callable[[Float[np.ndarray, "text dim"], int, Bool[Tensor, " item"] | None], list[list[int]]]
"""The places of the nearest items of each vector, the nearest first; of a part of the gallery or of all."""


class Candidates:
    """Compares with a few items alone; sub-classes say with which.

    Args:
        items: with the head that compares.
        candidates: how many are compared.
    """

    def __init__(self, items: EncodedItems, candidates: int) -> None:
        if candidates < 1:
            raise UsageError(f"candidates must be at least 1, got {candidates}")
        self._head = items.head.eval()
        self._items = items
        self.candidates = candidates
        self._count = items.features.num_videos
        with torch.no_grad():
            self._drawn = items.of(drawn_places(self._count, DRAWN))

    @torch.no_grad()
    def __call__(self, texts: AskedTexts, among: Bool[Tensor, " item"] | None = None) -> list[Compared]:
        """See ``Comparer``."""
        return [
            self._compared(texts.row(row).encoded, torch.tensor(places, dtype=torch.long))
            for row, places in enumerate(self._places(texts, among))
        ]

    def _places(self, texts: AskedTexts, among: Bool[Tensor, " item"] | None) -> list[list[int]]:
        """Which items each text is compared with."""
        raise NotImplementedError

    def check(self, top_k: int) -> None:
        """Whether so many results can be given.

        Raises:
            UsageError: fewer are compared.
        """
        if self.candidates < top_k:
            raise UsageError(
                f"candidates must be at least top_k, got candidates = {self.candidates} and {top_k = }"
            )

    def _compared(self, text: Encoded, items: Int[Tensor, " item"]) -> Compared:
        usual = Usual.of(similarity_in_blocks(self._head, text, self._drawn)[0].float().cpu(), self._count)
        if not len(items):
            return Compared(items, torch.zeros(0), usual)
        scores = similarity_in_blocks(self._head, text, self._items.of(items))[0]
        return Compared(items, scores.float().cpu(), usual)


class NearestItems(Candidates):
    """Compares with the nearest items by coarse vector alone.

    Args:
        items: with the head that compares.
        coarse: whose vectors are near or not.
        nearest: finds them.
        candidates: how many are compared.
    """

    def __init__(self, items: EncodedItems, coarse: Coarse, nearest: Nearest, candidates: int) -> None:
        super().__init__(items, candidates)
        self._coarse = coarse
        self._nearest = nearest

    def _places(self, texts: AskedTexts, among: Bool[Tensor, " item"] | None) -> list[list[int]]:
        vectors = self._coarse.of_texts(
            texts.features, texts.encoded if self._coarse.head is self._head else None
        )
        return self._nearest(vectors.cpu().numpy(), self.candidates, among)


def best_first(scores: Float[Tensor, " video"]) -> Int[Tensor, " ranked"]:
    """The places of the videos that were compared, those of equal scores in their order.

    Args:
        scores: minus infinity where a video was not.
    """
    compared = scores.isfinite().nonzero().flatten()
    return compared[scores[compared].argsort(descending=True, stable=True)]
