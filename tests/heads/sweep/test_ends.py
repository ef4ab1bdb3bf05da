"""However a sweep ends, its trials end with it, none counts as failed for that, and running it again goes on."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from tvr.heads.runs.run_folder import read_metrics
from tvr.heads.runs.run_lock import RUN_LOCK, is_taken, run_lock
from tvr.heads.sweep.grid import plan_trials
from tvr.heads.sweep.run import tasks_of
from tvr.heads.sweep.trial import TrialTask, run_trial, run_trials
from tvr.pipeline.store.reader import FeatureStore

from ...fixtures.generated import generated_store
from ...fixtures.held_import import HeldImport
from ...fixtures.warm_shell import Running, warm_shell

SETTINGS = {"batch_size": "16", "layers": "1", "device": "cpu", "ema": "0.5"}
ENDLESS = {**SETTINGS, "epochs": "1000000"}
DEADLINE = 120.0
STARTED: list[Running] = []
"""The sweeps of this test."""


def planned(tmp_path: Path, settings: Mapping[str, str]) -> TrialTask:
    store = FeatureStore.open(generated_store(tmp_path / "store", videos=16))
    return tasks_of(plan_trials({}, settings), store, tmp_path / "sweep")[0]


@pytest.fixture
def task(tmp_path: Path) -> TrialTask:
    """The one trial, without an end, of the sweep that ``sweeping`` starts."""
    return planned(tmp_path, ENDLESS)


def sweeping(task: TrialTask, *, forks: bool = True, environment: Mapping[str, str] | None = None) -> Running:
    """A sweep that trains the task."""
    fixed = [word for name, value in ENDLESS.items() for word in ("--set", f"{name}={value}")]
    places = ("--store", task.store, "--folder", task.folder.parents[1])
    line = ("sweep", *fixed, *places, "--workers", "1")
    setting = {"forks": forks, "cwd": str(task.store.parent), "environment": environment}
    STARTED.append(warm_shell().start(*line, **setting))
    return STARTED[-1]


@pytest.fixture(autouse=True)
def nothing_goes_on() -> Iterator[None]:
    """Trials without an end do not outlive a test that failed."""
    yield
    while STARTED:
        STARTED.pop().kill()


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE
    while not holds():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.005)


def trainer_of(task: TrialTask, after: int = 0) -> int:
    """The process that trains the task, once it has finished more epochs than so many."""
    wait_until(lambda: len(read_metrics(task.folder)) > after and is_taken(task.folder))
    return int((task.folder / RUN_LOCK).read_text().split()[1])


def goes_on(task: TrialTask) -> bool:
    """Whether running the sweep again goes on behind the epochs that are there."""
    epochs = len(read_metrics(task.folder))
    again = sweeping(task)
    trainer_of(task, after=epochs)
    again.kill()
    again.wait()
    return [line["epoch"] for line in read_metrics(task.folder)][: epochs + 1] == list(range(1, epochs + 2))


@pytest.mark.parametrize(
    ("number", "to_all", "code", "word"),
    [
        (signal.SIGTERM, False, 143, "terminated"),
        (signal.SIGTERM, True, 143, "terminated"),
        (signal.SIGINT, True, 130, "interrupted"),
    ],
    ids=["SIGTERM", "SIGTERM to every process", "Ctrl-C"],
)
def test_a_sweep_that_is_stopped_leaves_nothing_behind(
    task: TrialTask, number: signal.Signals, to_all: bool, code: int, word: str
) -> None:
    sweep = sweeping(task)
    trainer = trainer_of(task)
    assert trainer != sweep.pid
    (os.killpg if to_all else os.kill)(sweep.pid, number)
    assert sweep.wait() == code
    assert f"tvr: {word}: 0 of 1 trial ended; the others keep every finished epoch" in sweep.said
    assert "tvr: to go on: tvr sweep " in sweep.said
    assert "Traceback" not in sweep.said
    with pytest.raises(ProcessLookupError):
        os.kill(trainer, 0)
    assert not is_taken(task.folder)
    assert not task.has_ended
    assert goes_on(task)


def test_ctrl_c_while_a_trial_still_imports_is_left_to_the_sweep(task: TrialTask, tmp_path: Path) -> None:
    held = HeldImport(tmp_path, "forkserver")
    sweep = sweeping(task, forks=False, environment=held.environment)
    held.wait()
    os.killpg(sweep.pid, signal.SIGINT)
    assert sweep.wait() == 130
    held.let_go()
    *_, interrupted, goes_on = sweep.said.splitlines()
    assert interrupted.startswith("tvr: interrupted: 0 of 1 trial ended")
    assert goes_on.startswith("tvr: to go on: tvr sweep ")
    assert "Traceback" not in sweep.said


@pytest.mark.slow
def test_trials_end_with_a_sweep_that_was_killed(task: TrialTask) -> None:
    sweep = sweeping(task, forks=False)
    assert trainer_of(task) != sweep.pid
    os.kill(sweep.pid, signal.SIGKILL)
    assert sweep.wait() == -signal.SIGKILL
    wait_until(lambda: not is_taken(task.folder))
    assert not task.has_ended


def test_a_trial_is_taken_over_from_a_sweep_that_dies(task: TrialTask) -> None:
    first = sweeping(task)
    trainer = trainer_of(task)
    second = sweeping(task)
    wait_until(lambda: f"waiting: process {trainer} on" in second.said)
    first.kill()
    first.wait()
    epochs = len(read_metrics(task.folder))
    assert trainer_of(task, after=epochs) != trainer
    second.kill()
    second.wait()
    assert not task.has_ended


def test_a_trial_in_other_hands_is_passed_over_and_waited_for(tmp_path: Path) -> None:
    task = planned(tmp_path, {**SETTINGS, "epochs": "1"})
    waiting = threading.Thread(target=run_trial, args=(task,))
    with run_lock(task.folder):
        assert run_trials([task]) == [task]
        waiting.start()
        assert not task.has_ended
    waiting.join()
    assert task.is_done
