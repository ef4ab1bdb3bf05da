"""Late fusion: ranks by a weighted sum of the scores of several runs or matrices, matched by their ids.

Scores are added as they are, none standardised: a head's are cosines by its contract, a matrix's are what it holds.
Weights are divided by their sum, so that a sum of cosines is on the scale of cosines.

Source: Cap4Video (CVPR 2023, arXiv 2301.00184) section 3.5 adds its two matrices so.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

from ...data.contracts.errors import DataError, UsageError, cut_short, pasteable
from ..runs.find_store import store_notes
from .evaluate import ranked
from .evaluate_runs import BETWEEN, EvaluationOptions, Scored, open_run, short_names
from .fused_scores import Common, FusedScores, Part, common_part
from .given_ids import MatrixIds, TextIds, VideoIds
from .given_scores import evaluation_of, given_matrix, refuse_banks, scale_notes
from .ranks import rank_both
from .saved_scores import Basis, basis_of
from .scores import EncodedTexts, EncodedVideos, HeadScores

VALIDATION = "val"
MOST_STEPS, MOST_TRIED = 20, 250
"""Weights are tried in steps of 1/20; of more than three parts in larger ones, so that few enough are tried."""


@dataclass(frozen=True)
class Member:
    """One of those that are fused."""

    place: Path
    """The folder of a run, or the .npy of a matrix."""
    weight: float | None = None
    """None: the validation split says."""

    @property
    def is_matrix(self) -> bool:
        """Whether it is a file of scores, not a run."""
        return self.place.suffix == ".npy"


@dataclass(frozen=True)
class Fusion:
    """What was scored, and what can be kept of it."""

    scored: tuple[Scored, ...]
    """Each alone, on what all have, then their sum."""
    scores: FusedScores
    ids: MatrixIds
    basis: Basis


def member_of(word: str) -> Member:
    """A run or matrix as it is typed: its name, or ``NAME:WEIGHT``."""
    name, colon, weight = word.rpartition(":")
    if not colon or Path(word).exists():
        return Member(Path(word))
    try:
        return Member(Path(name), float(weight))
    except ValueError:
        return Member(Path(word))


def scored_fusion(
    members: Sequence[Member],
    options: EvaluationOptions,
    texts: TextIds | None = None,
    videos: VideoIds | None = None,
) -> Fusion:
    """Rank by each of several scores, and by their weighted sum.

    Args:
        members: two or more; all with weights, or, if all are runs, none: then those are taken that are best on the
            validation split, by the sum of R@1, R@5 and R@10 of both directions.
        options: split, device and normalisations, of those that need no training queries.
        texts: of the rows of every matrix, as for ``given_matrix``.
        videos: of its columns.

    Raises:
        UsageError: fewer than two, one twice, or weights that cannot be.
        StoreError: the features of a run are not there.
        DataError: they have nothing in common, or one id stands for different things.
    """
    _check(members)
    refuse_banks(options.normalise, "a sum of scores has none")
    names = list(short_names([one.place for one in members]).values())
    parts = [_part(one, name, options, texts, videos) for one, name in zip(members, names, strict=True)]
    common = common_part(parts)
    weights, notes = _weights(members, names, options)
    basis = _common_basis(parts, common)
    alone = [
        _alone(member, part, FusedScores([part], [at], (1.0,)), common.ids, basis, options)
        for member, part, at in zip(members, parts, common.places, strict=True)
    ]
    scores = FusedScores(parts, common.places, weights)
    shares = dict(zip(names, weights, strict=True))
    name = BETWEEN.join(f"{share:.3g} {of}" for of, share in shares.items())
    found = ranked(scores, common.ids.text_video, options.normalise)
    evaluation = evaluation_of(found, common.ids, basis)
    said = [*notes, *common.notes, *_said(found, scores, options)]
    together = Scored(name, None, evaluation, basis.facts, tuple(said), weights=shares)
    return Fusion((*alone, together), scores, common.ids, replace(basis, name=name))


def _check(members: Sequence[Member]) -> None:
    if len(members) < 2:
        raise UsageError(f"--fuse takes two or more runs or matrices, got {len(members)}")
    places = [one.place.resolve() for one in members]
    if len(set(places)) < len(places):
        raise UsageError("--fuse takes each run or matrix once")
    given = [one.weight for one in members if one.weight is not None]
    if given and len(given) < len(members):
        raise UsageError("--fuse takes a weight for each (a:0.7 b:0.3), or for none")
    if given and (not all(math.isfinite(one) and one >= 0 for one in given) or not sum(given)):
        raise UsageError(f"weights of --fuse are 0 or more and not all 0, got {', '.join(map(str, given))}")
    matrices = [str(one.place) for one in members if one.is_matrix]
    if matrices and not given:
        raise UsageError(
            f"of {cut_short(matrices)} there are no scores of a validation split, on which weights could be found: "
            f"give them, such as --fuse {pasteable(members[0].place)}:0.7 {pasteable(members[1].place)}:0.3"
        )


def _part(
    member: Member, name: str, options: EvaluationOptions, texts: TextIds | None, videos: VideoIds | None
) -> Part:
    if member.is_matrix:
        given = given_matrix(member.place, texts, videos)
        return Part(name, given.scores, given.ids, given.basis, given.notes)
    subject = open_run(member.place, replace(options, normalise=()))
    head, features = subject.head.eval(), subject.features
    return Part(
        name,
        HeadScores(head, EncodedTexts(head, features), EncodedVideos(head, features)),
        MatrixIds(features.text_ids, features.video_ids, features.text_video),
        basis_of(name, subject.store, features),
        tuple(store_notes(subject.record, subject.store)),
        features.texts,
    )


def _weights(
    members: Sequence[Member], names: Sequence[str], options: EvaluationOptions
) -> tuple[tuple[float, ...], list[str]]:
    """What each counts for, and how that was found."""
    given = [one.weight for one in members if one.weight is not None]
    if given:
        return tuple(one / sum(given) for one in given), []
    try:
        asked = replace(options, split=VALIDATION)
        parts = [_part(one, name, asked, None, None) for one, name in zip(members, names, strict=True)]
        common = common_part(parts)
    except (UsageError, DataError) as error:
        raise UsageError(
            f"weights are found on the validation split, which cannot be done here ({error}): give them, such as "
            f"{names[0]}:0.7 {names[1]}:0.3"
        ) from None
    weights, score = best_weights(parts, common)
    words = " ".join(f"{name}:{weight:.3g}" for name, weight in zip(names, weights, strict=True))
    note = f"weights found on the validation split: {words} (score {score:.1f} of 600)"
    if options.split == VALIDATION:
        note += ", on which this is scored too: a figure that flatters"
    return weights, [note]


def best_weights(parts: Sequence[Part], common: Common) -> tuple[tuple[float, ...], float]:
    """The weights under which the sum of R@1, R@5 and R@10 of both directions is largest, and that; of equally good
    ones those that are most alike."""
    best = (-1.0, 0.0, (0.0,) * len(parts))
    for weights in weight_grid(len(parts)):
        ranks = rank_both(FusedScores(parts, common.places, weights), common.ids.text_video)
        score = ranks.t2v.recall_sum + ranks.v2t.recall_sum
        best = max(best, (score, -sum(one * one for one in weights), weights))
    return best[2], best[0]


def weight_grid(parts: int) -> list[tuple[float, ...]]:
    """Every way to share 1 among so many, in equal steps."""
    steps = max(
        (some for some in range(2, MOST_STEPS + 1) if math.comb(some + parts - 1, parts - 1) <= MOST_TRIED),
        default=1,
    )
    bars = combinations(range(steps + parts - 1), parts - 1)
    edges = [(-1, *some, steps + parts - 1) for some in bars]
    return [tuple((b - a - 1) / steps for a, b in pairwise(one)) for one in edges]


def _alone(
    member: Member, part: Part, scores: FusedScores, ids: MatrixIds, basis: Basis, options: EvaluationOptions
) -> Scored:
    """One of them on what all have."""
    found = ranked(scores, ids.text_video, options.normalise)
    # What is scored is the same for all; what it is made of is each one's own.
    facts = {**part.basis.facts, "dataset": basis.dataset, "split_source": basis.split_source}
    given = str(member.place) if member.is_matrix else None
    notes = (*part.notes, *_said(found, scores, options))
    run = None if member.is_matrix else member.place
    return Scored(part.name, run, evaluation_of(found, ids, basis), facts, notes, given=given)


def _said(found: Any, scores: FusedScores, options: EvaluationOptions) -> list[str]:
    refused = [f"{name}: {why}" for name, why in found.refused.items()]
    return [*refused, *found.caveats, *scale_notes(scores, options.normalise)]


def _common_basis(parts: Sequence[Part], common: Common) -> Basis:
    """What a sum is of: the first one's split, and the encoders of all."""
    every = [part.basis for part in parts]
    known = next((one for one in every if one.model is not None), every[0])
    stores, models, tags = (
        _joined(getattr(one, name) for one in every) for name in ("store", "model", "pretrained")
    )
    expected = [one.expected_videos or 0 for one in every]
    is_known = all(one.model is not None for one in every)
    cautions = [one.caution for one in every if one.caution is not None]
    return replace(
        known,
        store=stores,
        model=models if is_known else None,
        pretrained=tags if is_known else None,
        random_weights=any(one.random_weights for one in every),
        caution=next(iter(cautions), None),
        limit=next((one.limit for one in every if one.limit is not None), None),
        expected_videos=max(*expected, len(common.ids.videos) + len(common.lost_videos)),
        excluded_videos={**_merged(every, "excluded_videos"), **common.lost_videos},
        excluded_queries={**_merged(every, "excluded_queries"), **common.lost_texts},
    )


def _joined(names: Iterable[str | None]) -> str | None:
    """Each of them once; None where none is known."""
    return BETWEEN.join(dict.fromkeys(name for name in names if name is not None)) or None


def _merged(every: Sequence[Basis], name: str) -> dict[str, str]:
    return {id: why for one in every for id, why in getattr(one, name).items()}
