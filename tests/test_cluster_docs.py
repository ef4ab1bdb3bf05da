"""docs/cluster.md: its commands parse, and its job scripts run, with a queue that is played by small programs."""

import os
import re
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import click
import pytest
import typer
from distributed.cli import dask_scheduler, dask_worker
from torch.distributed.run import get_args_parser
from tvr.cli.main import app
from tvr.pipeline.video.sample_clip import write_sample

from .fixtures.generated import generated_store

TEXT = (Path(__file__).resolve().parents[1] / "docs" / "cluster.md").read_text(encoding="utf-8")
SCRIPTS = dict(re.findall(r"```sh file=(\S+)\n(.*?)```", TEXT, re.DOTALL))
SMALL = ("--model", "tvr-storyboard", "--num-frames", "2", "--videos-per-shard", "1")

PROGRAMS = {
    "tvr": f'exec "{sys.executable}" -c "from tvr.cli.main import run; run()" "$@"',
    "dask": f'exec "{sys.executable}" -m dask "$@"',
    "torchrun": f'exec "{sys.executable}" -m torch.distributed.run "$@"',
    "srun": 'while [ "${1#-}" != "$1" ]; do shift; done\n'
    'for _ in $(seq "${SLURM_NTASKS:-1}"); do "$@" & done; wait $!',
    "scontrol": "echo localhost",
}
"""What a compute node has, with one node's worth of srun."""


def commands() -> list[list[str]]:
    """Every line of a shell block and of a script, with what it continues on."""
    blocks = re.findall(r"```sh[^\n]*\n(.*?)```", TEXT, re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [shlex.split(line, comments=True) for line in lines if line and not line.startswith("#")]


def parsed(group: click.Command, words: list[str]) -> None:
    words = [word for word in words if word not in ("$@", "&")]
    group.make_context("command", words, resilient_parsing=False).close()


def test_every_command_of_ours_parses() -> None:
    group = typer.main.get_command(app)
    seen: set[str] = set()
    for words in commands():
        if "tvr" in words:
            name, *options = words[words.index("tvr") + 1 :]
            if "$@" in options:
                options += ["--dataset", "didemo"]
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


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """A folder with the programs of a compute node, the scripts, and two videos."""
    for name, body in PROGRAMS.items():
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/bash\n{body}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    for name, body in SCRIPTS.items():
        (tmp_path / name).write_text(body)
    (tmp_path / "archive").mkdir()
    for name in "ab":
        write_sample(tmp_path / "archive" / f"{name}.mp4")
    return tmp_path


def submitted(node: Path, script: str, *options: str | Path, **slurm: str) -> str:
    """What a job printed that ended well."""
    job = ended(node, script, *options, **slurm)
    assert job.returncode == 0, job.stdout + job.stderr
    return job.stdout


def ended(node: Path, script: str, *options: str | Path, **slurm: str) -> subprocess.CompletedProcess[str]:
    """A job that has ended."""
    environment = os.environ | {f"SLURM_{name}": value for name, value in slurm.items()}
    environment |= {"PATH": f"{node / 'bin'}:{os.environ['PATH']}"}
    return subprocess.run(
        ["bash", script, *map(str, options)],
        cwd=node,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.mark.slow
def test_the_array_runs(node: Path) -> None:
    line = ("--dataset", "folder", "--root", "archive", *SMALL, "--store", "store")
    array = {"ARRAY_TASK_MIN": "1", "ARRAY_TASK_MAX": "2"}
    first = submitted(node, "array.sbatch", *line, ARRAY_TASK_ID="2", **array)
    assert "this was --shard 2/2; other jobs have" in first
    assert "next: tvr search" in submitted(node, "array.sbatch", *line, ARRAY_TASK_ID="1", **array)


@pytest.mark.slow
def test_the_dask_job_runs(node: Path) -> None:
    line = ("--dataset", "folder", "--root", "archive", *SMALL, "--store", "store")
    answer = submitted(node, "dask.sbatch", *line, JOB_ID="17", NTASKS="2")
    assert "2 shards written" in answer or "3 shards written" in answer
    assert "next: tvr search" in answer
    assert list(node.glob("dask-*/tls.pem")) == []


def test_a_dask_job_whose_scheduler_cannot_start_fails_and_says_why(node: Path) -> None:
    refuses = '[ "$1" = worker ] || { echo no port is free >&2; exit 1; }'
    (node / "bin" / "dask").write_text(f"#!/bin/bash\n{refuses}\n")
    job = ended(node, "dask.sbatch", "--dataset", "folder", JOB_ID="17", NTASKS="1")
    assert job.returncode == 9
    assert "no port is free" in job.stderr
    assert "the Dask scheduler ended before it listened; it says why above" in job.stderr
    assert list(node.glob("dask-*")) == []


@pytest.mark.slow
def test_the_training_job_runs(node: Path) -> None:
    generated_store(node / "store")
    small = ("--epochs", "1", "--batch-size", "16", "--device", "cpu")
    job = {"JOB_ID": str(os.getpid()), "JOB_NODELIST": "node1", "NNODES": "1", "GPUS_ON_NODE": "2"}
    submitted(node, "train.sbatch", "--store", "store", "--run", "./run", *small, **job)
    assert (node / "run" / "head.safetensors").is_file()


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
