"""What `tvr eval` is asked to score: runs, heads without training, or scores that are there."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ...data.contracts.errors import UsageError
from ...heads.evaluation.evaluate_runs import (
    EvaluationOptions,
    Scored,
    open_run,
    scored_runs,
    scored_untrained,
)
from ...heads.evaluation.fusion import Member, member_of, scored_fusion
from ...heads.evaluation.given_scores import given_matrix, scored_matrix
from ...heads.evaluation.normalisations import chosen_columns
from ...heads.evaluation.saved_scores import save_scores, save_similarity
from ...heads.report.published import TEST_SPLIT
from ...pipeline.store.reader import FeatureStore
from ...pipeline.workspace import Workspace
from ...places import names_in
from ..output.waiting import waiting
from .chosen_run import chosen_runs, named_run
from .chosen_store import named_store, taken_store
from .offered_stores import captions_offered
from .options import check_writable

RANKING = "ranking every video for every text"


@dataclass(frozen=True)
class Answered:
    """What came of it."""

    scored: Sequence[Scored]
    options: EvaluationOptions
    runs: Sequence[Path] = ()
    """Those that have a next step: a report, a search."""
    store: Path | None = None
    """On which they were scored, if not on each run's own."""


@dataclass(frozen=True, kw_only=True)
class AskedEvaluation:
    """The options that say what is scored, as they were typed."""

    place: Workspace
    runs: Sequence[Path]
    dataset: str | None
    store: Path | None
    split: str
    device: str
    zero_shot: str | None
    normalise: str | None
    fuse: bool
    matrix: Path | None
    texts: Path | None
    videos: Path | None
    compare: bool
    report: bool
    save_similarity: Path | None

    def answered(self) -> Answered:
        """Score it.

        Raises:
            UsageError: options that exclude each other, or a name of nothing.
            StoreError: the features are not there, or are another encoder's.
            DataError: nothing of it can be scored.
        """
        if self.fuse:
            return self._fused()
        if self.matrix is not None:
            return Answered([self._scored_matrix(self.matrix)], EvaluationOptions())
        if self.texts is not None or self.videos is not None:
            raise UsageError("--texts and --videos say what rows and columns of --matrix are: name a matrix")
        return self._of_runs() if self.zero_shot is None else self._untrained(self.zero_shot)

    def _scored_matrix(self, matrix: Path) -> Scored:
        others = [self.store, self.dataset, self.zero_shot, self.split != TEST_SPLIT]
        if self.runs or self.report or self.save_similarity or any(others):
            raise UsageError(
                "--matrix takes no run, no --store, --dataset, --split or --zero-shot, no --report and no "
                "--save-similarity: it scores what is there. Leave these out, or --matrix"
            )
        with waiting(RANKING):
            given = given_matrix(matrix, self.texts, self.videos)
            return scored_matrix(given, chosen_columns(names_in(self.normalise), banks=False))

    def _fused(self) -> Answered:
        if self.matrix is not None or self.zero_shot or self.report:
            raise UsageError(
                "--fuse takes runs and matrices (--fuse a:0.7 scores.npy:0.3), no --matrix, no --zero-shot and no "
                "--report"
            )
        if self.save_similarity is not None:
            check_writable("--save-similarity", self.save_similarity)
        members = [self._named(member_of(str(run))) for run in self.runs]
        columns = chosen_columns(names_in(self.normalise), banks=False)
        options = EvaluationOptions(
            self.split, self.store and named_store(self.place, self.store), self.device, columns
        )
        with waiting(RANKING):
            fusion = scored_fusion(members, options, self.texts, self.videos)
            if self.save_similarity is not None:
                save_scores(self.save_similarity, fusion.scores, fusion.ids, fusion.basis)
        return Answered(fusion.scored, options)

    def _named(self, member: Member) -> Member:
        if member.is_matrix:
            return member
        return replace(member, place=named_run(self.place, member.place, self.dataset))

    def _of_runs(self) -> Answered:
        runs, store = chosen_runs(self.place, self.runs, self.store, self.dataset, every=self.compare)
        options = replace(self._options, store=store)
        self._check_similarity(runs)
        with waiting(RANKING):
            scored = scored_runs(runs, options)
            if self.save_similarity is not None:
                save_similarity(open_run(runs[0], options), self.save_similarity)
        return Answered(scored, options, runs, self.store and store)

    def _untrained(self, heads: str) -> Answered:
        if self.runs or self.report or self.save_similarity is not None:
            raise UsageError(
                "--zero-shot takes no run, no --report and no --save-similarity: it scores heads that are not trained. "
                "Leave these out, or --zero-shot"
            )
        options = self._options
        store = taken_store(self.place, self.store, self.dataset)
        with captions_offered(self.place), waiting(RANKING):
            scored = scored_untrained(FeatureStore.open(store), names_in(heads), options)
        return Answered(scored, options, store=store)

    @property
    def _options(self) -> EvaluationOptions:
        columns = chosen_columns(names_in(self.normalise))
        return EvaluationOptions(split=self.split, device=self.device, normalise=columns)

    def _check_similarity(self, runs: Sequence[Path]) -> None:
        """See that a matrix can be written, before anything is scored.

        Raises:
            UsageError: it cannot, or of several runs it is not clear which is meant.
        """
        if self.save_similarity is None:
            return
        if len(runs) != 1:
            raise UsageError(f"--save-similarity takes one run, got {len(runs)}")
        check_writable("--save-similarity", self.save_similarity)
