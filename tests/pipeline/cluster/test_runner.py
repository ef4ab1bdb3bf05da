"""Extraction on Dask: a real scheduler and real workers, some of which are killed or unfit."""

import os
import re
import stat
import time
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask.config
import psutil
import pytest
from distributed import Client
from tvr.data.base import Dataset, load_dataset
from tvr.data.contracts.errors import ClusterError, DecodeError, UsageError
from tvr.pipeline.cluster import running_scheduler
from tvr.pipeline.cluster.config import ClusterConfig
from tvr.pipeline.cluster.connection import job_script
from tvr.pipeline.cluster.preflight import PreflightCheck
from tvr.pipeline.cluster.runner import cluster_runner
from tvr.pipeline.extract import extract, run_extraction
from tvr.pipeline.options import EncoderSpec, ExtractionOptions
from tvr.pipeline.progress import Progress
from tvr.pipeline.sampling import Sampling
from tvr.pipeline.store.generations.record import load_manifest
from tvr.pipeline.store.reader import FeatureStore
from tvr.pipeline.store.verification import verify
from tvr.pipeline.video.sample_clip import write_sample

from ...fixtures.archive import options_for
from ...fixtures.dask_processes import DaskProcesses, dask_processes
from ...fixtures.datasets import dataset
from ...fixtures.listening import listening, process_with
from ...fixtures.older_stores import older_place

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # distributed leaves sockets to the garbage collector
]

ENCODER = EncoderSpec("tvr-storyboard", device="cpu", precision="fp32")
OPTIONS = ExtractionOptions(Sampling(num_frames=2), videos_per_shard=4, texts_per_shard=32)
SHORT = 3.0


@pytest.fixture
def clips(tmp_path: Path) -> Dataset:
    """Two small generated clips."""
    for name in "ab":
        write_sample(tmp_path / f"{name}.mp4")
    return dataset({name: tmp_path / f"{name}.mp4" for name in "ab"})


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Generator[DaskProcesses]:
    """A scheduler with one worker on the CPU."""
    with dask_processes(tmp_path_factory.mktemp("shared") / "dask", workers=1) as processes:
        yield processes


def cluster(processes: DaskProcesses, wait_seconds: float = 60.0) -> ClusterConfig:
    return ClusterConfig(str(processes.file), wait_seconds=wait_seconds)


