"""docs/cluster.md: its commands parse, and its job scripts run on Slurm itself, with sizes set as sbatch's options."""

import re
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import click
import pytest
import typer
from distributed.cli import dask_scheduler, dask_worker
from torch.distributed.run import get_args_parser
from tvr.cli.main import app
from tvr.pipeline.video.sample_clip import write_sample

from .fixtures.generated import generated_store
from .fixtures.shell import tree, tvr
from .fixtures.slurm import PATIENCE_SECONDS, OneNodeSlurm, Task, one_node_slurm, slurm_or_skip, wait_until
from .fixtures.warm_shell import warm_shell

TEXT = (Path(__file__).resolve().parents[1] / "docs" / "cluster.md").read_text(encoding="utf-8")
SCRIPTS = dict(re.findall(r"```sh file=(\S+)\n(.*?)```", TEXT, re.DOTALL))
CLIPS = 20
ARCHIVE = ("--dataset", "folder", "--root", "archive", "--model", "tvr-storyboard", "--device", "cpu")
ARCHIVE += ("--num-frames", "2", "--videos-per-shard", "1")
WELL = Task("COMPLETED", 0)

PROGRAMS = {
    "tvr": f'exec "{sys.executable}" -c "from tvr.cli.main import run; run()" "$@"',
    "dask": f'exec "{sys.executable}" -m dask "$@"',
    "torchrun": f'exec "{sys.executable}" -m torch.distributed.run "$@"',
}
"""What the environment of these tests may have elsewhere than in its PATH."""


