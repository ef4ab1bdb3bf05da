"""An encoder that root opens leaves no process before all others."""

import os
from pathlib import Path

import pytest

from benchmarks.decoding_truth.encodes import Encode
from benchmarks.decoding_truth.scheduling import leave_real_time
from benchmarks.decoding_truth.writing import write_encode

pytestmark = pytest.mark.skipif(not hasattr(os, "SCHED_FIFO"), reason="needs the schedulers of Linux")


def test_av1_leaves_the_scheduler_as_it_was(tmp_path: Path) -> None:
    """Which root alone can see fail."""
    write_encode(Encode(codec="libsvtav1", container="mp4", frames=3), tmp_path / "a.mp4")
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


def test_who_is_before_all_others_comes_back() -> None:
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        pytest.skip("only root gets there")
    leave_real_time()
    threads = Path("/proc/self/task").iterdir()
    assert {os.sched_getscheduler(int(thread.name)) for thread in threads} == {os.SCHED_OTHER}
