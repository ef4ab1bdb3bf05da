"""Sweeps with real child processes, and with a real Dask scheduler and worker."""

import json
import multiprocessing
import statistics
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tvr.data.contracts.errors import UsageError
from tvr.heads.runs.run_folder import load_run
from tvr.heads.sweep import run as sweep
from tvr.heads.sweep.grid import parse_grid, plan_trials
from tvr.heads.sweep.processes import run_in_processes
from tvr.heads.sweep.results import groups_of, rows_of, save_table
from tvr.heads.sweep.run import bundles_of, open_for_sweep, pending_tasks, run_on_dask, tasks_of
from tvr.heads.sweep.trial import TrialTask, run_trial, run_trials
from tvr.pipeline.cluster.config import ClusterConfig
from tvr.pipeline.store.reader import FeatureStore

from ...fixtures.generated import generated_store
from ...fixtures.stores import write_store

FIXED = {"epochs": "2", "batch_size": "16", "layers": "1", "device": "cpu"}


def planned(tmp_path: Path, *words: str, **fixed: str) -> list[TrialTask]:
    store = tmp_path / "store"
    if not store.exists():
        generated_store(store)
    settings = {name: value for name, value in (FIXED | fixed).items() if value}
    trials = plan_trials(parse_grid(words), settings)
    return tasks_of(trials, FeatureStore.open(store), tmp_path / "sweep", threads=1)


@pytest.mark.slow
def test_a_sweep_ends_in_a_table_over_seeds(tmp_path: Path) -> None:
    """One head cannot be built for these features, which is only known when it is tried: a row, not the end."""
    tasks = planned(tmp_path, "head=seq_transformer", "lr=1e-3,1e-2", "seed=0,1")
    tasks += planned(tmp_path, "head=seq_transformer", "heads=5")
    told: list[tuple[int, int, str]] = []
    run_in_processes(tasks, 2, lambda *words: told.append(words))
    assert [(done, total) for done, total, _ in told] == [(k, 5) for k in range(1, 6)]
    rows = rows_of(tasks)
    scores = [row.score for row in rows if row.score is not None]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == 4
    assert rows[-1].name == "seq_transformer,heads=5"
    assert "heads must divide the feature width 16" in str(rows[-1].failure)
    groups = groups_of(rows)
    assert [group.group for group in groups][-1] == "seq_transformer,heads=5"
    best = groups[0]
    own = [row.score for row in rows if row.group == best.group and row.score is not None]
    assert best.mean == pytest.approx(statistics.fmean(own))
    assert best.deviation == pytest.approx(statistics.stdev(own))
    assert best.trials == 2
    assert set(best.figures) == {f"{way} R@{k}" for way in ("t2v", "v2t") for k in (1, 5, 10)}
    assert save_table(tmp_path / "sweep", tasks) == rows
    saved = json.loads((tmp_path / "sweep" / "sweep.json").read_text())
    assert [row["name"] for row in saved["trials"]] == [row.name for row in rows]
    head, record = load_run(Path(rows[0].folder))
    assert record.config.lr == float(rows[0].name.split("lr=")[1].split(",")[0])
    assert not head.training
    assert pending_tasks(tasks, retry_failed=False) == []
    assert [task.trial.name for task in pending_tasks(tasks, retry_failed=True)] == [
        "seq_transformer,heads=5"
    ]