def commands() -> list[list[str]]:
    """Every line of a shell block and of a script, with what it continues on."""
    blocks = re.findall(r"```sh[^\n]*\n(.*?)```", TEXT, re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [shlex.split(line, comments=True) for line in lines if line and not line.startswith("#")]


def typed(words: list[str]) -> list[str]:
    """What follows ``tvr`` in a command, or in the script that it submits; empty where that is nothing."""
    if "array.sbatch" in words:
        return [*words[words.index("array.sbatch") + 1 :], "--shard", "auto"]
    if "tvr" not in words or words[-3:] == ["$@", "--shard", "${SHARD:-auto}"]:
        return []
    return words[words.index("tvr") + 1 :] + (["--dataset", "didemo"] if "$@" in words else [])


def parsed(group: click.Command, words: list[str]) -> None:
    """Fails where the command would not take these words; what the shell does with its output is none of them."""
    words = words[: words.index(">")] if ">" in words else words
    words = [word for word in words if word not in ("$@", "&")]
    group.make_context("command", words, resilient_parsing=False).close()


def test_every_command_of_ours_parses() -> None:
    group = typer.main.get_command(app)
    seen: set[str] = set()
    for name, *options in filter(None, map(typed, commands())):
        parsed(group.get_command(group.make_context("tvr", [name]), name), options)  # type: ignore[attr-defined, arg-type]
        seen.add(name)
    assert seen == {"extract", "train-head", "sweep"}


def test_every_command_of_dask_and_torch_parses() -> None:
    seen: set[str] = set()
    for words in commands():
        if "dask" in words:
            kind, *options = words[words.index("dask") + 1 :]
            parsed({"scheduler": dask_scheduler.main, "worker": dask_worker.main}[kind], options)
            assert options[options.index("--protocol") + 1] == "tls"
            assert (
                options[options.index("--dashboard-address") + 1] == "127.0.0.1:0"
            )  # --no-dashboard listens
            seen.add(kind)
        if "torchrun" in words:
            options = [word.replace("$SLURM_NNODES", "2") for word in words[words.index("torchrun") + 1 :]]
            arguments = get_args_parser().parse_args(options)
            assert arguments.no_python
            # Without "--" torchrun would take options of ours, such as --run, for abbreviations of its own.
            assert options[options.index("--") + 1] == "tvr"
            seen.add("torchrun")
    assert seen == {"scheduler", "worker", "torchrun"}


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_are_sound_shell(name: str) -> None:
    checked = subprocess.run(["bash", "-n"], input=SCRIPTS[name], text=True, capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr
    lines = SCRIPTS[name].splitlines()
    last = max(number for number, line in enumerate(lines) if line.startswith("#SBATCH"))
    assert all(line.startswith("#") for line in lines[:last])  # Slurm reads no further than the first command


@pytest.fixture(scope="module")
def slurm() -> Iterator[OneNodeSlurm]:
    """A cluster of this machine alone."""
    slurm_or_skip()
    with one_node_slurm() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that jobs are submitted from: the scripts, programs for the PATH, and videos."""
    folder = tmp_path_factory.mktemp("home")
    for name, body in SCRIPTS.items():
        (folder / name).write_text(body)
    for name, body in PROGRAMS.items():
        path = folder / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/bash\n{body}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    archive = folder / "archive"
    archive.mkdir()
    write_sample(archive / "00.mp4")
    for index in range(1, CLIPS):
        shutil.copy(archive / "00.mp4", archive / f"{index:02d}.mp4")
    return folder


@pytest.fixture(scope="module")
def alone(home: Path) -> Mapping[str, bytes]:
    """What one process makes of the videos."""
    assert tvr("extract", *ARCHIVE, "--store", "alone", cwd=home).code == 0
    return shards(home / "alone")


def shards(store: Path) -> dict[str, bytes]:
    """The bytes of every shard of a store."""
    return {name: content for name, content in tree(store).items() if name.endswith(".h5")}


def receipts(store: Path) -> list[Path]:
    """What says of a shard that it is whole."""
    return list(store.glob("video-*.json"))


def submitted(slurm: OneNodeSlurm, home: Path, *words: str | Path, **environment: str) -> str:
    """The job that these words of ``sbatch`` begin."""
    path = f"{home / 'bin'}:{slurm.environment['PATH']}"
    return slurm.submit(*words, cwd=home, PATH=path, **environment)


def scheduler_with(module: str, home: Path) -> dict[str, str]:
    """The environment in which Dask's scheduler imports a module first, and has five seconds to do so."""
    return {"DASK_DISTRIBUTED__SCHEDULER__PRELOAD": module, "PYTHONPATH": str(home), "PATIENCE": "5"}


def log_of(home: Path, job: str) -> str:
    """What the tasks of a job said."""
    return "".join(file.read_text() for file in sorted(home.glob(f"*-{job}*.log")))


@pytest.mark.slow
@pytest.mark.slurm
def test_an_array_that_was_cancelled_goes_on(
    slurm: OneNodeSlurm, home: Path, alone: Mapping[str, bytes]
) -> None:
    line = ("array.sbatch", "extract", *ARCHIVE, "--store", "array")
    job = submitted(slurm, home, "--array=1-2%1", *line)  # one after another: the second has not begun
    wait_until(lambda: receipts(home / "array") or slurm.has_ended(job), "the first shard is done")
    slurm.ask("scancel", job)
    assert Task("CANCELLED", 0) in slurm.wait(job)
    done = len(receipts(home / "array"))
    assert 0 < done <= CLIPS // 2
    assert slurm.wait(submitted(slurm, home, "--array=1", *line, SHARD="auto/2")) == [WELL]
    of_first = len(receipts(home / "array"))
    assert done < of_first < CLIPS, "one of two jobs, submitted again by itself, does its own half"
    again = submitted(slurm, home, "--array=2", *line, SHARD="auto/2")
    assert slurm.wait(again) == [WELL], log_of(home, again)
    assert "next: tvr search" in log_of(home, again)
    assert shards(home / "array") == alone


@pytest.mark.slow
@pytest.mark.slurm
def test_the_dask_job_runs(slurm: OneNodeSlurm, home: Path, alone: Mapping[str, bytes]) -> None:
    job = submitted(slurm, home, "--ntasks=1", "dask.sbatch", *ARCHIVE, "--store", "dask")
    wait_until(lambda: (home / f"worker-{job}-0.log").exists() or slurm.has_ended(job), "the worker starts")
    # Since Slurm 22.05 srun does not take over what sbatch was told, and workers would have one core each.
    assert re.search(r"TresPerTask=cpu[:=]8", slurm.ask("scontrol", "show", "steps", job))
    assert slurm.wait(job) == [WELL], log_of(home, job)
    assert "next: tvr search" in log_of(home, job)
    assert shards(home / "dask") == alone
    assert list(home.glob("dask-*/")) == []


@pytest.mark.slurm
def test_a_dask_job_whose_scheduler_does_not_listen_fails(slurm: OneNodeSlurm, home: Path) -> None:
    (home / "hangs.py").write_text("import time\ntime.sleep(1000)\n")
    reasons = {
        "not_there": ("No module named 'not_there'", "the Dask scheduler ended before it listened"),
        "hangs": ("the Dask scheduler does not listen after",),
    }
    jobs = {
        module: submitted(slurm, home, "--ntasks=1", "dask.sbatch", *ARCHIVE, **scheduler_with(module, home))
        for module in reasons
    }
    for module, job in jobs.items():
        assert slurm.wait(job) == [Task("FAILED", 9)], log_of(home, job)
        assert all(reason in log_of(home, job) for reason in reasons[module]), log_of(home, job)
    assert list(home.glob("dask-*/")) == []


@pytest.mark.slow
@pytest.mark.slurm
def test_what_a_lost_worker_was_at_others_do(
    slurm: OneNodeSlurm, home: Path, alone: Mapping[str, bytes]
) -> None:
    line = ("extract", *ARCHIVE, "--store", "jobs", *["--slurm", "--workers", "2", "--job", "queue=gpu"])
    command = warm_shell().start(*line, cwd=str(home), environment=slurm.environment)
    wait_until(lambda: receipts(home / "jobs"), "the first shard is done")
    lost, *_ = slurm.ask("squeue", "--noheader", "--states=RUNNING", "--format=%A").split()
    slurm.ask("scancel", lost)
    assert command.wait(PATIENCE_SECONDS) == 0, command.said
    assert [task.state for task in slurm.wait(lost)] == ["CANCELLED"]
    assert f"{CLIPS} shards written" in command.said
    assert shards(home / "jobs") == alone
    assert list(home.glob(".tvr-credentials-*")) == []


@pytest.mark.slow
@pytest.mark.slurm
def test_the_training_job_and_the_sweep_run(slurm: OneNodeSlurm, home: Path) -> None:
    generated_store(home / "features")
    small = [
        "--store",
        "features",
        "--run",
        "./run",
        "--epochs",
        "1",
        "--batch-size",
        "16",
        "--device",
        "cpu",
    ]
    training = submitted(slurm, home, "--nodes=1", "--gpus-per-node=2", "train.sbatch", *small)
    grid = ("--grid", "seed=0,1", "--set", "epochs=1", "--store", "features", "--folder", "sweep")
    sweep = submitted(slurm, home, "--array=1-2", "array.sbatch", "sweep", *grid)
    assert slurm.wait(training) == [WELL], log_of(home, training)
    assert (home / "run" / "head.safetensors").is_file()
    assert log_of(home, training).count("train: 40 videos") == 2  # processes
    assert slurm.wait(sweep) == [WELL, WELL], log_of(home, sweep)
    assert len(list(home.glob("sweep/trials/*/head.safetensors"))) == 2


def test_messages_are_those_of_the_program() -> None:
    """What the table of messages shows is written somewhere in the program."""
    program = "".join(path.read_text() for path in Path(__file__).parents[1].glob("pipeline/cluster/*.py"))
    for fragment in (
        "no Dask scheduler answers at ",
        "wants certificates, and Dask's configuration here names none",
        "is not one of those that are trusted here",
        "do not agree on TLS",
        "does not speak TLS",
        " and the certificates of the scheduler",
        "workers there: ",
        "threads for one encoder",
        "but here it is ",
        "does not see the store ",
        "has another encoder (",
        "cannot start a decoding process",
    ):
        assert fragment in TEXT.replace("...", ""), fragment
        assert fragment in program, fragment
