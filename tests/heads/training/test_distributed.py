"""Two real processes with half a batch each against one process with all of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tvr.data.contracts.errors import UsageError
from tvr.heads.runs.run_folder import read_metrics
from tvr.heads.training.distributed import Distributed

from .child import gradients, run

REPOSITORY = Path(__file__).parents[3]


HEADS = ("xclip", "hcmi")


def under_torchrun(*words: str | Path) -> None:
    """Do the tasks of ``child`` in two processes."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launcher, "-m", "tests.heads.training.child", *map(str, words)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=REPOSITORY, check=False, timeout=600, capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def by_two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Gradients and a run of each head, by its name, from one start of the two processes; then they part."""
    folder = tmp_path_factory.mktemp("by_two")
    words = [word for head in HEADS for word in ("gradients+train", folder / head, head)]
    under_torchrun(*words, *(("part", folder / "parted", "none") if sys.platform == "linux" else ()))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("head", HEADS)
def test_two_processes_equal_one(by_two: Path, tmp_path: Path, head: str) -> None:
    together = load_file(by_two / head / "gradients.safetensors")
    alone = gradients(head)
    assert together.keys() == alone.keys()
    for name, gradient in alone.items():
        scale = float(gradient.abs().max().clamp_min(1.0))
        torch.testing.assert_close(together[name], gradient, atol=1e-5 * scale, rtol=0, msg=name)
    run(tmp_path / "one", head)
    for two, one in zip(read_metrics(by_two / head), read_metrics(tmp_path / "one"), strict=True):
        assert two["loss"] == pytest.approx(one["loss"], abs=1e-3)


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")
@pytest.mark.slow
def test_no_thread_of_the_group_outlives_it(by_two: Path) -> None:
    for rank in range(2):
        left = (by_two / "parted" / f"threads-{rank}.txt").read_text()
        assert "python" in left
        assert "gloo" not in left


def test_one_process_is_no_job() -> None:
    distributed = Distributed()
    assert distributed.is_first
    assert distributed.share(16) == slice(0, 16)
    assert distributed.broadcast("as it is") == "as it is"
    encoded = {"video": torch.ones(2)}
    assert distributed.all_gather(encoded) is encoded


def test_device_fails_when_it_is_not_there() -> None:
    with pytest.raises(UsageError, match="device must be auto, cpu, cuda"):
        Distributed().device("gpu")
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="sees no CUDA device; use --device cpu"):
            Distributed().device("cuda:0")


def rank(monkeypatch: pytest.MonkeyPatch, **said: object) -> Distributed:
    """A process that torchrun has told so."""
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in said.items():
        monkeypatch.setenv(name, str(value))
    return Distributed()


@pytest.mark.parametrize("wanted", ["cuda", "auto"])
def test_each_process_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch, wanted: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    gpus = [
        rank(monkeypatch, WORLD_SIZE=8, RANK=4 + i, LOCAL_RANK=i, LOCAL_WORLD_SIZE=4).device(wanted)
        for i in range(4)
    ]
    assert gpus == [torch.device("cuda", i) for i in range(4)]
    assert rank(monkeypatch).device(wanted).index in (None, 0)
    assert rank(monkeypatch).device("cuda:3") == torch.device("cuda", 3)


def test_a_gpu_may_be_named_where_a_machine_has_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    assert rank(monkeypatch, WORLD_SIZE=2, RANK=1, LOCAL_RANK=0, LOCAL_WORLD_SIZE=1).gpu_of_own(3, 4) == 3


def test_one_gpu_for_several_processes_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    second = rank(monkeypatch, WORLD_SIZE=2, RANK=1, LOCAL_RANK=1, LOCAL_WORLD_SIZE=2)
    with pytest.raises(
        UsageError, match=r"cuda:1 cannot be shared by the 2 processes .*--device cuda, and each"
    ):
        second.gpu_of_own(1, 2)
    with pytest.raises(
        UsageError, match=r"process 1 of the 2 .* torch sees 1\. .*--nproc-per-node=1, or use"
    ):
        second.gpu_of_own(None, 1)


def test_a_rank_that_is_no_number_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"LOCAL_RANK must be a number, as torchrun sets it, got 'first'"):
        rank(monkeypatch, LOCAL_RANK="first")


@pytest.mark.parametrize(("rank", "world"), [("5", "2"), ("0", "0"), ("-1", "2")])
def test_a_rank_that_is_none_of_the_processes_fails(
    monkeypatch: pytest.MonkeyPatch, rank: str, world: str
) -> None:
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", world)
    with pytest.raises(UsageError, match=r"RANK|WORLD_SIZE"):
        Distributed()


@pytest.mark.parametrize("variables", [{}, {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "x", "RANK": "0"}])
def test_processes_that_cannot_meet_fail(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    """As where a shell has kept WORLD_SIZE of a job."""
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"WORLD_SIZE": "2", **variables}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(
        UsageError, match=r"the 2 processes .* cannot meet .*`unset WORLD_SIZE RANK LOCAL_RANK`"
    ):
        Distributed().connect(torch.device("cpu"))
