"""What an extraction came to: its counts, where its time went, and whether too many videos failed."""

import math
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..data.contracts.cautions import Caution
from ..data.contracts.errors import UsageError, counted
from .decoding.messages import READING_RULES
from .encoders.base import Precision
from .plan import ShardPlan, VideoShardPlan
from .store.generations.record import Counts
from .store.reader import FeatureStore
from .store.receipts import Receipt, receipt_time_of
from .store.shard_locks import locks_out_of_reach
from .store.shards import MISSING


class ExtractionInterrupted(KeyboardInterrupt):
    """Ctrl-C came while shards were done; the message says what is kept and what is lost at most."""


STAGES = ("decode", "resize", "encode", "write", "wait")
"""Of the seconds in a video shard's receipt: ``decode`` and ``resize`` summed over the decoding children, ``encode``
and ``write`` in the process that owns the features (writing beside the encoding of the next shard), ``wait`` while
that had no frames to encode."""

_TELLING_SECONDS = 60.0
"""Of work on shards: what takes less says little of what would take hours."""
_IDLE_SHARE = 0.2
"""Children that rest for more than this share of the time were not what was waited for."""


@dataclass
class Summary:
    """What an extraction found and did."""

    folder: Path
    videos: int = 0
    """Videos of the plan, missing ones too."""
    texts: int = 0
    caution: Caution | None = None
    """What a reader of any figure built on the store must know of its encoder."""
    frames: int = 0
    """Frames encoded by this run."""
    shards_done: int = 0
    shards_skipped: int = 0
    """Shards of this run's share that were there already."""
    is_moved: bool = False
    """Whether videos now come from another folder than before."""
    unknown_files: int = 0
    """Videos of which the store does not know which files they were: they were taken to be the same."""
    retried: int = 0
    """Videos of the store that were to be retried."""
    still_untrusted: int = 0
    """Those of them that were retried as untrusted and failed: each keeps the row that was stored before."""
    shards_left: list[str] = field(default_factory=list[str])
    """Shards that are not there yet: other jobs' shares."""
    locks_out_of_reach: list[Path] = field(default_factory=list[Path])
    """Files that keep some of these from this user: another one's, who alone may open them."""
    counted_videos: Counts | None = None
    """Where this run began another generation of the store, how many videos were new, changed, gone and kept."""
    counted_texts: Counts | None = None
    can_train: bool = False
    """Whether the train split has captions."""
    pixels: str = ""
    """Of the store's frames: ``square`` or ``stored``."""
    status: Counter[str] = field(default_factory=Counter[str])
    """Number of videos by status over the whole store; ``missing`` apart from ``failed``."""
    seconds: dict[str, float] = field(default_factory=lambda: {"videos": 0.0, "texts": 0.0})
    stages: dict[str, float] = field(default_factory=dict[str, float])
    """Seconds by stage, summed over the video shards of this run; see ``STAGES``."""
    texts_truncated: int = 0
    """Texts of the whole store that the encoder's context cut."""

    def __post_init__(self) -> None:
        self._begun = time.perf_counter()
        self._ended: list[float] = []

    def __str__(self) -> str:
        status = ", ".join(f"{count:,} {name}" for name, count in sorted(self.status.items()))
        return (
            f"{counted(self.videos, 'video')} ({status}) and {counted(self.texts, 'caption')} in {self.folder}; "
            f"{counted(self.frames, 'frame')} encoded, {counted(self.shards_done, 'shard')} written, "
            f"{self.shards_skipped:,} already there"
        )

    def interrupted(self, selected: Sequence[ShardPlan], in_work: int) -> ExtractionInterrupted:
        """What an interrupted run left, once nobody writes any more.

        Args:
            selected: what the run was to do.
            in_work: how many shards were done side by side.
        """
        store = FeatureStore.open(self.folder, complete=False)
        names = [*store.shard_names("video"), *store.shard_names("text")]
        left = [
            shard
            for shard in selected
            if receipt_time_of(self.folder / shard.name) in (None, shard.receipt_time)
        ]
        there, videos = len(names) - len(store.absent_shards()), sum(_status_counts(store).values())
        kept = f"kept: {there:,} of {counted(len(names), 'shard')} ({videos:,} of {counted(self.videos, 'video')})"
        if not left:
            return ExtractionInterrupted(f"{kept}; nothing is lost")
        # A shard in work was begun when the one before it ended, or when the run began.
        since = self._ended[-in_work] if len(self._ended) >= in_work else self._begun
        sizes = sorted(
            (len(shard.extracted) for shard in left if isinstance(shard, VideoShardPlan)), reverse=True
        )
        lost = f"{counted(min(in_work, len(left)), 'shard')} in work"
        of_videos = f" with {counted(sum(sizes[:in_work]), 'video')}" if sizes else ""
        passed = duration_in_words(time.perf_counter() - since)
        whole = (
            ""
            if there
            else "; nothing is kept before a shard is whole, and smaller ones (--videos-per-shard) are sooner"
        )
        return ExtractionInterrupted(f"{kept}; lost at most: {lost}{of_videos}, {passed} of work{whole}")

    @property
    def has_features(self) -> bool:
        """Whether a video of the store has a frame."""
        return bool(self.status.keys() - {"failed", "missing"})

    def add(self, shard: ShardPlan, receipt: Receipt, started: float) -> float:
        """Count a shard that was done since ``started``; the time at which the next one starts."""
        now = time.perf_counter()
        self._ended.append(now)
        self.shards_done += 1
        if isinstance(shard, VideoShardPlan):
            self.frames += receipt.rows - shard.frames_taken_over
            for stage, taken in receipt.seconds.items():
                self.stages[stage] = self.stages.get(stage, 0.0) + taken
        self.seconds["videos" if isinstance(shard, VideoShardPlan) else "texts"] += now - started
        return now

    def count_store(self, store: FeatureStore, untrusted: Collection[str] = ()) -> None:
        """Count what the whole store holds, by whichever run it was put there.

        Args:
            store: the store.
            untrusted: videos that were retried because of the rules by which they had been read.
        """
        if untrusted:
            self.still_untrusted = sum(row.id in untrusted for row in store.older_rows(READING_RULES))
        self._count_receipts(store)
        if store.generation:  # receipts count rows that are not read any more as well
            self.status, self.texts_truncated = _status_counts(store), _num_truncated(store)
        self.locks_out_of_reach = locks_out_of_reach(self.folder, self.shards_left)

    def _count_receipts(self, store: FeatureStore) -> None:
        """What they say, each read once: there may be ten thousand."""
        self.status.clear()
        self.shards_left, self.texts_truncated = [], 0
        for name in (*store.shard_names("video"), *store.shard_names("text")):
            receipt = store.receipt_facts(name)
            if receipt is None:
                self.shards_left.append(name)
            elif name.startswith("text"):
                self.texts_truncated += receipt.status.get("truncated", 0)
            else:
                self.status += _statuses_of(receipt)


