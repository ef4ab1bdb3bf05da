import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tvr.cli.output.evaluation import record
from tvr.data.contracts.errors import StoreError, UsageError
from tvr.heads import seq_transformer
from tvr.heads.evaluation.evaluate import evaluate_scores
from tvr.heads.evaluation.evaluate_runs import EvaluationOptions, open_run, scored_runs
from tvr.heads.evaluation.saved_scores import save_similarity
from tvr.heads.features.from_store import features_of
from tvr.heads.report.table import markdown_table, table_rows
from tvr.heads.runs.find_store import run_store
from tvr.heads.runs.run_folder import load_record
from tvr.heads.runs.training_config import TrainingConfig
from tvr.heads.training.loop import train
from tvr.pipeline.store.checksummed_json import read_checksummed, write_checksummed
from tvr.pipeline.store.reader import FeatureStore

from ...fixtures.generated import generated_store
from ...fixtures.matrix_scores import MatrixScores

CPU = EvaluationOptions(device="cpu")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with one store and one run."""
    workspace = tmp_path_factory.mktemp("made") / "workspace"
    store = FeatureStore.open(generated_store(workspace / "features" / "toy" / "model-tag"))
    sets = {name: features_of(store, name) for name in ("train", "val")}
    config = TrainingConfig(epochs=1, batch_size=16, device="cpu")
    train(
        "seq_transformer",
        seq_transformer.Config(layers=1),
        sets,
        config,
        workspace / "runs" / "toy" / "run-1",
    )
    return workspace


@pytest.fixture
def workspace(made: Path, tmp_path: Path) -> Path:
    """A copy of it in another place."""
    return Path(shutil.copytree(made, tmp_path / "elsewhere"))


def test_zero_shot_stands_first(workspace: Path) -> None:
    run = workspace / "runs" / "toy" / "run-1"
    scored = scored_runs([run, run], CPU)
    assert [some.name for some in scored] == [
        "mean_pool (zero-shot)",
        "seq_transformer (run-1)",
        "seq_transformer (run-1)",
    ]
    assert scored[0].evaluation.texts == 40
    assert scored[0].facts["random_weights"] is True


def test_runs_of_one_name_are_told_apart(workspace: Path) -> None:
    """By as much of their paths as it takes, and so are the stores of zero-shot rows."""
    run = workspace / "runs" / "toy" / "run-1"
    other = shutil.copytree(run, workspace / "runs" / "toys" / "run-1")
    third = shutil.copytree(run, workspace / "runs" / "toys" / "third")
    scored = scored_runs([run, other, third], CPU)
    assert [some.name for some in scored[1:]] == [
        f"seq_transformer ({name})" for name in ("toy/run-1", "toys/run-1", "third")
    ]
    copy = shutil.copytree(workspace, workspace.parent / "copy")
    scored = scored_runs([run, copy / "runs" / "toy" / "run-1"], CPU)
    assert [some.name for some in scored] == [
        "mean_pool (zero-shot) (elsewhere/features/toy/model-tag)",
        "seq_transformer (elsewhere/runs/toy/run-1)",
        "mean_pool (zero-shot) (copy/features/toy/model-tag)",
        "seq_transformer (copy/runs/toy/run-1)",
    ]
    found = record(scored, intervals=False)["runs"]
    assert [one["name"] for one in found] == [some.name for some in scored]
    assert [one["run"] for one in found] == [None, str(run), None, str(copy / "runs" / "toy" / "run-1")]


def test_a_limited_store_says_so(workspace: Path) -> None:
    manifest = workspace / "features" / "toy" / "model-tag" / "store.json"
    write_checksummed(manifest, read_checksummed(manifest) | {"limit": 80})
    options = EvaluationOptions(device="cpu", store=manifest.parent)
    coverage = scored_runs([workspace / "runs" / "toy" / "run-1"], options)[0].evaluation.coverage
    assert "20 of 20 videos and 40 texts scored; the store was limited to 80 videos" in coverage
    assert coverage.endswith("not a figure of the full split")


def test_a_moved_workspace_is_evaluated(made: Path, workspace: Path) -> None:
    """Nothing of the place where it was made is read."""
    run = workspace / "runs" / "toy" / "run-1"
    assert run_store(run, load_record(run)).folder.resolve().is_relative_to(workspace.resolve())


def test_a_run_finds_its_store_in_another_workspace(workspace: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.move(workspace / "runs" / "toy" / "run-1", other / "my-run")
    record = load_record(other / "my-run")
    record.store["path"] = "/nowhere"  # type: ignore[index]
    shutil.move(workspace / "features" / "toy" / "model-tag", other / "features" / "toy" / "renamed")
    shutil.rmtree(workspace)
    assert run_store(other / "my-run", record).folder.name == "renamed"
    (other / "features" / "toy" / "renamed").rename(tmp_path / "named")
    with pytest.raises(StoreError, match=r"toy\) are neither at .* --store"):
        run_store(other / "my-run", record)
    assert run_store(other / "my-run", record, tmp_path / "named").folder == tmp_path / "named"


def test_run_store_fails_on_another_encoder(workspace: Path) -> None:
    run = workspace / "runs" / "toy" / "run-1"
    manifest = workspace / "features" / "toy" / "model-tag" / "store.json"
    values = read_checksummed(manifest)
    values["encoder"]["weights_digest"] = "ff" * 32
    write_checksummed(manifest, values)
    with pytest.raises(StoreError, match=r"weights ffffffffffff\), the head was trained on weights 0000"):
        run_store(run, load_record(run), manifest.parent)


def test_saved_similarities_give_the_same_figures(workspace: Path, tmp_path: Path) -> None:
    subject = open_run(workspace / "runs" / "toy" / "run-1", CPU)
    save_similarity(subject, tmp_path / "s.npy")
    matrix = np.load(tmp_path / "s.npy")
    ids = json.loads((tmp_path / "s.json").read_text())
    assert matrix.shape == (len(ids["texts"]), len(ids["videos"])) == (40, 20)
    from_file = evaluate_scores(MatrixScores(matrix), subject.features).ranks
    scored = scored_runs([subject.run], CPU)[1].evaluation.ranks
    assert from_file.t2v.ranks.tolist() == scored.t2v.ranks.tolist()
    with pytest.raises(UsageError, match=r"got 's.txt'"):
        save_similarity(subject, tmp_path / "s.txt")


def test_like_stands_beside_like(workspace: Path) -> None:
    options = EvaluationOptions(device="cpu", normalise=("qb_norm", "dsl"))
    scored = scored_runs([workspace / "runs" / "toy" / "run-1"], options)
    for some in scored:
        some.facts["dataset"] = "didemo"
        object.__setattr__(some.evaluation, "videos", 1003)
        object.__setattr__(some.evaluation, "expected_videos", 1003)
        object.__setattr__(some.evaluation, "protocol", "paragraph")
    rows = table_rows(scored, compare=True, intervals=True)
    sections = list(dict.fromkeys(row.heading.section for row in rows))
    assert sections == [
        "frozen encoder, plain scores",
        "frozen encoder, normalised with a bank of training queries",
        "frozen encoder, normalised over all test queries",
        "adapters inside the encoder, plain scores",
        "encoder fine-tuned, plain scores",
        "encoder fine-tuned, normalised over all test queries",
        "encoder fine-tuned, normalisation unknown",
    ]
    frozen = [row.name for row in rows if row.heading.section == sections[0]]
    assert {"mean_pool (zero-shot)", "seq_transformer", "HCMI (reproduction)", "CLIP4Clip seqTransf"} <= set(
        frozen
    )
    assert "HunYuan_tvr" in [row.name for row in rows if row.heading.section == sections[5]]
    text = markdown_table(rows)
    assert "**encoder fine-tuned, normalisation unknown**" in text
    assert "| HCMI (reproduction) | t2v | 37.0 | 64.2 | 74.3 | - | - |" in text
    assert all(row.intervals for row in rows if row.is_own)
