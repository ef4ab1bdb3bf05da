"""Which shards a job has to do: those that are not there, and those with a video that is to be extracted again."""

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np

from ...data.base import Dataset
from ..job_array import JobShare
from ..options import CHANGED, UNTRUSTED, ExtractionOptions
from ..plan import Plan, ShardPlan, TextShardPlan, VideoShardPlan
from ..request import root_of
from ..store.reader import FeatureStore
from ..store.receipts import read_receipt_facts, receipt_time_of
from ..store.shard_reader import ShardReader
from ..trust.changes import FileComparison, compared_files
from ..trust.files import OnFile, verdicts_of_files
from .planning import earlier_shards


@dataclass(frozen=True)
class Job:
    """One process's part of a store that may be written into."""

    dataset: Dataset
    options: ExtractionOptions
    store: FeatureStore
    share: JobShare
    planned: Plan
    """Of the store's newest generation."""

    @property
    def shards(self) -> list[ShardPlan]:
        """Its part of the newest generation."""
        return list(self.share.of(self.planned.shards))

    @property
    def earlier(self) -> list[str]:
        """Its part of the video shards of the generations before: in these, videos may have to be extracted again."""
        generation = self.store.generation
        names = (
            [] if generation is None else [name for name in generation.shards if name.startswith("video-")]
        )
        return list(self.share.of(names))

    @property
    def names(self) -> list[str]:
        """File names of its part of all shards."""
        generation = self.store.generation
        texts = [] if generation is None else [name for name in generation.shards if name.startswith("text-")]
        return [*self.earlier, *self.share.of(texts), *(shard.name for shard in self.shards)]

    def compared(self, on_file: OnFile) -> FileComparison:
        """Whether the videos of its shards are still the files that they were made of; of every shard of the store,
        where the videos come from another folder than before.
        """
        store, options = self.store, self.options
        is_here = options.request is not None and root_of(store.folder) == options.request.root.absolute()
        looked_at = set(self.names if is_here else store.shard_names("video"))
        if options.only is not None:  # of these the one who repairs has looked at the files
            looked_at = set[str]() if is_here else looked_at - options.only
        by_time = is_here and options.file_digest == "ends"
        return compared_files(store, self.dataset.videos, on_file, by_time=by_time, shards=looked_at)

    def ids_to_retry(self, changed: Collection[str], on_file: OnFile) -> set[str]:
        """Videos of the store with the status, and with the part of a reason, that ``--retry`` names; of those that are
        untrusted or have changed, the ones in its shards.
        """
        options, store = self.options, self.store
        if options.retry is None:
            return set()
        if options.retried == CHANGED:
            return self._own_videos().intersection(changed)
        reason = options.retry.partition(":")[2]
        if options.retried != UNTRUSTED:
            return {
                row.id for row in store.statuses() if row.status == options.retried and reason in row.reason
            }
        names = set(self.names)
        verdicts = verdicts_of_files(store, self.dataset.videos, options, on_file, shards=names)
        return {row.id for row in verdicts if row.verdict == "untrusted" and reason in row.reason}

    def selected(self, ids_to_retry: Collection[str]) -> list[ShardPlan]:
        """The shards to extract: the named ones, or whatever is not there or has to be done again."""
        folder, options = self.store.folder, self.options
        anew = {*ids_to_retry, *self._found_now()}
        shards = [*earlier_shards(self.store, self.dataset, anew, self.earlier), *self.shards]
        # When they are looked at, before they are: what others make from then on is not made again.
        seen = [replace(shard, receipt_time=receipt_time_of(folder / shard.name)) for shard in shards]
        if options.only is not None:
            return [shard for shard in seen if shard.name in options.only]
        left = [kept for shard in seen if (kept := self._left_of(shard, ids_to_retry)) is not None]
        if options.retried != CHANGED:
            return left
        return [_without_rows_of_other_files(shard, ids_to_retry) for shard in left]

    def _own_videos(self) -> set[str]:
        """Ids in its part of the shards."""
        planned = {
            video.id for shard in self.shards if isinstance(shard, VideoShardPlan) for video in shard.videos
        }
        receipts = (self.store.receipt(name) for name in self.earlier)
        return planned.union(*(receipt.files for receipt in receipts if receipt))

    def _found_now(self) -> set[str]:
        """Videos of its earlier shards whose files were missing and are there now."""
        receipts = (self.store.receipt_facts(name) for name in self.earlier)
        missing = {i for receipt in receipts if receipt for i in receipt.missing}
        return {i for i in missing if i in self.dataset.videos and self.dataset.videos[i].path}

    def _left_of(self, shard: ShardPlan, ids_to_retry: Collection[str]) -> ShardPlan | None:
        """What of a shard has to be done: all where it is not whole; of one that is, the videos that are to be retried
        or were missing and have appeared. None where it is nothing."""
        path = self.store.folder / shard.name
        receipt = read_receipt_facts(path)
        if receipt is None:
            return shard
        if isinstance(shard, TextShardPlan):
            return None
        present = {video.id for video in shard.videos if video.path}
        anew = present.intersection([*receipt.missing, *ids_to_retry])
        if not anew:
            return None
        stored = ShardReader(path, receipt=receipt)
        frames = np.diff(stored.array("offsets")).tolist()
        taken_over = {i: count for i, count in zip(stored.ids, frames, strict=True) if i not in anew}
        return replace(shard, taken_over=taken_over)


def _without_rows_of_other_files(shard: ShardPlan, changed: Collection[str]) -> ShardPlan:
    return shard if isinstance(shard, TextShardPlan) else replace(shard, replaced=frozenset(changed))
