"""Shards on Dask: a shard is a task, its receipt is the result, and the store is the only place that features go.

A task may run twice, on workers that know nothing of each other: a shard is written whole or not at all, and its
bytes do not depend on who does it. So a lost worker costs the shards it was at, and those are done elsewhere.
"""

import time
import uuid
from collections import deque
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from queue import Empty, SimpleQueue

from distributed import Client, Future

from ...data.base import Dataset, Video
from ...data.contracts.errors import ClusterError, TvrError, counted
from ..encoders.base import EncoderIdentity
from ..options import EncoderSpec, ExtractionOptions
from ..plan import ShardPlan, VideoShardPlan
from ..probe.pairs import ProbeResult
from ..progress import OnProgress, Report
from ..shard_worker import Recipe
from ..store.receipts import Receipt
from .config import ClusterConfig
from .connection import connected
from .preflight import PreflightCheck, WorkerPool
from .worker import PATIENCE_SECONDS, Assignment, WorkerReport, do_shard, probed, release, workers_per_host

SHARDS_PER_WORKER = 2
"""Submitted at a time: the one that a worker does and the next, so that it never waits for one."""
RETRIES = 2
"""More attempts for a shard whose worker raised an error, such as a disk that did not answer for a moment."""
MAX_FAILED_SHARDS = 5
"""After so many shards that nobody could do, no more are begun."""
POLL_SECONDS = 1.0


@contextmanager
def cluster_runner(
    cluster: ClusterConfig, encoder: EncoderSpec, dataset: Dataset, options: ExtractionOptions
) -> Generator["DaskShards", None, None]:
    """The workers that a user asked for, checked, as a runner for ``run_extraction``.

    Raises:
        ClusterError: they cannot do the work; the message says which of them and why.
    """
    videos = [_absolute(video) for video in dataset.videos.values()]
    preflight = PreflightCheck(encoder.for_any_folder(), options.chosen_decoder, videos)
    with connected(cluster) as client:
        pool = WorkerPool(client, preflight, cluster.workers_to_wait_for, cluster.wait_seconds)
        num_children = options.num_children or pool.fewest_cores
        yield DaskShards(client, pool, preflight.encoder, num_children, cluster.wait_seconds)


class DaskShards:
    """Does shards on the workers of a cluster; a runner for ``run_extraction``."""

    def __init__(
        self,
        client: Client,
        pool: WorkerPool,
        encoder: EncoderSpec,
        num_children: int,
        wait_seconds: float,
    ) -> None:
        self._client, self._pool, self._encoder = client, pool, encoder
        self.num_children, self.wait_seconds = num_children, wait_seconds
        self._run_id = uuid.uuid4().hex

    @property
    def identity(self) -> EncoderIdentity:
        """The encoder that every worker has."""
        return self._pool.identity

    @property
    def num_cores(self) -> int:
        """Of the worker that has fewest for itself."""
        return self._pool.fewest_cores

    @property
    def shards_in_work(self) -> int:
        """One by each worker."""
        return len(self._pool.reports)

    @property
    def frames_per_batch(self) -> int:
        """What suits the workers best."""
        return min(report.frames_per_batch for report in self._pool.reports.values())

    def probe(self) -> ProbeResult:
        """What the encoder makes of rendered stills, on one of the workers.

        Raises:
            ClusterError: none of them could look at the stills in time.
        """
        future = self._client.submit(
            probed,
            self._encoder,
            key=f"probe-{uuid.uuid4().hex}",
            workers=list(self._pool.present()),
            resources=dict(self._pool.demand),
            retries=RETRIES,
            pure=False,
        )
        patience = max(PATIENCE_SECONDS, self.wait_seconds)
        try:
            return future.result(timeout=patience)
        except TimeoutError:
            raise ClusterError(
                f"no worker showed the encoder its stills within {patience:g} s. There was "
                + self._pool.describe_missing_workers(self.wait_seconds)
            ) from None

    def run(
        self, shards: Sequence[ShardPlan], recipe: Recipe, on_progress: OnProgress
    ) -> Iterator[tuple[ShardPlan, Receipt]]:
        """Each shard and its receipt, in the order in which workers end them.

        Raises:
            ClusterError: no worker was left for too long, or shards failed wherever they were tried.
            TvrError: what would end a run in one process too, such as a full disk.
        """
        recipe = replace(recipe, folder=recipe.folder.absolute())
        self._pool.send_to(recipe.folder)
        tasks, report, seen = _Tasks(shards), Report(shards, on_progress), time.monotonic()
        try:
            while tasks.waiting or tasks.running:
                workers = self._pool.present()
                seen = self._last_seen(workers, seen)
                self._client.cancel(tasks.taken_back(workers))
                while tasks.waiting and len(tasks.running) < SHARDS_PER_WORKER * len(workers):
                    shard = tasks.waiting.popleft()
                    tasks.begun(shard, self._submitted(shard, recipe, workers), workers)
                for shard, receipt in tasks.completed():
                    report.add_shard(shard, receipt, len(workers))
                    yield shard, receipt
        finally:
            self._client.cancel(list(tasks.running))
            self._client.run(release, self._run_id, on_error="ignore")
        tasks.raise_if_failed()

    def _submitted(
        self, shard: ShardPlan, recipe: Recipe, workers: Mapping[str, WorkerReport]
    ) -> Future[Receipt]:
        if isinstance(shard, VideoShardPlan):
            shard = replace(shard, videos=tuple(map(_absolute, shard.videos)))
        assignment = Assignment(self._run_id, self._encoder, workers_per_host(workers.values()))
        return self._client.submit(
            do_shard,
            shard,
            recipe,
            assignment,
            key=f"{shard.name}-{uuid.uuid4().hex}",
            workers=list(workers),
            resources=dict(self._pool.demand),
            retries=RETRIES,
            pure=False,
        )

    def _last_seen(self, workers: Mapping[str, WorkerReport], seen: float) -> float:
        """When there were workers, which is now or not long ago."""
        if workers:
            return time.monotonic()
        if time.monotonic() - seen > self.wait_seconds:
            raise ClusterError(
                "all workers are gone. What is done is kept: run the same command again to go on. There was "
                + self._pool.describe_missing_workers(self.wait_seconds)
            )
        return seen


