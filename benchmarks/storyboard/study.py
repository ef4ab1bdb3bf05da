"""What is compared: every head with equal tuning effort, then hcmi with one mechanism changed at a time."""

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from tvr.data.contracts.plug_ins import plug_in_names

from .measuring import Task
from .trials import BATCH_SIZE, EPOCHS, HARD_NEGATIVES, NO_PARAMETERS, TRAIN_VIDEOS, Noise, Trial

HIGHER_SCALE = 50.0
LEARNING_RATES, LOGIT_SCALES = (4e-3, 8e-3), (None, HIGHER_SCALE)
"""What every head is tried with first, each with each."""
SEEDS = (0, 1, 2)
FRAMES_OF_A_VIEW = 8
"""Of the 16 that are stored, where label denoising compares two views of a video."""

NO_FIGURES = ("trial", "head_config", "training", "validation")
"""What is kept of a run beside what a table shows."""

DEFAULTS = "defaults"
TIGHT = "tight_transformer"
TEXT_SIDE = {"word_layers": "2"}
"""Two transformer layers over the words, which hcmi has by default."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What is tuned of every head."""

    lr: float
    logit_scale: float | None
    """None: the backbone's own, 23.6."""

    @property
    def neighbours(self) -> "list[Settings]":
        """One step away: twice or half the learning rate or the logit scale, of which the backbone's is the least."""
        higher = HIGHER_SCALE if self.logit_scale is None else 2 * self.logit_scale
        lower = self.logit_scale / 2 if self.logit_scale and self.logit_scale > HIGHER_SCALE else None
        rates = [Settings(lr, self.logit_scale) for lr in (self.lr * 2, self.lr / 2)]
        scales = [Settings(self.lr, scale) for scale in (higher, lower)]
        return [one for one in (*rates, *scales) if one != self]


@dataclass(frozen=True, slots=True)
class Contender:
    """A head as it competes: with its own defaults, or with a change that makes the comparison fairer."""

    head: str
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    batch_size: int = BATCH_SIZE
    epochs: int = EPOCHS
    is_costly: bool = False
    """Then only the first settings are tried, and no score is normalised."""

    @property
    def label(self) -> str:
        """What a table calls it."""
        changes = ["zero-shot"] if self.is_zero_shot else []
        changes += [f"{key}={value}" for key, value in self.settings.items()]
        if self.batch_size != BATCH_SIZE:
            changes.append(f"batches of {self.batch_size}")
        if self.epochs != EPOCHS:
            changes.append(f"{self.epochs} epoch{'s' if self.epochs > 1 else ''}")
        return f"{self.head} ({', '.join(changes)})" if changes else self.head

    @property
    def names(self) -> set[str]:
        """What leaves it out: its head, with every other row of it, or its own row."""
        return {self.head, self.label}

    @property
    def tuned_as(self) -> "Contender":
        """Whose learning rate and logit scale it has: one that trains for longer is not tuned again."""
        return replace(self, epochs=min(self.epochs, EPOCHS))

    @property
    def is_zero_shot(self) -> bool:
        """Whether it is what the backbone does by itself."""
        return self.head == "mean_pool"

    def trial(self, tuned: Settings) -> Trial:
        """It, trained once."""
        return Trial(
            self.head,
            lr=tuned.lr,
            logit_scale=tuned.logit_scale,
            settings=self.settings,
            batch_size=self.batch_size,
            epochs=self.epochs,
        )


@dataclass(frozen=True, slots=True)
class Change:
    """One row of the ablation: what differs from hcmi's defaults."""

    group: str
    label: str
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    train_videos: int = TRAIN_VIDEOS
    epochs: int = EPOCHS
    hard_negatives: int = HARD_NEGATIVES
    num_frames: int | None = None
    noise: Noise = "none"
    noise_share: float = 0.0

    def of(self, trial: Trial) -> Trial:
        """The trial with this change."""
        return replace(
            trial,
            settings={**trial.settings, **self.settings},
            train_videos=self.train_videos,
            epochs=self.epochs,
            hard_negatives=self.hard_negatives,
            num_frames=self.num_frames or trial.num_frames,
            noise=self.noise,
            noise_share=self.noise_share,
        )


