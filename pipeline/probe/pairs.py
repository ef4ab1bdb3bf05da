"""How many pairs of stills an encoder tells apart, beside what captions dealt out at random would give.

Two stills are told apart where both with their own captions are more alike than both with each other's. What raises all
scores of one picture or of one caption cancels, so that weak encoders are judged fairly too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Any, get_args

import numpy as np
from jaxtyping import Float, Int

from ...data.contracts.errors import StoreError, counted
from ...data.contracts.records import restored
from ..encoders.base import Encoder, EncoderIdentity
from ..preprocessing import resize
from .stills import StillKind, rendered_stills

_DEALS = 1000
_PERCENTILE = 99
_KEPT = 8
"""Results of so many encoders are remembered by a process."""


@dataclass(frozen=True)
class ProbeResult:
    """What an encoder made of the stills."""

    told_apart: int
    """Of ``pairs``; half of them are by chance."""
    pairs: int
    at_random: int
    """What 99 of 100 random deals of these very captions do not exceed."""
    by_kind: Mapping[str, int]
    """Of the pairs that differ in one thing alone: colours, shapes, counts, places."""
    pairs_of_kind: int

    @property
    def sees(self) -> bool:
        """Whether it is more than captions at random would give."""
        return self.told_apart > self.at_random

    @property
    def share(self) -> float:
        """Per cent of the pairs."""
        return 100 * self.told_apart / self.pairs

    def __str__(self) -> str:
        """In one line, for a person."""
        kinds = ", ".join(
            f"{kind} {100 * told / self.pairs_of_kind:.0f}" for kind, told in self.by_kind.items()
        )
        return (
            f"tells {self.share:.0f} % of {counted(self.pairs, 'pair')} of drawn stills apart (chance 50, captions at "
            f"random at most {100 * self.at_random / self.pairs:.0f}; {kinds})"
        )


def probe(encoder: Encoder) -> ProbeResult:
    """Show an encoder the stills and their captions. The same encoder is not asked twice in a process."""
    found = _remembered(encoder.identity)
    if not found:
        found.append(_probed(encoder))
    return found[0]


@lru_cache(maxsize=_KEPT)
def _remembered(identity: EncoderIdentity) -> list[ProbeResult]:
    """Where the result is kept; empty until it is known."""
    return []


def _probed(encoder: Encoder) -> ProbeResult:
    stills = rendered_stills()
    size = encoder.identity.preprocessing
    frames = encoder.encode_frames(np.stack([resize(still.picture, size) for still in stills]))
    texts = encoder.encode_texts([still.caption for still in stills])
    sentences = np.stack([text.words[text.sentence_row] for text in texts])
    scores = _unit(frames) @ _unit(sentences).T
    told = _told_apart(scores)
    dice = np.random.RandomState(0)
    deals = [int(_told_apart(scores[:, dice.permutation(len(stills))]).sum()) for _ in range(_DEALS)]
    places = {
        kind: [i for i, still in enumerate(stills) if still.kind == kind] for kind in get_args(StillKind)
    }
    by_kind = {kind: int(told[np.ix_(some, some)].sum()) for kind, some in places.items()}
    return ProbeResult(
        told_apart=int(told.sum()),
        pairs=len(list(combinations(stills, 2))),
        at_random=int(np.percentile(deals, _PERCENTILE, method="higher")),
        by_kind=by_kind,
        pairs_of_kind=len(list(combinations(places["colours"], 2))),
    )


def _told_apart(scores: Float[np.ndarray, "still still"]) -> Int[np.ndarray, "still still"]:
    """1 above the diagonal where the still of the row and that of the column are told apart; captions in the order of
    their stills."""
    own = np.diag(scores)
    apart = own[:, None] + own[None, :] > scores + scores.T
    return np.triu(apart, 1).astype(np.int64)


def _unit(vectors: Float[np.ndarray, "still dim"]) -> Float[np.ndarray, "still dim"]:
    """Each at length 1, in double precision; zeros stay zeros."""
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros(vectors.shape), where=lengths > 0)


def as_record(result: ProbeResult) -> dict[str, Any]:
    """As ``store.json`` and ``--json`` have it."""
    return vars(result) | {"by_kind": dict(result.by_kind)}


def of_record(record: Mapping[str, Any]) -> ProbeResult:
    """What ``as_record`` made.

    Raises:
        StoreError: it is none of its records.
    """
    try:
        result = restored(ProbeResult, record, "probe")
    except ValueError as error:
        raise StoreError(f"store.json does not say what the encoder made of its stills: {error}") from error
    if result.pairs < 1 or result.pairs_of_kind < 1:
        raise StoreError(f"store.json: probe is of {counted(result.pairs, 'pair')} of stills")
    return result