class _Tasks:
    """Shards that wait, shards that workers have, and why some could not be done."""

    def __init__(self, shards: Sequence[ShardPlan]) -> None:
        self.waiting = deque(shards)
        self.running: dict[Future[Receipt], ShardPlan] = {}
        self._allowed: dict[Future[Receipt], frozenset[str]] = {}
        self._failures: dict[str, str] = {}
        self._completed: SimpleQueue[Future[Receipt]] = SimpleQueue()

    def begun(self, shard: ShardPlan, future: Future[Receipt], workers: Iterable[str]) -> None:
        """Note that a shard was submitted to these workers."""
        self.running[future] = shard
        self._allowed[future] = frozenset(workers)
        future.add_done_callback(self._completed.put)

    def taken_back(self, workers: Collection[str]) -> list[Future[Receipt]]:
        """Tasks of whose workers none is left; their shards wait again."""
        stranded = [future for future in self.running if self._allowed[future].isdisjoint(workers)]
        for future in stranded:
            self.waiting.appendleft(self.running.pop(future))
        return stranded

    def completed(self) -> Iterator[tuple[ShardPlan, Receipt]]:
        """Shards that were done since the last call; waits for one, but not long."""
        try:
            future = self._completed.get(timeout=POLL_SECONDS)
            while True:
                shard = self.running.get(future)  # None: it was taken back
                if shard is not None and future.status in ("error", "cancelled"):
                    self._failed(self.running.pop(future), future)
                elif shard is not None and (receipt := self._receipt(future)):
                    yield self.running.pop(future), receipt
                future = self._completed.get_nowait()
        except Empty:
            return

    def _receipt(self, future: Future[Receipt]) -> Receipt | None:
        """What a task gave; None where it was lost with its worker: then somebody has to do the task again."""
        try:
            return future.result(timeout=POLL_SECONDS)
        except TimeoutError:
            future.add_done_callback(self._completed.put)
            return None

    def raise_if_failed(self) -> None:
        """Say which shards could not be done.

        Raises:
            ClusterError: some could not.
        """
        if self._failures:
            lines = "\n  ".join(f"{name}: {reason}" for name, reason in sorted(self._failures.items()))
            raise ClusterError(
                f"{counted(len(self._failures), 'shard')} failed on every worker that tried them:\n  {lines}\n"
                "All others that were begun are done. Run the same command again to try these and go on."
            )

    def _failed(self, shard: ShardPlan, future: Future[Receipt]) -> None:
        if future.status != "error":
            raise ClusterError(
                "the scheduler gave up its tasks. What is done is kept: run the same command again to go on"
            )
        error = future.exception()
        if isinstance(error, TvrError):
            raise error
        self._failures[shard.name] = str(error)
        if len(self._failures) >= MAX_FAILED_SHARDS:
            self.waiting.clear()


def _absolute(video: Video) -> Video:
    """With a path that holds wherever a worker was started."""
    return video if video.path is None else replace(video, path=video.path.absolute())
