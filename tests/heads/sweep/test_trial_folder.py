"""A trial is done only where head, training and features are the ones that are asked for."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from tvr.data.contracts.strict_json import read_json
from tvr.heads.runs.run_folder import load_record
from tvr.heads.sweep.grid import parse_grid, plan_trials
from tvr.heads.sweep.results import TABLE, groups_of, rows_of, save_table, table_of
from tvr.heads.sweep.run import notes_of, pending_tasks, tasks_of
from tvr.heads.sweep.trial import TrialTask, record_failure, run_trial
from tvr.pipeline.store.checksummed_json import read_checksummed, write_checksummed
from tvr.pipeline.store.reader import FeatureStore

from ...fixtures.generated import generated_store

SHORT = {"epochs": "1", "batch_size": "16", "layers": "1", "device": "cpu"}


def planned(tmp_path: Path, *words: str, **fixed: str) -> list[TrialTask]:
    store = tmp_path / "store"
    if not store.exists():
        generated_store(store)
    trials = plan_trials(parse_grid(words), SHORT | fixed)
    return tasks_of(trials, FeatureStore.open(store), tmp_path / "sweep", threads=1)


def with_other_features(receipt: dict[str, Any]) -> None:
    receipt["sha256"] = "ff" * 32


def with_other_sampling(manifest: dict[str, Any]) -> None:
    manifest["sampling"]["num_frames"] = 8


@pytest.mark.parametrize(
    "fixed", [{"epochs": "2"}, {"batch_size": "8"}, {"lr": "0.002"}, {"layers": "2"}], ids=str
)
def test_a_trial_with_other_settings_is_trained_beside_the_finished_one(
    tmp_path: Path, fixed: dict[str, str]
) -> None:
    first = planned(tmp_path, "seed=0")[0]
    assert run_trial(first)
    before = (first.folder / "head.safetensors").read_bytes()
    other = planned(tmp_path, "seed=0", **fixed)[0]
    assert pending_tasks([other], retry_failed=False) == [other]
    (note,) = notes_of([other])
    assert note.startswith("of 1 trial there is another in this folder under the same name")
    assert f".{next(iter(fixed))} is " in note
    assert rows_of([other])[0].score is None
    assert run_trial(other)
    assert other.folder != first.folder
    assert other.trial.name == first.trial.name
    assert asdict(load_record(other.folder).config) == asdict(other.trial.training)
    assert (first.folder / "head.safetensors").read_bytes() == before
    assert planned(tmp_path, "seed=0")[0].is_done
    assert notes_of(planned(tmp_path, "seed=0")) == []
    assert planned(tmp_path, "seed=0", device="auto", wandb="curves")[0].is_done, "of no consequence"


@pytest.mark.parametrize(
    ("file", "change"), [("video-*.json", with_other_features), ("store.json", with_other_sampling)]
)
def test_a_trial_on_other_features_is_trained_anew(
    tmp_path: Path, file: str, change: Callable[[dict[str, Any]], None]
) -> None:
    first = planned(tmp_path, "seed=0")[0]
    assert run_trial(first)
    record = next((tmp_path / "store").glob(file))
    values = read_checksummed(record)
    change(values)
    write_checksummed(record, values)
    again = planned(tmp_path, "seed=0")[0]
    assert not again.is_done
    assert again.folder != first.folder
    late = replace(first, folder=tmp_path / "late")
    assert not run_trial(late)
    assert "changed while the sweep ran" in str(rows_of([late])[0].failure)


def test_a_trial_of_an_earlier_version_is_found(tmp_path: Path) -> None:
    """Whose folder was named for what was varied alone, and which kept less of its store."""
    task = planned(tmp_path, "seed=0")[0]
    assert run_trial(task)
    former = task.folder.rename(task.folder.with_name("seq_transformer,seed=0"))
    assert planned(tmp_path, "seed=0")[0].folder == former
    record = json.loads((former / "config.json").read_text())
    for name in ("decoder", "limit", "max_seconds", "normalisation", "shards_digest", "text_policy"):
        del record["store"][name]
    (former / "config.json").write_text(json.dumps(record))
    found = planned(tmp_path, "seed=0")[0]
    assert found.folder == former
    assert found.is_done
    assert notes_of([found]) == [
        "1 finished trials are of an earlier version, which did not keep decoder, limit, max_seconds, normalisation, "
        "shards_digest, text_policy: whether the store has the same cannot be checked. Delete their folders to train "
        "them again"
    ]
    other = planned(tmp_path, "seed=0", epochs="2")[0]
    assert other.folder != former
    assert not other.is_done


def test_recalls_among_few_candidates_are_named(tmp_path: Path) -> None:
    """Of 20 videos R@10 is one of 2K candidates, of 19 it is not; earlier versions did not keep how many there were."""
    task = planned(tmp_path, "seed=0")[0]
    assert run_trial(task)
    assert rows_of([task])[0].few_candidates == []
    metrics = task.folder / "metrics.jsonl"
    (line,) = map(json.loads, metrics.read_text().splitlines())
    line["val"]["t2v"]["candidates"] = 19
    del line["val"]["v2t"]["candidates"]
    metrics.write_text(json.dumps(line) + "\n")
    rows = rows_of([task])
    assert rows[0].few_candidates == groups_of(rows)[0].few_candidates == ["t2v R@10"]
    (saved,) = save_table(tmp_path / "sweep", [task])
    assert saved == rows[0]
    assert read_json(tmp_path / "sweep" / TABLE)["groups"][0]["few_candidates"] == ["t2v R@10"]


def test_a_failure_is_of_its_settings(tmp_path: Path) -> None:
    task = planned(tmp_path, "seed=0")[0]
    record_failure(task, "no memory")
    assert planned(tmp_path, "seed=0")[0].has_failed
    assert not planned(tmp_path, "seed=0", batch_size="8")[0].has_failed
    assert run_trial(task)
    assert not (task.folder / "failed.json").exists()
    assert rows_of([task])[0].failure is None


def test_a_name_too_long_for_a_folder_is_cut(tmp_path: Path) -> None:
    rates = [f"lr=0.{'0' * 300}{digit}" for digit in (1, 2)]
    tasks = [planned(tmp_path, rate, "epochs=1")[0] for rate in rates]
    assert len({task.folder for task in tasks}) == 2
    assert all(len(task.folder.name.encode()) < 143 for task in tasks)
    assert all(task.folder.name.startswith("seq_transformer,lr=0.000") for task in tasks)
    assert all(run_trial(task) for task in tasks)
    assert [row.name.split(",")[1] for row in rows_of(tasks)] == rates
    assert [planned(tmp_path, rate, "epochs=1")[0].is_done for rate in rates] == [True, True]


def test_a_name_is_cut_between_characters(tmp_path: Path) -> None:
    task = planned(tmp_path, f"wandb={'ü' * 200}")[0]
    readable, _, digest = task.folder.name.rpartition(",id=")
    assert readable == "seq_transformer,wandb=" + "ü" * 49
    assert len(digest) == 12


def test_values_that_a_folder_cannot_tell_apart_are_two_trials(tmp_path: Path) -> None:
    tasks = planned(tmp_path, "wandb=a/b,a-b")
    assert [task.trial.name for task in tasks] == ["seq_transformer,wandb=a/b", "seq_transformer,wandb=a-b"]


def test_sweeps_of_other_grids_in_one_folder_keep_their_tables(tmp_path: Path) -> None:
    grids = [planned(tmp_path, "seed=0"), planned(tmp_path, "seed=1"), planned(tmp_path, "seed=0")]
    for tasks in grids:
        save_table(tmp_path, tasks)
    first, second, again = (table_of(tmp_path, tasks) for tasks in grids)
    assert first == again
    assert {first, second, tmp_path / TABLE} == set(tmp_path.glob("sweep*.json"))
    assert "seed=0" in first.read_text()
    assert "seed=1" in second.read_text()
