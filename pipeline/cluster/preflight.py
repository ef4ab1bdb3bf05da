"""Which workers of a cluster can do the work, checked before they get a shard: an error instead of an endless wait."""

import stat
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import distributed
from distributed import Client, Future

from ...data.base import Video
from ...data.contracts.errors import ClusterError
from ...data.contracts.identity import sha256_of
from ...data.sources.video_file import file_on_disk
from ..encoders.base import EncoderIdentity
from ..options import EncoderSpec
from ..store.manifest import MANIFEST_NAME, differing, versions
from .config import GPU, ClusterConfig
from .connection import connected
from .worker import WorkerReport, check_worker, cores_each, folder_problem, workers_per_host

_POLL_SECONDS = 0.2
_SAMPLE_FILES = 3

Demand = Mapping[str, float]
"""What a worker must offer, as Dask resources."""


@dataclass(frozen=True)
class PreflightCheck:
    """What a worker is asked to try."""

    encoder: EncoderSpec
    decoder: str
    videos: Sequence[Video]
    """It must see a few of them."""

    @property
    def files(self) -> list[tuple[Path, int]]:
        """The first video, the last and some between, with their sizes in bytes."""
        # Those on servers are asked for when they are decoded; of a tar file the file itself has to be seen.
        found = [file for video in self.videos if video.path and (file := file_on_disk(video.path))]
        step = max(1, (len(found) - 1) // (_SAMPLE_FILES - 1))
        sizes = ((path, _size_of_file(path)) for path in found[::step][:_SAMPLE_FILES])
        return [(path, size) for path, size in sizes if size is not None]


def _size_of_file(path: Path) -> int | None:
    """In bytes; None for what is no file, or cannot be asked: decoding will say what it is."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


class WorkerPool:
    """The workers that passed the preflight check; whoever comes later is checked too.

    Args:
        client: of the scheduler.
        preflight: what they are to try.
        count: how many there must be.
        wait_seconds: how long to wait for them.

    Raises:
        ClusterError: they did not come in time, or one of them cannot do the work.
    """

    def __init__(self, client: Client, preflight: PreflightCheck, count: int, wait_seconds: float) -> None:
        self._client, self._preflight = client, preflight
        self._rejected: dict[str, str] = {}
        self._folder: Path | None = None
        self.reports: dict[str, WorkerReport] = {}
        """What was found of each worker that can do the work, by address."""
        wait_for_workers(client, {}, count, wait_seconds)
        self.demand = demanded(client, preflight.encoder.device)
        workers = wait_for_workers(client, self.demand, count, wait_seconds)
        self._check(workers)
        raise_if_rejected(self._rejected)

    @property
    def identity(self) -> EncoderIdentity:
        """The encoder that all of them have."""
        identity = next(iter(self.reports.values())).identity
        assert identity is not None
        return identity

    @property
    def fewest_cores(self) -> int:
        """Of the worker that has fewest for itself."""
        workers = workers_per_host(self.reports.values())
        return min(cores_each(host_cores, workers) for host_cores in workers)

    def send_to(self, folder: Path) -> None:
        """Say where the store is, which must exist.

        Raises:
            ClusterError: a worker cannot write it.
        """
        self._folder = folder
        self._check_folder(list(self.reports))
        raise_if_rejected(self._rejected)

    def present(self) -> dict[str, WorkerReport]:
        """Those that are there now; newcomers are checked first.

        Raises:
            ClusterError: the scheduler is gone.
        """
        workers = fitting_workers(self._client, self.demand)
        known = self.reports.keys() | self._rejected.keys()
        newcomers = {address: worker for address, worker in workers.items() if address not in known}
        if newcomers:
            self._check(newcomers)
        return {address: report for address, report in self.reports.items() if address in workers}

    def describe_missing_workers(self, seconds: float) -> str:
        """Why nobody works, for a message."""
        rejected = "".join(f"\n  {address} {problem}" for address, problem in self._rejected.items())
        return describe_missing_workers(self._client, self.demand, seconds) + (
            f"\nWorkers that cannot do the work:{rejected}" if rejected else ""
        )

    def _check(self, workers: Mapping[str, Any]) -> None:
        self._reject(package_problems(self._client, list(workers)))
        fit = [address for address in workers if address not in self._rejected]
        self._reject({address: _oversubscribed(workers[address], self.demand) for address in fit})
        check = self._preflight
        reports = self._on_each(fit, check_worker, check.encoder, check.decoder, check.files)
        for address, report in reports.items():
            if isinstance(report, Exception):
                self._reject({address: f"gave no answer: {report}"})
            elif report.problem:
                self._reject({address: report.problem})
            else:
                self._admit(address, report)
        self._check_folder(fit)

    def _admit(self, address: str, report: WorkerReport) -> None:
        """Take a worker on, if its features may be mixed with those of the others."""
        if self.reports:
            sides = ("the others have", "it has")
            assert report.identity is not None
            lines = differing("encoder", asdict(self.identity), asdict(report.identity), sides)
            if lines:
                self._reject({address: "has another encoder (" + "; ".join(lines) + "); choose --precision"})
                return
        self.reports[address] = report

    def _check_folder(self, addresses: Sequence[str]) -> None:
        if self._folder is not None:
            digest = sha256_of(self._folder / MANIFEST_NAME)
            self._reject(self._on_each(addresses, folder_problem, self._folder, digest))

    def _on_each(
        self, addresses: Sequence[str], function: Callable[..., Any], *arguments: Any
    ) -> dict[str, Any]:
        wanted = [address for address in addresses if address not in self._rejected]
        return on_each(self._client, wanted, function, *arguments)

    def _reject(self, problems: Mapping[str, Any]) -> None:
        for address, problem in problems.items():
            if problem:
                self._rejected[address] = str(problem)
                self.reports.pop(address, None)


@contextmanager
def connected_workers(cluster: ClusterConfig) -> Generator[Client, None, None]:
    """A client of a cluster that has workers with the packages of this machine.

    Raises:
        ClusterError: nobody listens, no worker came in time, or one has other packages.
    """
    with connected(cluster) as client:
        workers = wait_for_workers(client, {}, cluster.workers_to_wait_for, cluster.wait_seconds)
        raise_if_rejected(package_problems(client, list(workers)))
        yield client


def as_completed(
    client: Client, futures: Sequence[Future[Any]], wait_seconds: float
) -> Iterator[Future[Any]]:
    """``distributed.as_completed``, which would wait for ever where no worker is left.

    Raises:
        ClusterError: the cluster has had no worker for so long.
    """
    remaining = distributed.as_completed(futures)
    while not remaining.is_empty():
        if remaining.has_ready():
            yield next(remaining)
        else:
            wait_for_workers(client, {}, 1, wait_seconds)
            time.sleep(_POLL_SECONDS)


def raise_if_rejected(problems: Mapping[str, str]) -> None:
    """Raise a ClusterError that says what each worker lacks, if there is one."""
    if problems:
        lines = "\n  ".join(f"{address} {problem}" for address, problem in problems.items())
        raise ClusterError(f"workers that cannot do the work:\n  {lines}\nMend them or stop them.")


def fitting_workers(client: Client, demand: Demand) -> dict[str, dict[str, Any]]:
    """The workers that offer what is demanded, by address.

    Raises:
        ClusterError: the scheduler is gone.
    """
    try:
        workers = client.scheduler_info(n_workers=-1)["workers"]
    except (OSError, RuntimeError) as error:
        raise ClusterError(f"the scheduler is gone ({error}); run the same command again to go on") from error
    return {address: worker for address, worker in workers.items() if _offers(worker, demand)}


def wait_for_workers(client: Client, demand: Demand, count: int, seconds: float) -> dict[str, dict[str, Any]]:
    """Wait until so many workers fit.

    Raises:
        ClusterError: they did not come in time; the message says what is there.
    """
    deadline = time.monotonic() + seconds
    while len(found := fitting_workers(client, demand)) < count:
        if time.monotonic() > deadline:
            raise ClusterError(describe_missing_workers(client, demand, seconds))
        time.sleep(_POLL_SECONDS)
    return found


def describe_missing_workers(client: Client, demand: Demand, seconds: float) -> str:
    """The message where too few workers fit: what was wanted, what is there, how to start one that fits."""
    there = fitting_workers(client, {})
    offers = Counter(_shown(worker["resources"]) or "no resource" for worker in there.values())
    have = ", ".join(f"{count} with {offer}" for offer, count in offers.items()) or "none"
    options = f" --resources {_shown(demand)}" if demand else ""
    address = client.scheduler_info()["address"]
    return (
        f"no worker{f' with {_shown(demand)}' if demand else ''} within {seconds:g} s; workers there: {have}. "
        f"Start each with `dask worker {address} --nthreads 1{options}`"
        + (" and the certificates of the scheduler" if address.startswith("tls://") else "")
        + (", or choose --device cpu" if GPU in demand else "")
    )


def demanded(client: Client, device: str) -> Demand:
    """A GPU if the device is one, or if it is left open and some worker has one."""
    if device.startswith("cuda") or (device == "auto" and fitting_workers(client, {GPU: 1.0})):
        return {GPU: 1.0}
    return {}


def package_problems(client: Client, addresses: Sequence[str]) -> dict[str, str]:
    """For each worker that has other packages than this machine, which one."""
    # Dask's own question: a worker without this package could not even load a function of ours.
    answers = cast(dict[str, Any], client.get_versions(packages=list(versions())))["workers"]
    found = {address: _package_problem(answers.get(address)) for address in addresses}
    return {address: problem for address, problem in found.items() if problem}


def _package_problem(answer: Any) -> str:
    if answer is None:
        return "gave no answer when it was asked for its packages"
    for package, here in versions().items():
        there = answer["packages"][package]
        if there != here:
            return f"has {package} {there}, but here it is {here}" if there else f"has no {package}"
    return ""


def on_each(
    client: Client, addresses: Sequence[str], function: Callable[..., Any], *arguments: Any
) -> dict[str, Any]:
    """What a function gives on each of these workers, or the exception that it raised there."""
    answers = client.run(function, *arguments, workers=list(addresses), on_error="return")
    return cast(dict[str, Any], answers)


def _oversubscribed(worker: Mapping[str, Any], demand: Demand) -> str:
    """Why a worker would do several shards at once, which would fight for its cores or its GPU."""
    offered = worker["resources"].get(GPU, 0)
    if GPU in demand and offered > 1:
        return f"offers {GPU}={offered:g}: start one worker process for each GPU, with --resources {GPU}=1"
    if GPU not in demand and worker["nthreads"] > 1:
        return f"has {worker['nthreads']} threads for one encoder: start it with --nthreads 1"
    return ""


def _offers(worker: Mapping[str, Any], demand: Demand) -> bool:
    return all(worker["resources"].get(name, 0) >= value for name, value in demand.items())


def _shown(resources: Mapping[str, float]) -> str:
    return ",".join(f"{name}={value:g}" for name, value in resources.items())