def duration_in_words(seconds: float) -> str:
    """``6 s``, ``12 minutes``, ``31 hours``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 3600 else f"{seconds / 3600:,.3g} hours"


def _status_counts(store: FeatureStore) -> Counter[str]:
    """Number of videos by status over a whole store, with ``missing`` files apart from ``failed`` ones."""
    if store.generation:
        rows = store.statuses()
        return Counter("missing" if row.reason == MISSING else row.status for row in rows)
    receipts = (store.receipt_facts(name) for name in store.shard_names("video"))
    return sum((_statuses_of(receipt) for receipt in receipts if receipt), Counter[str]())


def _statuses_of(receipt: Receipt) -> Counter[str]:
    counts = Counter(receipt.status)
    counts.update({"failed": -len(receipt.missing), "missing": len(receipt.missing)})
    return +counts


def _num_truncated(store: FeatureStore) -> int:
    """How many texts of a store the encoder's context cut."""
    return sum(int(shard.array("truncated")[list(rows)].sum()) for shard, rows in store.living("text"))


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """The stage that held the run up."""

    stage: str
    advice: str
    """Which option would help."""


def bottleneck(
    seconds: Mapping[str, float], num_children: int, num_cores: int, precision: Precision
) -> Bottleneck | None:
    """What held a run up; None where it was too short to tell, since much of it was the start of its processes.

    Args:
        seconds: by stage, summed over its video shards.
        num_children: decoding processes of each encoder.
        num_cores: that these may use.
        precision: of the encoder.
    """
    if seconds.get("wall", 0.0) < _TELLING_SECONDS:
        return None
    share = shares(seconds, num_children)
    if share["write"] > max(share["encode"], share["wait"]):
        return Bottleneck("writing", "put the store on a faster disk (--store)")
    if share["wait"] <= share["encode"]:
        return Bottleneck("encoding", _faster_encoding(precision))
    busy = "resizing" if share["resize"] > share["decode"] else "decoding"
    if share["decode"] + share["resize"] < 1 - _IDLE_SHARE:
        return Bottleneck(
            "reading",
            "put the videos on a faster disk: the processes that decode them waited for it. Or more "
            "--decoding-processes, which read side by side",
        )
    if num_children < num_cores:
        return Bottleneck(busy, f"--decoding-processes {num_cores}: there were {num_children}")
    return Bottleneck(
        busy, "more machines (--shard i/n), or smaller copies of the videos with more key frames"
    )


def shares(seconds: Mapping[str, float], num_children: int) -> dict[str, float]:
    """Of each stage the share of the time that it was busy: 1.0 is all of the run, on every child where these do it."""
    wall = max(seconds.get("wall", 0.0), 1e-9)
    available = {"decode": wall * num_children, "resize": wall * num_children}
    return {stage: seconds.get(stage, 0.0) / available.get(stage, wall) for stage in STAGES}


def _faster_encoding(precision: Precision) -> str:
    if precision == "fp32":
        return "a GPU (--device cuda), or --precision bf16 where the processor multiplies it in hardware"
    return "a GPU where there is none (--device cuda), --compile, fewer --num-frames or more machines (--shard i/n)"


@dataclass(frozen=True, slots=True)
class FailureBudget:
    """A number of videos, or a share of them."""

    amount: float
    is_share: bool

    @classmethod
    def parse(cls, text: str) -> "FailureBudget":
        """``12`` or ``5%``.

        Raises:
            UsageError: it is neither a number of at least 0 nor a percentage up to 100.
        """
        is_share = text.endswith("%")
        try:
            amount = float(text.removesuffix("%"))
        except ValueError:
            amount = math.nan
        if not 0 <= amount < math.inf or (is_share and amount > 100):
            raise UsageError(f"--max-failed must be a number such as 12 or a share such as 5%, got {text!r}")
        return cls(amount, is_share)

    def __str__(self) -> str:
        return f"{self.amount:g}{'%' if self.is_share else ''}"

    def admits(self, failed: int, videos: int) -> bool:
        """Whether so many failures are within it; a file that is missing has not failed."""
        return failed <= (self.amount / 100 * videos if self.is_share else self.amount)
