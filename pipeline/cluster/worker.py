"""What runs on a Dask worker: one shard at a time, with an encoder and decoding children that stay."""

import asyncio
import ctypes
import os
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch
from distributed import Worker, get_worker

from ...data.contracts.errors import ClusterError, TvrError
from ...data.contracts.identity import sha256_of
from ..decoding.pool import DecoderPool, DecodeTask
from ..encoders.base import Encoder, EncoderIdentity
from ..machine import usable_cores
from ..options import EncoderSpec
from ..plan import ShardPlan
from ..probe.pairs import ProbeResult, probe
from ..sampling import Sampling
from ..shard_worker import Recipe, ShardWorker
from ..store.manifest import MANIFEST_NAME
from ..store.receipts import Receipt, receipt_made_since
from ..video.sample_clip import write_sample

PATIENCE_SECONDS = 600
"""How long a shard is left to another process that is at it."""

HostCores = tuple[str, tuple[int, ...]]
"""A host and the cores of it that a worker may use; workers with the same ones have to share them."""


@dataclass(frozen=True)
class Assignment:
    """What a worker must know beside the recipe of a shard."""

    run: str
    """Names the run, so that the end of one leaves another's decoding children alone."""
    encoder: EncoderSpec
    workers_per_host: Mapping[HostCores, int]
    """How many share the cores of a host."""


@dataclass(frozen=True)
class WorkerReport:
    """What the preflight check of a worker found."""

    host_cores: HostCores
    identity: EncoderIdentity | None = None
    frames_per_batch: int = 0
    """What suits its device best."""
    problem: str = ""
    """Why it cannot do shards; empty where it can."""


def do_shard(shard: ShardPlan, recipe: Recipe, assignment: Assignment) -> Receipt:
    """Do one shard and send back its receipt, never its rows.

    Raises:
        ClusterError: another process has been at this shard for too long.
    """
    with _LOCK:
        worker = _shard_worker(assignment, recipe, str(get_worker().name))
        # Nothing comes back while another process has the shard, such as a worker that Dask gave up too early.
        for _ in range(PATIENCE_SECONDS):
            for _, receipt in worker.run([shard], recipe, lambda progress: None):
                return receipt
            if made := receipt_made_since(recipe.folder / shard.name, shard.receipt_time):
                return made
            time.sleep(1)
    raise ClusterError(f"another process has been at {shard.name} for {PATIENCE_SECONDS} s")


async def check_worker(
    encoder: EncoderSpec, decoder: str, files: Sequence[tuple[Path, int]], dask_worker: Worker
) -> WorkerReport:
    """Do here once what every shard needs: see the data, start a decoding child, load the encoder.

    It runs aside of the worker's event loop, which has to go on telling the scheduler that it lives.

    Args:
        encoder: which one, and on which device.
        decoder: name of the decoder.
        files: some videos of the data set and their sizes in bytes.
        dask_worker: filled in by Dask.
    """
    return await asyncio.to_thread(_checked, encoder, decoder, files, str(dask_worker.name))


def probed(encoder: EncoderSpec) -> ProbeResult:
    """What the encoder makes of rendered stills, on a worker that has it loaded."""
    with _LOCK:
        return probe(_loaded(encoder, str(get_worker().name)))


def workers_per_host(reports: Iterable[WorkerReport]) -> dict[HostCores, int]:
    """How many workers share the cores of each host."""
    return dict(Counter(report.host_cores for report in reports))


def cores_each(host_cores: HostCores, workers: Mapping[HostCores, int]) -> int:
    """Cores for each of the workers that share these."""
    return max(1, len(host_cores[1]) // workers.get(host_cores, 1))


def folder_problem(folder: Path, digest: str) -> str:
    """Why this worker cannot write the store at ``folder``, whose manifest has this sha256; empty if it can."""
    manifest = folder / MANIFEST_NAME
    if not manifest.is_file() or sha256_of(manifest) != digest:
        return f"does not see the store {folder}, or sees another one there"
    try:
        own = folder / f"{socket.gethostname()}-{os.getpid()}.trial"
        own.touch()
        own.unlink()
    except OSError as error:
        return f"cannot write to {folder}: {error.strerror or error}"
    return ""


def release(run: str) -> None:
    """End the decoding children of a run that is over. The encoder stays, for the next one."""
    for key in [key for key in _KEPT if key[0] == run]:
        _KEPT.pop(key).pool.close()


def _checked(
    encoder: EncoderSpec, decoder: str, files: Sequence[tuple[Path, int]], worker: str
) -> WorkerReport:
    host_cores = _host_cores()
    for file, size in files:
        if not file.is_file() or file.stat().st_size != size:
            return WorkerReport(host_cores, problem=f"does not see {file}, or sees another file there")
    try:
        with _LOCK:
            loaded = _loaded(encoder, worker)
        problem = _decoding_problem(loaded.identity, decoder)
        return WorkerReport(host_cores, loaded.identity, loaded.frames_per_batch, problem)
    except TvrError as error:
        return WorkerReport(host_cores, problem=str(error))
    except OSError as error:
        return WorkerReport(host_cores, problem=f"cannot start a decoding process ({error})")


def _decoding_problem(identity: EncoderIdentity, decoder: str) -> str:
    with tempfile.TemporaryDirectory() as folder, DecoderPool(1, decoder) as pool:
        clip = Path(folder) / "sample.mp4"
        write_sample(clip)
        task = DecodeTask("sample", clip, Sampling(num_frames=1), identity.preprocessing)
        (video,) = pool.decode([task])
    return "" if video.status == "ok" else f"cannot decode: {video.reason}"


_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Of glibc's mallopt."""

_LOCK = threading.Lock()
_KEPT: dict[tuple[str, EncoderSpec], ShardWorker] = {}
"""At most one: what is slow to start, the encoder and the decoding children, is started once, not once a shard."""


@lru_cache(maxsize=1)
def _loaded(encoder: EncoderSpec, worker: str) -> Encoder:
    return encoder.on_own_gpu(worker).load()


def _shard_worker(assignment: Assignment, recipe: Recipe, worker: str) -> ShardWorker:
    key = (assignment.run, assignment.encoder)
    if key not in _KEPT:
        for other in list(_KEPT):
            _KEPT.pop(other).pool.close()
        encoder = _loaded(assignment.encoder, worker)
        cores = cores_each(_host_cores(), assignment.workers_per_host)
        # Dask starts its workers with OMP_NUM_THREADS=1, whatever the machine has.
        torch.set_num_threads(cores)
        _keep_freed_memory()
        options = replace(recipe.options, num_children=recipe.options.num_children or cores)
        _KEPT[key] = ShardWorker(encoder, options)
    return _KEPT[key]


def _keep_freed_memory() -> None:
    """Let the C library keep blocks of up to 32 MB for the next batch, as it does on its own in the end.

    Dask starts workers with MALLOC_TRIM_THRESHOLD_=65536, which makes it return each of them to the system: the page
    faults of getting them back took a third more CPU time than encoding ViT-B-32 in bf16 does.
    """
    if sys.platform == "linux":
        library = ctypes.CDLL(None)
        if hasattr(library, "mallopt"):  # glibc
            library.mallopt(_MMAP_THRESHOLD, 1 << 25)
            library.mallopt(_TRIM_THRESHOLD, 1 << 26)


def _host_cores() -> HostCores:
    return socket.gethostname(), usable_cores()
