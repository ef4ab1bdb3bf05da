"""From what a user asks for to a connected Dask client: workers of this machine, of a scheduler, of a job queue."""

import inspect
import logging
import shutil
import signal
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask.config
import torch
from distributed import Client, LocalCluster, Status

from ...data.contracts.errors import ClusterError, UsageError, unknown_name
from .config import GPU, LOCAL, ClusterConfig

_JOB = {"cores": "8", "memory": "32GB"}
CONNECT_SECONDS = 10
_LISTS = ("job_extra_directives", "job_script_prologue", "worker_extra_args")


@contextmanager
def connected(config: ClusterConfig) -> Generator[Client, None, None]:
    """A client of the cluster. What was started for it ends with it; a scheduler of others goes on.

    Raises:
        ClusterError: nobody listens at the address, or no worker or job can be started.
        UsageError: a setting of a job that is not known.
    """
    if config.scheduler != LOCAL:
        with _client_of(config.scheduler) as client:
            yield client
        return
    with _job_cluster(config) if config.queue else _local_cluster(config) as cluster:
        if config.queue:
            _submit(cluster, config)
        with Client(cluster) as client:
            if not config.queue:
                client.run(_ignore_interrupts)
            yield client


def _ignore_interrupts() -> None:
    """Ctrl-C reaches every process of a terminal; the one that owns the cluster decides what it means."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def job_script(config: ClusterConfig) -> str:
    """What would be submitted for each worker; nothing is."""
    with _job_cluster(config) as cluster:
        return cluster.job_script()


def _job_cluster(config: ClusterConfig) -> Any:
    """A scheduler in this process for workers that are jobs, each with one worker process; none yet."""
    try:
        from dask_jobqueue.pbs import PBSCluster
        from dask_jobqueue.slurm import SLURMCluster
    except ImportError:
        raise UsageError("--slurm and --pbs need dask-jobqueue: pip install 'tvr[cluster]'") from None
    kind = SLURMCluster if config.queue == "slurm" else PBSCluster
    settings = _job_settings(config, kind.job_cls)
    try:
        return kind(processes=1, scheduler_options={"dashboard_address": ":0"}, **settings)
    except ValueError as error:
        raise UsageError(f"a setting of the {config.queue} job is wrong: {error}") from error


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
    known -= {"self", "scheduler", "name", "processes", "config_name", "base_class_kwargs"}
    for name in config.job:
        if name not in known:
            raise UsageError(unknown_name(f"setting of a {config.queue} job", name, known))
    configured = dask.config.get(f"jobqueue.{config.queue}")
    usual = {name: value for name, value in _JOB.items() if configured.get(name) is None}
    settings: dict[str, Any] = usual | dict(config.job)
    for name in _LISTS:
        settings[name] = [part.strip() for part in settings.get(name, "").split(";") if part.strip()]
    settings["cores"] = int(settings["cores"])
    if config.wants_gpu:
        _ask_for_gpu(settings, config)
    # One shard at a time, whose encoder and decoding children use all cores of the job.
    settings["worker_extra_args"] += ["--nthreads", "1"]
    return settings


def _ask_for_gpu(settings: dict[str, Any], config: ClusterConfig) -> None:
    settings["worker_extra_args"] += ["--resources", f"{GPU}=1"]
    if config.queue == "pbs":
        spec = f"select=1:ncpus={settings['cores']}:ngpus=1:mem={settings['memory']}"
        settings.setdefault("resource_spec", spec)
    elif not settings["job_extra_directives"]:
        settings["job_extra_directives"] = ["--gres=gpu:1"]


def _client_of(scheduler: str) -> Client:
    file = Path(scheduler)
    if "://" not in scheduler and not file.is_file():
        raise UsageError(
            f"scheduler must be local, an address such as tcp://node7:8786, or the file that "
            f"`dask scheduler --scheduler-file` wrote; {scheduler!r} is none of these"
        )
    try:
        if file.is_file():
            return Client(scheduler_file=str(file), timeout=CONNECT_SECONDS)
        return Client(scheduler, timeout=CONNECT_SECONDS)
    except (OSError, ValueError) as error:
        raise ClusterError(
            f"no Dask scheduler answers at {scheduler} ({error}). "
            "Start one with `dask scheduler`, and use the address that it prints"
        ) from error


def _local_cluster(config: ClusterConfig) -> LocalCluster:
    """Worker processes on this machine, one for each GPU, or that share its cores."""
    gpus = torch.cuda.device_count()
    if config.wants_gpu and config.workers > gpus:
        raise UsageError(f"{config.workers} workers want a GPU each, but this machine has {gpus}")
    offers = {GPU: 1} if gpus and config.wants_gpu is not False else {}
    # What fails comes back with its task and is told then; what these would say besides, Ctrl-C has caused.
    logging.getLogger("tornado.application").setLevel(logging.CRITICAL)
    return LocalCluster(
        n_workers=config.workers,
        threads_per_worker=1,
        resources=offers,
        dashboard_address=":0",
        # A worker that pauses because the machine's memory is filling up would never say so.
        memory_limit=0,
        silence_logs=logging.CRITICAL,
    )
