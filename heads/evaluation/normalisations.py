"""The columns of a table of results: plain scores, and each way to normalise them, never mixed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Int
from torch import Tensor

from ...data.contracts.errors import UsageError, unknown_name
from ..base import Head
from ..features.feature_set import FeatureSet
from ..features.seeding import seeded
from .hubness import Direction, dual_softmax, queries_below_zero, querybank, sinkhorn
from .ranks import BothRanks, Scores, rank_both
from .scores import EncodedTexts, EncodedVideos, HeadScores

NormalisationKind = Literal["inductive", "transductive"]


@dataclass(frozen=True, slots=True)
class NormalisationConfig:
    """The settings of the normalisations, all on cosine scale, and the published ones by default."""

    dsl_scale: float = 100.0
    """DSL: inverse temperature of the softmax over queries."""
    qb_scale: float = 20.0
    """QB-Norm: inverse temperature of the softmax over the bank."""
    qb_nearest: int = 1
    """QB-Norm: how many best candidates of each bank query count as hubs."""
    sinkhorn_temperature: float = 0.01
    """Sinkhorn: temperature of the similarity kernel; the columns ``_std`` take a quarter of the standard deviation of
    the scores that are balanced."""
    sinkhorn_iterations: int = 4
    """Sinkhorn: how often queries and candidates are balanced."""
    bank_size: int = 10_000
    """The most training queries in a bank; a larger training split is sampled."""

    def __post_init__(self) -> None:
        """Refuse values that cannot work.

        Raises:
            UsageError: names the field and what is allowed.
        """
        for name in type(self).__slots__:
            if getattr(self, name) <= 0:
                raise UsageError(f"{name} must be greater than 0, got {name}={getattr(self, name)!r}")


PUBLISHED = NormalisationConfig()
"""The settings of the papers."""


@dataclass(frozen=True)
class Banks:
    """Scores of training queries with the test candidates."""

    t2v: Scores
    """Training texts with test videos."""
    v2t: Scores
    """Test texts with training videos."""

    def of(self, direction: Direction) -> Scores:
        """The bank for queries of one direction."""
        return self.t2v if direction == "t2v" else self.v2t


@dataclass(frozen=True, slots=True)
class Column:
    """One way to normalise."""

    title: str
    kind: NormalisationKind
    adjust: Callable[[Scores, Direction, Banks | None, NormalisationConfig], Scores]


def _qb_norm(
    scores: Scores, direction: Direction, banks: Banks | None, config: NormalisationConfig
) -> Scores:
    assert banks is not None, "QB-Norm needs a bank"
    return querybank(scores, banks.of(direction), direction, config.qb_scale, config.qb_nearest)


def _sinkhorn_bank(
    scores: Scores, direction: Direction, banks: Banks | None, config: NormalisationConfig
) -> Scores:
    assert banks is not None, "inductive Sinkhorn needs a bank"
    bank = banks.of(direction)
    return sinkhorn(scores, direction, bank, config.sinkhorn_temperature, config.sinkhorn_iterations)


def _sinkhorn(
    scores: Scores, direction: Direction, banks: Banks | None, config: NormalisationConfig
) -> Scores:
    return sinkhorn(scores, direction, None, config.sinkhorn_temperature, config.sinkhorn_iterations)


def _sinkhorn_std(
    scores: Scores, direction: Direction, banks: Banks | None, config: NormalisationConfig
) -> Scores:
    return sinkhorn(scores, direction, None, None, config.sinkhorn_iterations)


def _sinkhorn_bank_std(
    scores: Scores, direction: Direction, banks: Banks | None, config: NormalisationConfig
) -> Scores:
    assert banks is not None, "inductive Sinkhorn needs a bank"
    return sinkhorn(scores, direction, banks.of(direction), None, config.sinkhorn_iterations)


def _dsl(scores: Scores, direction: Direction, banks: Banks | None, config: NormalisationConfig) -> Scores:
    return dual_softmax(scores, direction, config.dsl_scale)


COLUMNS = {
    "qb_norm": Column("QB-Norm, bank of training queries", "inductive", _qb_norm),
    "sinkhorn_bank": Column("Sinkhorn, bank of training queries", "inductive", _sinkhorn_bank),
    "sinkhorn_bank_std": Column("the same, T = std / 4", "inductive", _sinkhorn_bank_std),
    "dsl": Column("DSL over all test queries", "transductive", _dsl),
    "sinkhorn": Column("Sinkhorn over all test queries", "transductive", _sinkhorn),
    "sinkhorn_std": Column("the same, T = std / 4", "transductive", _sinkhorn_std),
}
"""Every way to normalise, by its name on the command line."""


EVERY_COLUMN = "all"
"""In place of their names."""

TEMPERATURES = (("sinkhorn_bank", "sinkhorn_bank_std"), ("sinkhorn", "sinkhorn_std"))
"""Columns that differ in their temperature alone: a fixed one, and one of the scores' own scale."""


