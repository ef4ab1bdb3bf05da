"""Everything that is measured on the test split about one head."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import torch
from tvr.data.storyboard import phrase_spans, twins
from tvr.heads.base import Head, build_head
from tvr.heads.evaluation.evaluate import evaluate, evaluate_scores
from tvr.heads.evaluation.normalisations import COLUMNS
from tvr.heads.evaluation.scores import EncodedTexts, EncodedVideos, HeadScores
from tvr.heads.evaluation.twins import twin_accuracy
from tvr.heads.features.feature_set import FeatureSet
from tvr.heads.features.from_store import features_of
from tvr.heads.runs.run_folder import read_metrics
from tvr.heads.training.loop import train
from tvr.pipeline.store.atomic_files import write_json
from tvr.pipeline.store.reader import FeatureStore

from .spans import span_figures
from .training_sets import first_videos, training_sets
from .trials import Trial

FIGURES = "figures.json"
BANK_VIDEOS = 1000
"""Training queries in the bank of the inductive normalisations."""


@dataclasses.dataclass(frozen=True, slots=True)
class GeneratedSet:
    """Storyboard videos and their features."""

    store: Path
    root: Path
    """Of the videos, which holds the spans and the twins."""


@dataclasses.dataclass(frozen=True, slots=True)
class Task:
    """A trial, what it reads and where its figures go. Travels to a child process."""

    trial: Trial
    videos: GeneratedSet
    folder: Path
    tested: bool
    """Whether to look at the test split: not while a learning rate is chosen."""
    normalised: bool = True
    """Whether to score normalised too, which takes three times as long."""
    unseen: GeneratedSet | None = None
    """Another set whose test split is scored as well, one that led to no decision."""

    @property
    def is_done(self) -> bool:
        """Whether all of it has been measured, with these very settings and features: a default may have changed
        since, or the store have been made anew."""
        if not self.figures.exists():
            return False
        kept = json.loads(self.figures.read_text(encoding="utf-8"))
        is_whole = not self.tested or (
            (not self.normalised or kept["test"].get("normalised"))
            and (self.unseen is None or "unseen" in kept)
        )
        wanted = self.made_by | self.features
        return is_whole and {key: kept.get(key) for key in wanted} == wanted

    @property
    def made_by(self) -> dict[str, Any]:
        """Everything that was set, as JSON gives it back."""
        parts = {"trial": self.trial, "head_config": self.trial.head_config, "training": self.trial.training}
        return json.loads(json.dumps({name: dataclasses.asdict(part) for name, part in parts.items()}))

    @property
    def features(self) -> dict[str, str]:
        """Digests of all bytes of the features it reads."""
        sets = {"features": self.videos}
        if self.tested and self.unseen is not None:
            sets["unseen_features"] = self.unseen
        return {name: FeatureStore.open(some.store).digest for name, some in sets.items()}

    @property
    def figures(self) -> Path:
        """Where this task's figures are kept."""
        return self.folder / (FIGURES if self.tested else "validation.json")


def run_task(task: Task) -> Path:
    """Train and measure one trial on one thread; what was measured before is left alone."""
    if task.is_done:
        return task.figures
    torch.set_num_threads(1)
    store = FeatureStore.open(task.videos.store)
    head, validation = _trained(task, store)
    task.folder.mkdir(parents=True, exist_ok=True)  # heads without parameters have trained nothing into it
    figures = validation | (_test_figures(task, store, head) if task.tested else {})
    write_json(task.figures, task.made_by | task.features | figures)
    return task.figures


def _trained(task: Task, store: FeatureStore) -> tuple[Head, dict[str, Any]]:
    """The head of the best epoch, and what training it came to."""
    trial, sets = task.trial, training_sets(store, task.trial)
    if not trial.is_trained:
        head = build_head(trial.head, trial.head_config, sets["train"].shape(trial.num_frames)).eval()
        return head, {"validation": evaluate(head, sets["val"]).record(), "parameters": 0, "seconds": 0.0}
    result = train(trial.head, trial.head_config, sets, trial.training, task.folder)
    epochs = read_metrics(task.folder)
    return result.head, {
        "validation": epochs[result.best_epoch - 1]["val"],
        "best_epoch": result.best_epoch,
        "parameters": sum(p.numel() for p in result.head.parameters() if p.requires_grad),
        "seconds": sum(epoch["training_seconds"] for epoch in epochs),
    }


def _test_figures(task: Task, store: FeatureStore, head: Head) -> dict[str, Any]:
    test = features_of(store, "test")
    bank = first_videos(store, "train", BANK_VIDEOS) if task.normalised else None
    spans = span_figures(head, test, phrase_spans(task.videos.root))
    figures = _recalls_and_twins(head, test, task.videos, bank)
    figures["spans"] = {level: dataclasses.asdict(found) for level, found in spans.items()}
    if task.unseen is not None:
        unseen = features_of(FeatureStore.open(task.unseen.store), "test")
        figures["unseen"] = _recalls_and_twins(head, unseen, task.unseen, bank=None)
    return figures


def _recalls_and_twins(
    head: Head, test: FeatureSet, videos: GeneratedSet, bank: FeatureSet | None
) -> dict[str, Any]:
    """Of a test split; with a bank of training queries, normalised scores are ranked too."""
    scores = HeadScores(head, EncodedTexts(head, test), EncodedVideos(head, test))
    similarity = torch.empty(test.num_texts, test.num_videos)
    scores.write_to(similarity.numpy())
    scored = evaluate(head, test, list(COLUMNS), bank) if bank else evaluate_scores(scores, test)
    return {
        "test": scored.record(),
        "twins": twin_accuracy(similarity, test, twins(videos.root, "test")),
    }
