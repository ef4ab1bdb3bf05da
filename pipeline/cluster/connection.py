"""From what a user asks for to a connected Dask client: workers of this machine, of a scheduler, of a job queue."""

import atexit
import inspect
import logging
import shutil
import signal
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import dask.config
import torch
from distributed import Client, LocalCluster, Status
from distributed.deploy.spec import close_clusters
from distributed.utils import LoopRunner

from ...data.contracts.errors import ClusterError, UsageError, counted, unknown_name
from ..machine import left_to_parent
from .config import GPU, LOCAL, ClusterConfig
from .credentials import folder_for_jobs, in_files, temporary_credentials
from .running_scheduler import client_of

_JOB = {"cores": "8", "memory": "32GB"}
_LISTS = ("job_extra_directives", "job_script_prologue", "worker_extra_args")
_OURS = {"self", "scheduler", "name", "processes", "config_name", "base_class_kwargs", "protocol", "security"}
"""Arguments of a job that are not for the user to set."""
_LOOPBACK = "127.0.0.1:0"
"""For the pages by which Dask shows what it does: left out, or switched off, they listen on every interface."""
_OWN_SCRATCH = (
    "export DASK_TEMPORARY_DIRECTORY=$(mktemp -d)",
    '[ -n "$DASK_TEMPORARY_DIRECTORY" ] || exit 1',
    "trap 'rm -rf \"$DASK_TEMPORARY_DIRECTORY\"' EXIT",
)
"""What `_own_scratch` does, in a job."""


@contextmanager
def connected(config: ClusterConfig) -> Generator[Client, None, None]:
    """A client of the cluster. What was started for it ends with it; a scheduler of others goes on.

    Raises:
        ClusterError: nobody listens at the address, or no worker or job can be started.
        UsageError: a setting of a job that is not known.
    """
    if config.scheduler != LOCAL:
        with client_of(config.scheduler) as client:
            yield client
        return
    with _own_cluster(config) as cluster, Client(cluster) as client:
        yield client


def job_script(config: ClusterConfig) -> str:
    """What would be submitted for each worker; nothing is."""
    with _own_scratch(), _job_cluster(config) as cluster:
        return cluster.job_script()


@contextmanager
def _own_cluster(config: ClusterConfig) -> Generator[Any, None, None]:
    """A cluster that only this command has the key of."""
    with _own_scratch():
        if config.queue:
            with _job_cluster(config) as cluster:
                _submit(cluster, config)
                yield cluster
        else:
            with _loop_without_interrupts() as loop, _local_cluster(config, loop) as cluster:
                yield cluster


@contextmanager
def _loop_without_interrupts() -> Generator[Any]:
    """A loop that runs in a thread. Ctrl-C reaches every process of a terminal: those that this thread starts leave it
    to the one that owns the cluster, which decides what it means.
    """
    resource_tracker.ensure_running()
    runner = LoopRunner()
    with left_to_parent(signal.SIGINT):
        runner.start()
    try:
        yield runner.loop
    finally:
        runner.stop()


@contextmanager
def _own_scratch() -> Generator[None, None, None]:
    """Have Dask keep its files in a folder of this user alone.

    It would take ``dask-scratch-space`` of the folder of temporary files, whoever made that, and imports from there.
    """
    place = dask.config.get("temporary-directory")
    if place:
        Path(place).mkdir(parents=True, exist_ok=True)
    with (
        # A worker that was killed may still be at it.
        tempfile.TemporaryDirectory(prefix="tvr-dask-", dir=place, ignore_cleanup_errors=True) as folder,
        dask.config.set({"temporary-directory": folder}),
    ):
        yield


@contextmanager
def _job_cluster(config: ClusterConfig) -> Generator[Any, None, None]:
    """A scheduler in this process for workers that are jobs, each with one worker process; none yet."""
    try:
        from dask_jobqueue.pbs import PBSCluster
        from dask_jobqueue.slurm import SLURMCluster
    except ImportError:
        raise UsageError("--slurm and --pbs need dask-jobqueue: pip install 'tvr[cluster]'") from None
    kind = SLURMCluster if config.queue == "slurm" else PBSCluster
    assert config.queue
    settings = _job_settings(config, kind.job_cls)
    options = {"dashboard_address": _LOOPBACK}
    if not logging.getLogger("tvr").isEnabledFor(logging.DEBUG):  # --verbose
        # It would say where its pages listen, by an address at which they do not, and ask for more packages.
        logging.getLogger("distributed").setLevel(logging.WARNING)
    with in_files(temporary_credentials(), folder_for_jobs(config.queue)) as security:
        try:
            cluster = kind(processes=1, scheduler_options=options, security=security, **settings)
        except ValueError as error:
            raise UsageError(f"a setting of the {config.queue} job is wrong: {error}") from error
        with cluster:
            yield cluster