def contenders() -> list[Contender]:
    """Every head of the package with its defaults, and wti with the text side that hcmi has; these two also for longer.

    tight_transformer passes every pair of a batch through its transformer. With its defaults the study would take a
    day, so it competes with a quarter of its layers and of the batch, for one epoch: a third more steps than others.
    """
    usual = [Contender(name) for name in plug_in_names("tvr.heads") if name != TIGHT]
    return [
        *usual,
        Contender("wti", TEXT_SIDE),
        Contender("hcmi", epochs=2 * EPOCHS),
        Contender("wti", TEXT_SIDE, epochs=2 * EPOCHS),
        Contender(TIGHT, {"layers": "1"}, BATCH_SIZE // 4, 1, is_costly=True),
    ]


def further_trials(contender: Contender, tried: Sequence[Task]) -> list[Trial]:
    """What validation has to see next of a contender: a grid, then what is left of the neighbours of the best.

    None are left where the best of all that was tried has been compared with every neighbour. Where nothing is
    trained one trial is enough, and where it is costly one is all there is.
    """
    grid = [Settings(*both) for both in itertools.product(LEARNING_RATES, LOGIT_SCALES)]
    if contender.head in NO_PARAMETERS or contender.is_costly:
        grid = grid[:1]
        return [] if tried else [contender.trial(grid[0])]
    wanted = settings_of(best_trial(tried)).neighbours if tried else grid
    known = {settings_of(task.trial) for task in tried}
    return [contender.trial(settings) for settings in wanted if settings not in known]


def repeats(tuned: Trial) -> list[Trial]:
    """The trials that are reported: one for each seed, or one where nothing is trained."""
    seeds = SEEDS if tuned.is_trained else SEEDS[:1]
    return [replace(tuned, seed=seed) for seed in seeds]


def changes() -> Iterator[Change]:
    """Every row of the ablation of hcmi."""
    yield Change(DEFAULTS, "all of it")
    yield Change("hard negatives", "no hinge", {"hinge_loss": "0"})
    for size, label in ((1, "batches drawn at random"), (2, "batches of pairs that are alike")):
        yield Change("hard negatives", label, hard_negatives=size)
    yield from _denoising()
    yield from _levels()
    yield Change("level weights", "losses of equal weight", {"level_weights": "1,1,1"})
    yield Change("text side", "no transformer over the words", {"word_layers": "0"})
    for kind in ("attention", "slots", "uniform"):
        yield Change("clustering", kind, {"clustering": kind})
    for clips, phrases in ((2, 16), (8, 16), (4, 4), (4, 8)):
        settings = {"clips": str(clips), "phrases": str(phrases)}
        yield Change("clusters", f"{clips} clips, {phrases} phrases", settings)
    yield Change("clusters", "one per four of the most", {"one_per_four": "most"})
    # As many clips as with all frames; and no denoising, which with all of them does nothing.
    for frames in (4, 8):
        settings = {"clips": "4", "denoising": "off"}
        yield Change("frames", f"{frames} frames, 4 clips", settings, num_frames=frames)
    # As many steps as with all videos, but for two in a hundred, so that what helps is the videos, not longer training.
    for videos, epochs in ((1000, 33), (3000, 10)):
        yield Change("training videos", f"{videos:,} videos", train_videos=videos, epochs=epochs)


def _levels() -> Iterator[Change]:
    names = ("frame_word", "clip_phrase", "video_sentence")
    for name in names:
        yield Change("levels", f"{name} alone", {"levels": name})
    for one, other in ((0, 1), (0, 2), (1, 2)):
        chosen = (names[one], names[other])
        yield Change("levels", " + ".join(chosen), {"levels": ",".join(chosen)})


def _denoising() -> Iterator[Change]:
    """With half of the stored frames, so that a video's two views differ: with all of them only copies are alike."""
    for kind, settings in (
        ("conservative", {}),
        ("off", {"denoising": "off"}),
        ("multi_positive", {"denoising": "multi_positive"}),
    ):
        label = f"{FRAMES_OF_A_VIEW} frames, clean captions, {kind}"
        yield Change("label denoising", label, settings, num_frames=FRAMES_OF_A_VIEW)
    noises: tuple[Noise, ...] = ("wrong", "duplicate")
    for noise, share in itertools.product(noises, (0.1, 0.3)):
        for kind in ("off", "conservative"):
            label = f"{FRAMES_OF_A_VIEW} frames, {share:.0%} {noise}, {kind}"
            yield Change(
                "label denoising",
                label,
                {"denoising": kind},
                num_frames=FRAMES_OF_A_VIEW,
                noise=noise,
                noise_share=share,
            )


def tuned_before(record: Path) -> dict[str, Settings]:
    """What every contender of an earlier study was tuned to, by label.

    Raises:
        ValueError: the file is not the record of such a study.
    """
    try:
        rows = json.loads(record.read_text(encoding="utf-8"))["figures"]["heads"]
        return {row["label"]: Settings(row["lr"], row["logit_scale"]) for row in rows}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{record} is no record of this study ({error})") from error


def best_trial(tasks: Sequence[Task]) -> Trial:
    """The one with the best sum of recalls on the validation split."""
    return max(tasks, key=lambda task: validation_score(figures_of(task))).trial


def settings_of(trial: Trial) -> Settings:
    """What was tuned of it."""
    return Settings(trial.lr, trial.logit_scale)


def tuning_row(label: str, tasks: Sequence[Task]) -> dict[str, Any]:
    """What a contender was tried with, and how that did on the validation split."""
    tried = [
        {
            "lr": task.trial.lr,
            "logit_scale": task.trial.logit_scale,
            "validation_score": validation_score(figures_of(task)),
        }
        for task in tasks
    ]
    return {"label": label, "tried": tried}


def validation_score(figures: Mapping[str, Any]) -> float:
    """R@1 + R@5 + R@10 of both directions."""
    validation = figures["validation"]
    return sum(validation[way][f"R@{k}"] for way in ("t2v", "v2t") for k in (1, 5, 10))


def figures_of(task: Task) -> dict[str, Any]:
    """What was measured of a finished task."""
    return json.loads(task.figures.read_text(encoding="utf-8"))


def row_of(label: str, tasks: Iterable[Task]) -> dict[str, Any]:
    """One row of a table: mean and sample deviation over the seeds of everything that is a number."""
    runs = [figures_of(task) for task in tasks]
    flat = [dict(_flat({key: value for key, value in run.items() if key not in NO_FIGURES})) for run in runs]
    names = [name for name in flat[0] if all(name in one for one in flat)]
    return {
        "label": label,
        "seeds": len(runs),
        "lr": runs[0]["trial"]["lr"],
        "logit_scale": runs[0]["trial"]["logit_scale"],
        "validation_score": fmean(validation_score(run) for run in runs),
        "mean": {name: fmean(one[name] for one in flat) for name in names},
        "deviation": {name: stdev(one[name] for one in flat) for name in names} if len(flat) > 1 else {},
    }


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}/")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{prefix}{key}", float(value)


def folder_of(trial: Trial, workspace: Path) -> Path:
    """The trial's own folder, so that it is trained once, whatever tables it appears in."""
    return workspace / "study" / trial.name