def column(name: str) -> Column:
    """The column of that name.

    Raises:
        UsageError: there is none; the message lists the known ones.
    """
    if name not in COLUMNS:
        raise UsageError(unknown_name("normalisation", name, COLUMNS))
    return COLUMNS[name]


def chosen_columns(names: Sequence[str], *, banks: bool = True) -> tuple[str, ...]:
    """The names themselves, or where they are ``all`` every one there is.

    Args:
        names: as they were typed.
        banks: whether there may be training queries; without them ``all`` are those that need none.

    Raises:
        UsageError: one is unknown.
    """
    if list(names) == [EVERY_COLUMN]:
        return tuple(name for name, one in COLUMNS.items() if banks or one.kind == "transductive")
    for name in names:
        column(name)
    return tuple(names)


def refusal(name: str, scores: Scores) -> str | None:
    """Why ranks by such adjusted scores would mean nothing; None where they mean what they should."""
    if name != "dsl":
        return None
    ways: tuple[tuple[Direction, str, str], ...] = (("t2v", "texts", "videos"), ("v2t", "videos", "texts"))
    for direction, queries, others in ways:
        below = queries_below_zero(scores, direction)
        if below:
            return (
                f"DSL multiplies scores with shares and turns the order of negative ones round; {below:,} of the "
                f"{queries} score no more than 0 with all {others}. sinkhorn_std does not depend on where 0 is"
            )
    return None


def caveat(name: str, scores: Scores, text_video: Int[Tensor, " text"]) -> str | None:
    """What goes with a normalised figure that is wrong for some queries; None where there is nothing to say."""
    below = int((scores.pairs(text_video) <= 0).sum()) if name == "dsl" else 0
    if not below:
        return None
    return f"DSL turns the order of negative scores round: {below:,} of {len(text_video):,} right pairs score below 0"


def normalised_ranks(
    name: str,
    scores: Scores,
    banks: Banks | None,
    text_video: Int[Tensor, " text"],
    config: NormalisationConfig,
) -> BothRanks:
    """Ranks by scores adjusted for each direction on its own.

    Raises:
        UsageError: the normalisation is unknown, needs a bank of training queries and there is none, or means nothing
            with these scores (``refusal``).
    """
    chosen = column(name)
    if (reason := refusal(name, scores)) is not None:
        raise UsageError(reason)
    if chosen.kind == "inductive" and banks is None:
        raise UsageError(
            f"normalisation {name!r} needs a bank of training queries, but there is no training split"
        )
    by_text = rank_both(chosen.adjust(scores, "t2v", banks, config), text_video)
    by_video = rank_both(chosen.adjust(scores, "v2t", banks, config), text_video)
    return BothRanks(by_text.t2v, by_video.v2t, by_video.v2t_any_caption)


def banks_of(
    head: Head, bank: FeatureSet, texts: EncodedTexts, videos: EncodedVideos, bank_size: int
) -> Banks:
    """The training queries with the test candidates; the same sample each time where there are too many."""
    return Banks(
        t2v=HeadScores(head, EncodedTexts(head, bank, _sample(bank.num_texts, bank_size)), videos),
        v2t=HeadScores(head, texts, EncodedVideos(head, bank, _sample(bank.num_videos, bank_size))),
    )


def _sample(items: int, most: int) -> Int[Tensor, " item"]:
    if items <= most:
        return torch.arange(items)
    return torch.randperm(items, generator=seeded(0, "bank"))[:most].sort().values
