"""What can be chosen about a training run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

from ...data.contracts.errors import UsageError
from ...data.contracts.numbers import Count, check_numbers

CaptionUse = Literal["sample", "all"]
TrainingPrecision = Literal["auto", "fp32", "bf16", "fp16"]
Selection = Literal["recall_sum", "t2v_r1", "v2t_r1"]

MAX_HARD_NEGATIVES = 17
"""A video and the neighbours that are known of it."""
FORMER_NAMES = {"alike": "hard_negatives"}
"""Settings that had another name: runs are kept with it, and users may still write it."""

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """How a head is trained. A value that cannot work is refused when the object is made."""

    epochs: Count = 10
    """Passes over the training videos (``captions=sample``) or the training captions (``captions=all``)."""
    batch_size: Count = 128
    """Text-video pairs a step, over all processes together."""
    lr: float = 5e-4
    """Peak learning rate of AdamW, reached at the end of the warm-up."""
    weight_decay: float = 0.05
    """Decoupled weight decay of matrices; biases, norms and scalars are never decayed."""
    warmup: float = 0.1
    """Fraction of all steps over which the learning rate rises linearly; then a cosine takes it to 0."""
    clip_norm: float = 1.0
    """The gradient is scaled down to this norm where it is longer; 0 leaves it alone."""
    logit_scale: float | None = None
    """What the losses multiply cosines by, never trained. none: what the encoder was trained with; a small
    encoder's may be small, and then hard negatives count little."""
    captions: CaptionUse = "sample"
    """sample: one random caption of each video an epoch. all: every caption once an epoch."""
    hard_negatives: int = 1
    """Videos that come into a batch together because the frozen encoder finds them alike, so that every batch has
    hard negatives. 1: batches are drawn at random."""
    num_frames: Count | None = None
    """Frames of a video a head sees: segment-random in training, uniform in evaluation. none: usual
    number."""
    num_words: Count | None = None
    """Words of a text a head sees, start and end token included. none: usual number."""
    ema: float = 0.0
    """Decay per step of an exponential moving average of the weights, which is then what is kept. 0: off."""
    patience: Count | None = None
    """Stop after this many epochs without a better validation score. none: train all epochs."""
    select_by: Selection = "recall_sum"
    """Validation score that decides which epoch is kept. recall_sum: R@1 + R@5 + R@10 of both directions."""
    precision: TrainingPrecision = "auto"
    """Arithmetic of the matrix products; weights stay float32. auto: bf16 on a GPU that has it, fp32 on a
    CPU."""
    compile: bool = False
    """Compile encoders and loss with ``torch.compile``: a minute at the start, faster steps on a GPU."""
    cuda_graphs: bool = False
    """Compile, and replay a step's kernels as CUDA graphs: pays on a GPU that computes a small batch faster than it
    is told to."""
    device: str = "auto"
    """auto: a GPU where there is one. Else a torch device such as cpu or cuda:1."""
    wandb: str | None = None
    """Also log to this project of Weights & Biases; needs ``pip install 'tvr[wandb]'``. none: TensorBoard only."""
    seed: int = 0
    """Decides the initial weights, the order, the frames, the captions and the dropout."""

    def __post_init__(self) -> None:
        """Refuse values that cannot work.

        Raises:
            UsageError: names the field, its value and what is allowed.
        """
        for name in ("epochs", "batch_size", "lr"):
            _require(getattr(self, name) > 0, name, "greater than 0", getattr(self, name))
        for name in ("weight_decay", "clip_norm", "seed"):
            _require(getattr(self, name) >= 0, name, "0 or more", getattr(self, name))
        scale = self.logit_scale
        _require(scale is None or scale > 0, "logit_scale", "greater than 0 (100 is CLIP's), or none", scale)
        for name in ("num_frames", "num_words", "patience"):
            value = getattr(self, name)
            _require(value is None or value >= 1, name, "1 or more, or none", value)
        _require(
            self.batch_size >= 2,
            "batch_size",
            "2 or more: a contrastive loss needs a negative",
            self.batch_size,
        )
        _require(
            1 <= self.hard_negatives <= MAX_HARD_NEGATIVES,
            "hard_negatives",
            f"from 1 (random batches) to {MAX_HARD_NEGATIVES}",
            self.hard_negatives,
        )
        _require(0 <= self.warmup <= 1, "warmup", "between 0 and 1 (a fraction of all steps)", self.warmup)
        _require(0 <= self.ema < 1, "ema", "at least 0 and less than 1", self.ema)
        _require(self.lr < 1, "lr", "less than 1 (1e-4 to 1e-3 is usual)", self.lr)
        check_numbers(self)


def score_in_words(score: float, select_by: Selection, mark: str = "") -> str:
    """A validation score with the highest that there is, such as ``501.0 of 600``: a sum of six recalls in percent.

    Args:
        score: in percent.
        select_by: what it is.
        mark: stands behind it.
    """
    return f"{score:.1f}{mark} of {best_score(select_by)}"


def best_score(select_by: Selection) -> int:
    """The highest validation score that there is, in percent: one recall, or the sum of six."""
    return 600 if select_by == "recall_sum" else 100


def with_current_names(settings: Mapping[str, _Value]) -> dict[str, _Value]:
    """The settings of a training, those with a former name under the one they have now.

    Raises:
        UsageError: one is there under both of its names.
    """
    for former, current in FORMER_NAMES.items():
        if former in settings and current in settings:
            raise UsageError(f"{former} is the former name of {current}: write {current} alone")
    return {FORMER_NAMES.get(name, name): value for name, value in settings.items()}


def _require(holds: bool, name: str, allowed: str, value: object) -> None:
    if not holds:
        raise UsageError(f"{name} must be {allowed}, got {name}={value!r}")
