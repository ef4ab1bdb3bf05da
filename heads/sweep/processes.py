"""Trials in processes of this machine, which end with the command that started them, however that ends.

Several commands may share a sweep's folder: each trial is trained by one of them, and all wait for all.
"""

import multiprocessing
import signal
import sys
import time
from collections.abc import Callable, Sequence
from multiprocessing import forkserver, resource_tracker
from multiprocessing.process import BaseProcess

from ...pipeline.machine import end_with_parent, left_to_parent
from ..runs.run_lock import holder_of, is_taken
from .run import OnTrialDone, bundles_of
from .trial import TrialTask, forget_failures, on_device, record_failure, run_trials

START_METHOD = "forkserver" if sys.platform == "linux" else "spawn"
"""A forked child of a process that has used CUDA or threads may hang. On Linux trials are forked from a process that
has only imported what they need, which takes longer than to train a small head; on macOS imports start threads."""
POLL_SECONDS = 0.05
PASSED_OVER = 75
"""Exit code of a process that left a trial to another one, which was at it."""


def run_in_processes(
    tasks: Sequence[TrialTask],
    workers: int,
    on_trial_done: OnTrialDone | None = None,
    on_wait: Callable[[str], None] | None = None,
) -> None:
    """Run tasks in fresh processes, ``workers`` at a time. A process that dies is a failed trial, no more.

    If it trained several, each of them goes on alone. A trial that another command trains is waited for, and taken over
    should that one die. Whatever ends this ends the children; running the sweep again goes on with their last finished
    epochs.

    Args:
        tasks: the trials.
        workers: how many at once.
        on_trial_done: told of every trial that ends, whoever trained it.
        on_wait: told for what this waits as soon as there is nothing else to do.
    """
    forget_failures(tasks)
    waiting = bundles_of(tasks, workers)
    running: dict[int, tuple[list[TrialTask], BaseProcess]] = {}
    look = _Ended(tasks, on_trial_done)
    try:
        while waiting or running:
            for worker in [w for w in range(workers) if w not in running]:
                if free := _next_free(waiting):
                    running[worker] = _started([on_device(task, worker) for task in free])
            if waiting and not running and on_wait is not None:
                folder = waiting[0][0].folder
                on_wait(f"{holder_of(folder)} trains into {folder}")
                on_wait = None
            time.sleep(POLL_SECONDS)
            for worker in [w for w, (_, process) in running.items() if not process.is_alive()]:
                waiting[:0] = _close(*running.pop(worker))
            look()
    finally:
        for _, process in running.values():
            process.kill()  # they leave every signal to this process that can be left
            process.join()


class _Ended:
    """Tells of each task that has ended, once."""

    def __init__(self, tasks: Sequence[TrialTask], on_trial_done: OnTrialDone | None) -> None:
        self.open, self.count, self.on_trial_done = list(tasks), len(tasks), on_trial_done

    def __call__(self) -> None:
        for task in [task for task in self.open if task.has_ended]:
            self.open.remove(task)
            if self.on_trial_done:
                self.on_trial_done(self.count - len(self.open), self.count, task.trial.name)


def _next_free(waiting: list[list[TrialTask]]) -> list[TrialTask]:
    """Take from the waiting bundles the first trials that nobody is at; none where others are at all of them.

    What another command has brought to its end meanwhile waits no more.
    """
    for bundle in list(waiting):
        left = [task for task in bundle if not task.has_ended]
        taken = [task for task in left if is_taken(task.folder)]
        place = waiting.index(bundle)
        waiting[place : place + 1] = [taken] if taken else []
        if free := [task for task in left if task not in taken]:
            return free
    return []


def _started(bundle: list[TrialTask]) -> tuple[list[TrialTask], BaseProcess]:
    context = multiprocessing.get_context(START_METHOD)
    process = context.Process(target=_train, args=(bundle,), daemon=False)
    # Ctrl-C and a queue that ends a job reach every process of it; the parent decides what they mean.
    resource_tracker.ensure_running()
    if START_METHOD == "forkserver":
        context.set_forkserver_preload(["__main__", __name__])
        with left_to_parent(signal.SIGINT, signal.SIGTERM):
            forkserver.ensure_running()
        process.start()  # waits until all is imported: nobody is to wait as long for his Ctrl-C
    else:
        with left_to_parent(signal.SIGINT, signal.SIGTERM):
            process.start()
    return bundle, process


def _train(bundle: list[TrialTask]) -> None:
    """What a child does."""
    end_with_parent()
    if run_trials(bundle):
        sys.exit(PASSED_OVER)


def _close(bundle: list[TrialTask], process: BaseProcess) -> list[list[TrialTask]]:
    """Record what a dead child could not record itself; the trials to be tried again alone."""
    process.join()
    code = process.exitcode or 0
    left = [task for task in bundle if not task.has_ended]
    if len(bundle) > 1 or code == PASSED_OVER:
        return [[task] for task in left]
    for task in left:
        if code < 0:
            hint = " (the system kills processes that use too much memory)" if -code == signal.SIGKILL else ""
            record_failure(task, f"killed by signal {signal.Signals(-code).name}{hint}")
        else:
            record_failure(task, f"its process ended with exit code {code} and no result")
    return []