def _submit(cluster: Any, config: ClusterConfig) -> None:
    command = cluster.job_cls.submit_command
    if shutil.which(command) is None:
        raise ClusterError(f"there is no {command} on this machine: start this where jobs are submitted")
    try:
        # Not scale(): it submits in the background, where the queue's refusal is lost.
        for _ in range(config.workers):
            cluster.worker_spec.update(cluster.new_worker_spec())
        cluster.sync(cluster._correct_state)
    except (OSError, RuntimeError) as error:
        for job in cluster.workers.values():
            job.status = Status.failed  # or the cluster would refuse to close
        raise ClusterError(f"{config.queue} took no job: {error}") from error


def _job_settings(config: ClusterConfig, job: Any) -> dict[str, Any]:
    """Arguments of a dask-jobqueue job class, from what the user set and from what a worker of ours needs.

    Raises:
        UsageError: the job class knows no such setting.
    """
    known = {name for each in job.__mro__[:2] for name in inspect.signature(each.__init__).parameters}
    known -= _OURS
    for name in config.job:
        if name not in known:
            raise UsageError(unknown_name(f"--job setting of {config.queue}", name, known))
    configured = dask.config.get(f"jobqueue.{config.queue}")
    usual = {name: value for name, value in _JOB.items() if configured.get(name) is None}
    settings: dict[str, Any] = usual | dict(config.job)
    for name in _LISTS:
        asked = [part.strip() for part in settings.get(name, "").split(";") if part.strip()]
        settings[name] = asked or list(dask.config.get(f"jobqueue.{config.queue}.{name}", None) or [])
    if not str(settings["cores"]).isdecimal():
        raise UsageError(f"--job cores must be a whole number such as 4, got {settings['cores']!r}")
    settings["cores"] = int(settings["cores"])
    if config.wants_gpu:
        _ask_for_gpu(settings, config)
    # One shard at a time, whose encoder and decoding children use all cores of the job.
    settings["worker_extra_args"] += ["--nthreads", "1", "--dashboard-address", _LOOPBACK]
    if settings.get("local_directory", configured.get("local-directory")) is None:
        settings["job_script_prologue"] += _OWN_SCRATCH
    return settings


def _ask_for_gpu(settings: dict[str, Any], config: ClusterConfig) -> None:
    settings["worker_extra_args"] += ["--resources", f"{GPU}=1"]
    if config.queue == "pbs":
        spec = f"select=1:ncpus={settings['cores']}:ngpus=1:mem={settings['memory']}"
        settings.setdefault("resource_spec", spec)
    elif not settings["job_extra_directives"]:
        settings["job_extra_directives"] = ["--gres=gpu:1"]


def _local_cluster(config: ClusterConfig, loop: Any) -> LocalCluster:
    """Worker processes on this machine, one for each GPU, or that share its cores."""
    gpus = torch.cuda.device_count()
    if config.wants_gpu and config.workers > gpus:
        raise UsageError(
            f"{counted(config.workers, 'worker')} with a GPU each are asked for, but this machine has {gpus}"
        )
    offers = {GPU: 1} if gpus and config.wants_gpu is not False else {}
    # What fails comes back with its task and is told then; what these would say besides, Ctrl-C has caused.
    logging.getLogger("tornado.application").setLevel(logging.CRITICAL)
    try:
        return LocalCluster(
            loop=loop,
            host="127.0.0.1",
            security=temporary_credentials(),
            n_workers=config.workers,
            threads_per_worker=1,
            resources=offers,
            dashboard_address=_LOOPBACK,
            # A worker that pauses because the machine's memory is filling up would never say so.
            memory_limit=0,
            silence_logs=logging.CRITICAL,
        )
    except KeyboardInterrupt:
        # Its workers end with this process. Dask would close it in order first, which fails while they start, and tell
        # of those it loses.
        atexit.unregister(close_clusters)
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        raise