def shards(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.h5"))}


def is_idle(client: Any) -> bool:
    """Whether no worker has a task that has not ended."""
    return not any(client.processing().values())


def test_a_killed_worker_costs_no_byte(shared: Path, tmp_path: Path) -> None:
    described = load_dataset("folder", shared / "data" / "panda70m_samples", {})
    assert len(described.videos) == 84
    with dask_processes(tmp_path / "dask") as processes:
        workers = [processes.worker(), processes.worker()]
        killed: list[int] = []

        def kill_one_half_way(progress: Progress) -> None:
            if progress.stage == "videos" and progress.done >= progress.total // 2 and not killed:
                processes.kill(workers[0])
                killed.append(progress.workers)

        both = replace(cluster(processes), workers=2)
        with cluster_runner(both, ENCODER, described, OPTIONS) as runner:
            summary = run_extraction(
                runner, described, OPTIONS, tmp_path / "dask-store", on_progress=kill_one_half_way
            )
    assert killed == [2]
    assert (summary.shards_done, dict(summary.status)) == (24, {"ok": 84})
    extract(described, ENCODER.load(), OPTIONS, tmp_path / "alone")
    assert shards(tmp_path / "dask-store") == shards(tmp_path / "alone")
    assert verify(tmp_path / "dask-store").damages == ()
    probes = [load_manifest(tmp_path / name).probe for name in ("dask-store", "alone")]
    assert probes[0] == probes[1] is not None


def test_a_worker_that_comes_late_goes_on(clips: Dataset, tmp_path: Path) -> None:
    many = replace(OPTIONS, videos_per_shard=1)
    with dask_processes(tmp_path / "dask") as processes:
        first = processes.worker()

        def replace_the_worker(progress: Progress) -> None:
            if progress.stage == "videos" and first.poll() is None:
                processes.kill(first)
                processes.worker()

        with cluster_runner(cluster(processes), ENCODER, clips, many) as runner:
            summary = run_extraction(runner, clips, many, tmp_path / "store", on_progress=replace_the_worker)
    assert summary.shards_done == 3
    assert summary.shards_left == []


def test_a_receipt_that_is_lost_with_its_worker(clips: Dataset, tmp_path: Path) -> None:
    many = replace(OPTIONS, videos_per_shard=1)
    store = tmp_path / "store"
    with dask_processes(tmp_path / "dask") as processes:
        first = processes.worker()

        def replace_the_worker(progress: Progress) -> None:
            if progress.stage == "videos" and first.poll() is None:
                # It was given two shards. Of the second one it has told that it is done, and nobody has fetched more.
                with Client(scheduler_file=str(processes.file), set_as_default=False) as client:
                    while len(list(store.glob("*.h5"))) < 2 or not is_idle(client):
                        time.sleep(0.05)
                processes.kill(first)
                processes.worker()

        with cluster_runner(cluster(processes), ENCODER, clips, many) as runner:
            summary = run_extraction(runner, clips, many, store, on_progress=replace_the_worker)
    assert summary.shards_done == 3
    assert summary.shards_left == []


def test_workers_take_over_what_is_trusted(scheduler: DaskProcesses, tmp_path: Path) -> None:
    place = older_place(tmp_path, ENCODER.load())
    described, before = load_dataset("folder", place.archive, {}), FeatureStore.open(place.store).videos()
    options = options_for(place.archive, retry="untrusted")
    events: list[Progress] = []
    with cluster_runner(cluster(scheduler), ENCODER, described, options) as runner:
        summary = run_extraction(runner, described, options, place.store, on_progress=events.append)
    assert (summary.retried, summary.shards_done, summary.frames) == (2, 2, 8)
    assert [(event.done, event.total) for event in events if event.stage == "videos"][-1] == (2, 2)
    after = FeatureStore.open(place.store).videos()
    same = [(after.frames[i : i + 4] == before.frames[i : i + 4]).all() for i in range(0, 20, 4)]
    assert same == [True, False, True, False, True], "b and f are done again"


def test_what_others_have_made_since_is_not_made_again(
    scheduler: DaskProcesses, clips: Dataset, tmp_path: Path
) -> None:
    folder = tmp_path / "store"
    options = replace(OPTIONS, frames_per_batch=8, pixels="square")
    seen: dict[str, int] = {}
    with cluster_runner(cluster(scheduler), ENCODER, clips, options) as runner:

        class Overtaken:
            """A runner of shards that another process makes once they are chosen."""

            identity, frames_per_batch = runner.identity, runner.frames_per_batch
            num_children, num_cores = runner.num_children, runner.num_cores
            shards_in_work = runner.shards_in_work
            probe = runner.probe

            def run(self, shards: Any, recipe: Any, on_progress: Any) -> Any:
                extract(clips, ENCODER.load(), options, folder)
                seen.update({path.name: path.stat().st_mtime_ns for path in folder.glob("*-of-*")})
                yield from runner.run(shards, recipe, on_progress)

        summary = run_extraction(Overtaken(), clips, options, folder)
    assert summary.shards_done == 2
    assert {path.name: path.stat().st_mtime_ns for path in folder.glob("*-of-*")} == seen


def test_what_would_end_one_process_ends_the_run(
    scheduler: DaskProcesses, clips: Dataset, tmp_path: Path
) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video")
    strict = replace(OPTIONS, on_error="fail")
    with (
        cluster_runner(cluster(scheduler), ENCODER, clips, strict) as runner,
        pytest.raises(DecodeError, match="video 'a' failed"),
    ):
        run_extraction(runner, clips, strict, tmp_path / "store")


def test_only_files_prove_that_a_worker_sees_the_videos(tmp_path: Path) -> None:
    write_sample(tmp_path / "a.mp4")
    os.mkfifo(tmp_path / "pipe.mp4")
    paths: dict[str, Path | None] = {name: tmp_path / f"{name}.mp4" for name in ("vanished", "a", "pipe")}
    check = PreflightCheck(ENCODER, "pyav", list(dataset(paths).videos.values()))
    assert check.files == [(tmp_path / "a.mp4", (tmp_path / "a.mp4").stat().st_size)]


def test_unmet_demand_fails(scheduler: DaskProcesses, clips: Dataset) -> None:
    on_gpu = replace(ENCODER, device="cuda")
    with (
        pytest.raises(
            ClusterError, match=r"no worker with GPU=1 within 3 s; workers there: 1 with no resource"
        ),
        cluster_runner(cluster(scheduler, SHORT), on_gpu, clips, OPTIONS),
    ):
        pass


def test_no_worker_fails(clips: Dataset, tmp_path: Path) -> None:
    with (
        dask_processes(tmp_path / "dask") as processes,
        pytest.raises(
            ClusterError, match=r"no worker within 3 s; workers there: none. Start each with `dask worker"
        ),
        cluster_runner(cluster(processes, SHORT), ENCODER, clips, OPTIONS),
    ):
        pass


def test_no_worker_left_fails(clips: Dataset, tmp_path: Path) -> None:
    many = replace(OPTIONS, videos_per_shard=1)
    with dask_processes(tmp_path / "dask") as processes:
        only = processes.worker()
        with cluster_runner(cluster(processes), ENCODER, clips, many) as runner:

            def kill(progress: Progress) -> None:
                if progress.stage == "videos" and only.poll() is None:
                    processes.kill(only)
                    # Not before: a busy machine may lose sight of a living worker for so long.
                    runner.wait_seconds = SHORT

            with pytest.raises(ClusterError, match=r"all workers are gone. What is done is kept"):
                run_extraction(runner, clips, many, tmp_path / "store", on_progress=kill)
    assert len(FeatureStore.open(tmp_path / "store", complete=False).absent_shards()) in (1, 2)


def test_nobody_listens_fails(clips: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running_scheduler, "CONNECT_SECONDS", 1)
    with (
        pytest.raises(ClusterError, match=r"no Dask scheduler answers at tcp://127.0.0.1:9 "),
        cluster_runner(ClusterConfig("tcp://127.0.0.1:9"), ENCODER, clips, OPTIONS),
    ):
        pass


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--nthreads", "3"), "has 3 threads for one encoder: start it with --nthreads 1"),
        (("--resources", "GPU=4"), "offers GPU=4: start one worker process for each GPU"),
    ],
)
def test_a_crowded_worker_fails(
    options: tuple[str, ...], problem: str, clips: Dataset, tmp_path: Path
) -> None:
    encoder = replace(ENCODER, device="cuda" if "GPU=4" in options else "cpu")
    with dask_processes(tmp_path / "dask") as processes:
        processes.worker(*options)
        with (
            pytest.raises(ClusterError, match=problem),
            cluster_runner(cluster(processes), encoder, clips, OPTIONS),
        ):
            pass


