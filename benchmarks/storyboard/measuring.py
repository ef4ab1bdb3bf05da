"""Everything that is measured on the test split about one head."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import torch
from tvr.data.storyboard import phrase_spans, twins
from tvr.heads.base import Head, build_head
from tvr.heads.evaluation.columns import COLUMNS
from tvr.heads.evaluation.encoded import EncodedTexts, EncodedVideos, HeadScores
from tvr.heads.evaluation.evaluate import evaluate, evaluate_scores
from tvr.heads.evaluation.twins import twin_accuracy
from tvr.heads.training.feature_set import features_of
from tvr.heads.training.loop import train
from tvr.heads.training.run_folder import read_metrics
from tvr.pipeline.durable import write_json
from tvr.pipeline.store import FeatureStore

from .spans import span_figures
from .training_sets import first_videos, training_sets
from .trials import Trial

FIGURES = "figures.json"
BANK_VIDEOS = 1000
"""Training queries in the bank of the inductive normalisations."""


@dataclasses.dataclass(frozen=True, slots=True)
class Task:
    """A trial, what it reads and where its figures go. Travels to a child process."""

    trial: Trial
    store: Path
    videos: Path
    """Root of the generated set, which holds the spans and the twins."""
    folder: Path
    tested: bool
    """Whether to look at the test split: not while a learning rate is chosen."""
    normalised: bool = True
    """Whether to score normalised too, which takes three times as long."""

    @property
    def is_done(self) -> bool:
        """Whether this very trial has been measured: its folder's name leaves out what is usual."""
        if not self.figures.exists():
            return False
        kept = json.loads(self.figures.read_text(encoding="utf-8"))["trial"]
        return kept == json.loads(json.dumps(dataclasses.asdict(self.trial)))

    @property
    def figures(self) -> Path:
        """Where this task's figures are kept."""
        return self.folder / (FIGURES if self.tested else "validation.json")


def run_task(task: Task) -> Path:
    """Train and measure one trial on one thread; what was measured before is left alone."""
    if task.is_done:
        return task.figures
    torch.set_num_threads(1)
    store = FeatureStore.open(task.store)
    head, validation = _trained(task, store)
    task.folder.mkdir(parents=True, exist_ok=True)  # heads without parameters have trained nothing into it
    figures = validation | (_test_figures(task, store, head) if task.tested else {})
    write_json(task.figures, {"trial": dataclasses.asdict(task.trial)} | figures)
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
    scores = HeadScores(head, EncodedTexts(head, test), EncodedVideos(head, test))
    if task.normalised:
        scored = evaluate(head, test, list(COLUMNS), first_videos(store, "train", BANK_VIDEOS))
    else:
        scored = evaluate_scores(scores, test)
    similarity = torch.empty(test.num_texts, test.num_videos)
    scores.write_to(similarity.numpy())
    spans = span_figures(head, test, phrase_spans(task.videos))
    return {
        "test": scored.record(),
        "twins": twin_accuracy(similarity, test, twins(task.videos, "test")),
        "spans": {level: dataclasses.asdict(found) for level, found in spans.items()},
    }
