"""The training benchmark on the machine the tests run on: its whole path at a small size, and without a GPU."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SMALL = {
    "videos": 40,
    "captions": 2,
    "words": 6,
    "val-videos": 8,
    "epochs": 1,
    "batch-size": 8,
    "heads": "xpool",
}


def gpu_train(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu_train", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )


@pytest.mark.slow
def test_the_whole_path_on_a_cpu() -> None:
    done = gpu_train(
        "--device", "cpu", "--ways", "eager", "graphs", *(f"--{k}={v}" for k, v in SMALL.items())
    )
    assert done.returncode == 0, done.stderr
    name, parameters, way, *_ = done.stdout.splitlines()[-1].split()
    assert (name, parameters, way) == ("xpool", "1,315,840", "eager"), "graphs are refused on a CPU"


@pytest.mark.slow
def test_gpu_train_fails_without_a_gpu() -> None:
    done = gpu_train()
    assert done.returncode == 1
    assert done.stderr == (
        "benchmarks.gpu_train measures on a GPU, and torch sees none; --device cpu tries a small case\n"
    )