def test_a_worker_with_another_version_fails(clips: Dataset, tmp_path: Path) -> None:
    other = tmp_path / "packages"
    (other / "torch-1.0.dist-info").mkdir(parents=True)
    (other / "torch-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: torch\nVersion: 1.0\n"
    )
    with dask_processes(tmp_path / "dask") as processes:
        processes.worker(path_first=other)
        with (
            pytest.raises(ClusterError, match=r"tcp://\S+ has torch 1.0, but here it is "),
            cluster_runner(cluster(processes), ENCODER, clips, OPTIONS),
        ):
            pass


def test_a_worker_that_does_not_see_the_videos_fails(
    scheduler: DaskProcesses, clips: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Seen from another process, this path leads somewhere else: as a disk that only one machine has.
    monkeypatch.chdir(tmp_path)
    unseen = dataset({name: Path(f"/proc/self/cwd/{name}.mp4") for name in "ab"})
    with (
        pytest.raises(ClusterError, match=r"does not see /proc/self/cwd/a.mp4, or sees another file there"),
        cluster_runner(cluster(scheduler), ENCODER, unseen, OPTIONS),
    ):
        pass


def test_a_worker_that_does_not_see_the_store_fails(
    scheduler: DaskProcesses, clips: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with (
        cluster_runner(cluster(scheduler), ENCODER, clips, OPTIONS) as runner,
        pytest.raises(ClusterError, match=r"does not see the store /proc/self/cwd/store"),
    ):
        run_extraction(runner, clips, OPTIONS, Path("/proc/self/cwd/store"))


def test_weights_that_a_worker_has_not_fail(scheduler: DaskProcesses, clips: Dataset) -> None:
    unknown = replace(ENCODER, pretrained="nowhere.pt")
    with (
        pytest.raises(ClusterError, match=r"tcp://\S+ .*nowhere.pt"),
        cluster_runner(cluster(scheduler), unknown, clips, OPTIONS),
    ):
        pass


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scheduler": "node7"}, "'node7' is none of these"),
        ({"workers": 0}, "--workers must be at least 1, got 0"),
        ({"wait_seconds": 0.0}, "--wait-seconds must be more than 0, got 0.0"),
        ({"queue": "slurm", "scheduler": "tcp://node7:8786"}, "give one of both"),
        ({"job": {"queue": "gpu"}}, "--job needs a job queue to submit to: --slurm or --pbs"),
        (
            {"queue": "slurm", "job": {"wall": "1:00"}},
            "unknown --job setting of slurm 'wall'. Did you mean 'walltime'",
        ),
        (
            {"queue": "slurm", "job": {"cores": "nan"}},
            "--job cores must be a whole number such as 4, got 'nan'",
        ),
        (
            {"workers": 2, "wants_gpu": True},
            "2 workers with a GPU each are asked for, but this machine has 0",
        ),
    ],
)
def test_config_fails(settings: dict[str, object], message: str, clips: Dataset) -> None:
    with (
        pytest.raises(UsageError, match=message),
        cluster_runner(ClusterConfig(**settings), ENCODER, clips, OPTIONS),  # type: ignore[arg-type]
    ):
        pass


