"""What this machine has: cores, memory, devices; and that asking for cores does not import torch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tvr.data.contracts.errors import UsageError
from tvr.pipeline import machine
from tvr.pipeline.machine import available_memory, torch_device, usable_cores


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system binds no process to cores")
def test_cores_are_those_of_this_process() -> None:
    first = min(os.sched_getaffinity(0))
    program = "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])}); "
    program += "from tvr.pipeline.machine import usable_cores; print(usable_cores(), 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program, str(first)], capture_output=True, text=True)
    assert done.stdout.strip() == f"({first},) False", done.stderr


def test_cores_where_the_system_binds_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert usable_cores() == tuple(range(os.cpu_count() or 1))


def test_memory_is_some_of_what_the_machine_has() -> None:
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0 < available_memory() <= physical


def test_memory_where_the_system_does_not_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "Path", lambda name: tmp_path / "nowhere")
    assert available_memory() == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_auto_is_the_gpu_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for is_available, expected in ((True, "cuda:1"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda found=is_available: found)
        assert torch_device("auto", gpu="cuda:1") == torch.device(expected)
    assert torch_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gpu", "device must be auto, cpu, cuda, cuda:1 and so on, or mps, got 'gpu'"),
        ("cuda:3", "device cuda:3 is not there: torch .* sees no CUDA device; use --device cpu"),
        ("mps", "device mps is not there: torch sees no Apple GPU; use --device cpu"),
    ],
)
def test_device_fails_when_it_is_not_there(name: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(UsageError, match=message):
        torch_device(name)