def kill_after_an_epoch(task: TrialTask, sweeping: threading.Thread) -> None:
    """Start the sweep, and end the process that trains this task in the midst of it."""
    sweeping.start()
    deadline = time.monotonic() + 120
    while not (task.folder / "metrics.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    multiprocessing.active_children()[0].kill()


@pytest.mark.slow
def test_a_killed_trial_is_a_row(tmp_path: Path) -> None:
    tasks = planned(tmp_path, "epochs=100000", "seed=0") + planned(tmp_path, "head=xpool", layers="")
    sweeping = threading.Thread(target=run_in_processes, args=(tasks, 1))
    kill_after_an_epoch(tasks[0], sweeping)
    sweeping.join()
    rows = rows_of(tasks)
    assert [row.failure is None for row in rows] == [True, False]
    assert "killed by signal SIGKILL (the system kills" in str(rows[1].failure)
    assert pending_tasks(tasks, retry_failed=False) == []


@pytest.mark.slow
def test_trials_of_a_killed_process_go_on_alone(tmp_path: Path) -> None:
    tasks = planned(tmp_path, "lr=1e-3,2e-3", epochs="60")
    assert bundles_of(tasks, 1) == [tasks]
    sweeping = threading.Thread(target=run_in_processes, args=(tasks, 1))
    kill_after_an_epoch(tasks[1], sweeping)
    sweeping.join()
    assert [row.failure for row in rows_of(tasks)] == [None, None]
    assert all(task.is_done for task in tasks)


def test_small_trials_of_a_head_share_a_process(tmp_path: Path) -> None:
    tasks = planned(tmp_path, "head=seq_transformer,xpool", "lr=1e-3,1e-2", "seed=0,1")
    names = [[task.trial.name for task in bundle] for bundle in bundles_of(tasks, 2)]
    assert [[name.split(",")[0] for name in bundle] for bundle in names] == [
        ["seq_transformer"] * 4,
        ["xpool"] * 4,
    ]
    assert [name[-6:] for name in names[0]] == ["seed=0", "seed=0", "seed=1", "seed=1"]
    assert [len(bundle) for bundle in bundles_of(tasks, 4)] == [2, 2, 2, 2]
    assert [len(bundle) for bundle in bundles_of(tasks, 8)] == [1] * 8


def test_large_trials_have_a_process_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "MAX_PARAMETERS", 3000)
    tasks = planned(tmp_path, "lr=1e-3,1e-2,1e-1")
    assert [len(bundle) for bundle in bundles_of(tasks, 1)] == [1, 1, 1]


@pytest.mark.parametrize("head", ["seq_transformer", "xpool", "hcmi"])
def test_trials_of_one_process_equal_those_trained_alone(tmp_path: Path, head: str) -> None:
    """To the bit, dropout and all, with the same seed or another, and though one of them fails."""
    tasks = planned(
        tmp_path, f"head={head}", "lr=1e-3,1e-2", "seed=0,1", layers="" if head == "xpool" else "1"
    )
    run_trials([*planned(tmp_path, "heads=5"), *tasks])
    for task in tasks:
        alone = replace(task, folder=tmp_path / "alone" / task.folder.name)
        assert run_trial(alone)
        found, wanted = (folder / "head.safetensors" for folder in (task.folder, alone.folder))
        assert found.read_bytes() == wanted.read_bytes(), task.trial.name


def test_a_trial_in_a_process_equals_one_here(tmp_path: Path) -> None:
    first = planned(tmp_path, "seed=3")[0]
    run_in_processes([first], 1)
    again = replace(first, folder=tmp_path / "other")
    assert run_trial(again)
    assert (first.folder / "head.safetensors").read_bytes() == (
        again.folder / "head.safetensors"
    ).read_bytes()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # distributed leaves sockets to the garbage collector
def test_a_sweep_on_dask(tmp_path: Path) -> None:
    from distributed import LocalCluster

    tasks = planned(tmp_path, "seed=0") + planned(tmp_path, "heads=5")
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address="") as cluster:
        address = str(cluster.scheduler_address)  # pyright: ignore[reportAttributeAccessIssue]
        run_on_dask(tasks, ClusterConfig(address))
    rows = rows_of(tasks)
    assert rows[0].score is not None
    assert "heads must divide" in str(rows[1].failure)


def test_a_broken_store_is_a_row(tmp_path: Path) -> None:
    task = planned(tmp_path, "seed=0")[0]
    broken = replace(task, store=tmp_path / "nowhere")
    assert not run_trial(broken)
    assert "no feature store at" in str(rows_of([broken])[0].failure)


def test_trials_to_come_are_counted(tmp_path: Path) -> None:
    group = groups_of(rows_of(planned(tmp_path, "seed=0,1")))[0]
    assert (group.trials, group.failures, group.pending, group.mean) == (0, 0, 2, None)


def test_sweep_fails_without_a_validation_split(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="only test, train"):
        open_for_sweep(write_store(tmp_path / "store"))
