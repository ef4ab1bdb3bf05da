"""The trials of the study: which head, with which settings, trained on what."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tvr.data.contracts.plug_ins import load_plug_in
from tvr.data.contracts.records import configured
from tvr.heads.runs.training_config import TrainingConfig

Noise = Literal["none", "wrong", "duplicate"]
"""wrong: captions exchanged among videos. duplicate: a video and its caption replaced by copies of others'."""

TRAIN_VIDEOS = 10_000
EPOCHS = 3
BATCH_SIZE = 128
HARD_NEGATIVES = 4
"""Videos that come into a batch together because the frozen backbone finds them alike."""

NO_PARAMETERS = ("mean_pool", "query_scoring", "mug")
"""Heads that are scored as they are."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One head, trained once."""

    head: str
    lr: float = 4e-3
    seed: int = 0
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    """Of the head's Config, as a user would write them after ``--set``."""
    train_videos: int = TRAIN_VIDEOS
    epochs: int = EPOCHS
    batch_size: int = BATCH_SIZE
    logit_scale: float | None = None
    """None: the backbone's own, 23.6."""
    hard_negatives: int = HARD_NEGATIVES
    """1: batches are drawn at random."""
    num_frames: int = 16
    noise: Noise = "none"
    noise_share: float = 0.0

    @property
    def is_trained(self) -> bool:
        """Whether there is anything to train."""
        return self.head not in NO_PARAMETERS

    @property
    def name(self) -> str:
        """A folder name that says everything that was chosen."""
        words = [self.head, f"lr={self.lr:g}", f"seed={self.seed}"]
        words += [f"{key}={value}" for key, value in sorted(self.settings.items())]
        words += [f"videos={self.train_videos}", f"frames={self.num_frames}"]
        if self.epochs != EPOCHS:
            words.append(f"epochs={self.epochs}")
        if self.batch_size != BATCH_SIZE:
            words.append(f"batch={self.batch_size}")
        if self.hard_negatives != HARD_NEGATIVES:
            words.append(f"hard_negatives={self.hard_negatives}")
        if self.logit_scale is not None:
            words.append(f"scale={self.logit_scale:g}")
        if self.noise != "none":
            words.append(f"{self.noise}={self.noise_share:g}")
        return ",".join(words).replace("/", "-")

    @property
    def head_config(self) -> Any:
        """The head's own settings."""
        return configured(load_plug_in("tvr.heads", self.head).Config, dict(self.settings), self.head)

    @property
    def training(self) -> TrainingConfig:
        """The settings of the training loop: the same for every head but for what is tuned."""
        return TrainingConfig(
            epochs=self.epochs,
            batch_size=self.batch_size,
            logit_scale=self.logit_scale,
            hard_negatives=self.hard_negatives,
            lr=self.lr,
            seed=self.seed,
            num_frames=self.num_frames,
            device="cpu",
            precision="fp32",
        )