FAKE_QUEUE = """#!/bin/sh
# Runs the job at once, as a queue that is empty does.
cp "$1" "{folder}/script"
sh "{folder}/script" > "{folder}/job.log" 2>&1 &
echo "$!.server"
"""


def test_workers_are_submitted_as_jobs(
    clips: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of PBS, which neither Debian nor PyPI has; tests/test_cluster_docs.py has Slurm itself."""
    for name, script in (("qsub", FAKE_QUEUE.format(folder=tmp_path)), ("qdel", "#!/bin/sh\nkill $1\n")):
        (tmp_path / name).write_text(script)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    before = listening(psutil.Process())
    job = {"walltime": "01:00:00", "cores": "4", "memory": "4GB", "account": "vision"}
    config = ClusterConfig(queue="pbs", wants_gpu=False, job=job)
    with cluster_runner(config, ENCODER, clips, OPTIONS) as runner:
        (key,) = (Path(name) for name in re.findall(r"--tls-key (\S+)", (tmp_path / "script").read_text()))
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        of_job = listening(process_with(str(key)))
        assert of_job
        open_doors = {
            door for door in of_job | (listening(psutil.Process()) - before) if door.host != "127.0.0.1"
        }
        assert open_doors, "workers come from other machines"
        (scratch,) = (folder.parent for folder in tmp_path.glob("tmp.*/dask-scratch-space"))
        assert stat.S_IMODE(scratch.stat().st_mode) == 0o700
        assert [door for door in open_doors if not door.wants_certificate()] == []
        summary = run_extraction(runner, clips, OPTIONS, tmp_path / "store")
    assert summary.shards_done == 2
    script = (tmp_path / "script").read_text()
    assert "vision" in script
    assert "01:00:00" in script
    assert not key.parent.exists()


def test_a_queue_that_takes_no_job_fails(
    clips: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sbatch").write_text("#!/bin/sh\necho 'sbatch: error: invalid partition' >&2\nexit 1\n")
    (tmp_path / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with (
        pytest.raises(ClusterError, match=r"slurm took no job: (.|\n)*invalid partition"),
        cluster_runner(ClusterConfig(queue="slurm"), ENCODER, clips, OPTIONS),
    ):
        pass


def test_no_queue_fails(clips: Dataset) -> None:
    with (
        pytest.raises(ClusterError, match=r"no qsub on this machine: start this where jobs are submitted"),
        cluster_runner(ClusterConfig(queue="pbs"), ENCODER, clips, OPTIONS),
    ):
        pass


@pytest.mark.parametrize(
    ("queue", "lines"),
    [
        (
            "slurm",
            ["#SBATCH --gres=gpu:1", "#SBATCH --cpus-per-task=8", "#SBATCH --mem=30G", "#SBATCH -p gpu"],
        ),
        ("pbs", ["#PBS -l select=1:ncpus=8:ngpus=1:mem=32GB", "#PBS -q gpu"]),
    ],
)
def test_job_script(queue: str, lines: list[str]) -> None:
    config = ClusterConfig(queue=queue, wants_gpu=True, job={"queue": "gpu"})  # type: ignore[arg-type]
    script = job_script(config)
    for line in lines:
        assert line in script.splitlines()
    command = script.strip().splitlines()[-1]
    assert "dask_worker tls://" in command
    assert "--resources GPU=1 --nthreads 1 --dashboard-address 127.0.0.1:0" in command
    assert command.count("--nthreads") == 2  # the last of two counts


def test_what_dask_jobqueue_is_configured_with_stands_in_the_script() -> None:
    configured = {
        "jobqueue.slurm.job-script-prologue": ["module load ffmpeg"],
        "jobqueue.slurm.walltime": "02:00:00",
    }
    with dask.config.set(configured):
        lines = job_script(ClusterConfig(queue="slurm")).splitlines()
        assert "module load ffmpeg" in lines
        assert "#SBATCH -t 02:00:00" in lines
        asked = job_script(ClusterConfig(queue="slurm", job={"job_script_prologue": "module load cuda"}))
    assert "module load cuda" in asked
    assert "module load ffmpeg" not in asked
