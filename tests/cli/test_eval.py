"""``tvr eval`` as typed."""

import json
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import pytest
from tvr.heads.evaluation.evaluate import evaluate
from tvr.heads.evaluation.evaluate_runs import EvaluationOptions, Scored, zero_shot
from tvr.heads.training.history import TrainingResult
from tvr.pipeline.request import Named
from tvr.pipeline.store.generations.record import load_manifest
from tvr.pipeline.workspace import Workspace

from ..fixtures.generated import generated_features, generated_store
from ..fixtures.shell import tvr


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a workspace that holds one run."""
    folder = tmp_path_factory.mktemp("trained")
    generated_store(folder / "tvr-workspace" / "features" / "toy" / "model")
    line = [
        "train-head",
        "--head",
        "seq_transformer",
        "--set",
        "layers=1",
        "--epochs",
        "1",
        "--batch-size",
        "16",
    ]
    answer = tvr(*line, cwd=folder)
    assert answer.code == 0, answer.err
    return folder


@pytest.mark.slow
def test_eval_normalises_in_sections_of_their_own(trained: Path) -> None:
    answer = tvr("eval", "--normalise", "all", "--compare", cwd=trained)
    assert answer.code == 0, answer.err
    order = ["plain scores", "normalised with a bank of training queries", "normalised over all test queries"]
    places = [answer.out.index(f"frozen encoder, {section}") for section in order]
    assert places == sorted(places)
    assert answer.out.count("(by validation)") >= 4, (
        "of two temperatures one is chosen, for each head and direction"
    )
    for name in ("qb_norm", "sinkhorn_bank"):
        assert places[1] < answer.out.index(f"seq_transformer + {name}") < places[2]
    assert answer.out.index("seq_transformer + dsl") > places[2]
    assert "v2t any: among all captions" in answer.out
    assert "test: 20 of 20 videos and 40 texts scored" in answer.out
    assert "(random weights)" in answer.out
    assert "no published figures of toy are known here" in answer.out


def test_eval_scores_what_needs_no_training_without_a_run(trained: Path) -> None:
    answer = tvr("eval", "--zero-shot", "all", "--split", "all", "--json", cwd=trained)
    assert answer.code == 0, answer.err
    runs = json.loads(answer.out)["runs"]
    assert [run["name"] for run in runs] == [
        f"{n} (zero-shot)" for n in ("mean_pool", "mug", "query_scoring")
    ]
    for run in runs:
        assert run["run"] is None
        assert run["split_source"] == "all videos of the store"
        assert run["videos"] == run["expected_videos"]
    known = json.loads(tvr("eval", "--json", cwd=trained).out)["runs"][0]
    alone = json.loads(tvr("eval", "--zero-shot", "mean_pool", "--json", cwd=trained).out)["runs"][0]
    assert alone["t2v"] == known["t2v"], "on a split it is the row beside a trained head"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--zero-shot", "wti"], "nothing to train (mean_pool, mug, query_scoring), and wti has"),
        (
            ["--zero-shot", "nosuch"],
            "unknown head of --zero-shot 'nosuch'. Known: mean_pool, mug, query_scoring.",
        ),
        (["--zero-shot", ","], "--zero-shot names no head: mean_pool, mug, query_scoring, or all"),
        (["--split", "all"], "on the videos it was trained on"),
        (["--zero-shot", "mug", "--report"], "--zero-shot takes no run"),
        (
            ["--zero-shot", "mug", "--split", "all", "--normalise", "qb_norm"],
            "there are none beside what is scored",
        ),
        (["--zero-shot", "mug", "--split", "nosuch"], "nosuch"),
        (["--matrix", "s.npy", "--report"], "--matrix takes no run, no --store"),
        (["--matrix", "nosuch.npy"], "nosuch.npy: there is no such file"),
        (["--texts", "t.txt"], "--texts and --videos say what rows and columns of --matrix are"),
    ],
)
def test_eval_without_a_run_fails(trained: Path, words: Sequence[str], said: str) -> None:
    answer = tvr("eval", *words, cwd=trained)
    assert answer.code in (2, 3), answer.err
    assert said in " ".join(answer.err.split())


def test_training_tells_what_no_training_gives(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On the validation split, and in words where the head is worse."""
    run = trained / "tvr-workspace" / "runs" / "toy" / "seq_transformer-1"
    again = json.loads(tvr("train-head", "--run", run, "--json", cwd=trained).out)
    untrained = tvr("eval", "--zero-shot", "mean_pool", "--split", "val", "--json", cwd=trained).out
    figures = json.loads(untrained)["runs"][0]
    assert again["zero_shot_score"] == pytest.approx(
        figures["t2v"]["recall_sum"] + figures["v2t"]["recall_sum"]
    )
    result = TrainingResult(zero_shot(generated_features()), run, 1, 1, 300.0, 1.0, None)
    manifest = load_manifest(trained / "tvr-workspace" / "features" / "toy" / "model")
    said = [
        "worse than no training: zero-shot mean pooling scores 300.5 of 600 on the same validation split",
        "kept epoch 1 (validation score 300.0",
    ]
    for zero, is_worse in ((300.5, True), (300.0, False), (None, False)):
        show = import_module("tvr.cli.train_head")._print_result
        show(result, manifest, zero, was_finished=False, as_json=False)
        shown = " ".join(capsys.readouterr().out.split())
        assert [line in shown for line in said] == [is_worse, True]


@pytest.mark.slow
def test_eval_as_json_with_intervals(trained: Path, tmp_path: Path) -> None:
    answer = tvr("eval", "--json", "--intervals", "--save-similarity", tmp_path / "s.npy", cwd=trained)
    assert answer.code == 0, answer.err
    found = json.loads(answer.out)
    zero_shot, own = found["runs"]
    assert (zero_shot["name"], zero_shot["run"]) == ("mean_pool (zero-shot)", None)
    low, high = own["t2v"]["intervals"]["R@5"]
    assert low <= own["t2v"]["R@5"] <= high
    assert own["name"] == "seq_transformer"
    assert own["run"].endswith("seq_transformer-1")
    again = tvr("eval", "--matrix", tmp_path / "s.npy", "--json", "--intervals", cwd=tmp_path)
    assert again.code == 0, again.err
    (read,) = json.loads(again.out)["runs"]
    assert read["given"] == str(tmp_path / "s.npy")
    told_apart = {"run", "given", "notes"}
    assert {k: v for k, v in read.items() if k not in told_apart} == {
        k: v for k, v in own.items() if k not in told_apart
    }, "ids, ties and what the scores are of stand beside the matrix"


@pytest.mark.slow
def test_the_next_line_of_eval_keeps_the_store_that_was_typed(trained: Path) -> None:
    """Without it the search would look at the store of the run, or at none where that has gone."""
    store = Path("tvr-workspace/features/toy/model")
    answer = tvr("eval", "seq_transformer-1", "--store", store, cwd=trained)
    assert answer.code == 0, answer.err
    run = Path("tvr-workspace/runs/toy/seq_transformer-1")
    assert answer.out.endswith(f'next: tvr search "what you look for" --run {run} --store {store}\n')
    assert f"with pictures: tvr eval seq_transformer-1 --store {store} --report\n" in answer.out
    assert tvr("eval", cwd=trained).out.endswith(f"--run {run}\n")


@pytest.mark.slow
def test_eval_fails_with_what_is_known(trained: Path) -> None:
    for arguments, message in (
        (("--normalise", "dls"), "Did you mean 'dsl'"),
        (("--split", "tets"), "Known: test, train, val"),
    ):
        answer = tvr("eval", *arguments, cwd=trained)
        assert answer.code in (2, 3)
        assert message in answer.err
        assert "/.." not in answer.err, "a run knows its store by a path that leads up and down again"
        assert "Traceback" not in answer.err


@pytest.mark.slow
def test_eval_writes_a_report(trained: Path) -> None:
    answer = tvr("eval", "--report", cwd=trained)
    assert answer.code == 0, answer.err
    assert "no thumbnails: there is no folder tvr-workspace/datasets/toy" in answer.err
    run = trained / "tvr-workspace" / "runs" / "toy" / "seq_transformer-1"
    assert f"report: {run.relative_to(trained)}/report.html" in answer.err
    assert "with pictures:" not in answer.out, "which are there"
    assert (run / "report.html").is_file()
    assert (run / "report" / "ranks.png").is_file()


def test_a_report_shows_the_videos_of_its_own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of runs on two stores of one data set, each with its own videos, beside zero-shot on its own features."""
    subjects = {name: tmp_path / name for name in ("a", "b")}
    evaluation = evaluate(zero_shot(generated_features()), generated_features())
    scored = [
        Scored(f"{name} {run}", run, evaluation, {"dataset": "same", "store": name})
        for name, folder in subjects.items()
        for run in (None, folder)
    ]
    written: list[tuple[Path, list[str], str]] = []

    def write(subject: Path, shown: Sequence[Scored], videos: str) -> Path:
        written.append((subject, [one.facts["store"] for one in shown], videos))
        return subject

    monkeypatch.setattr("tvr.cli.eval.open_run", lambda run, options: run)
    monkeypatch.setattr("tvr.cli.eval._videos", lambda store, dataset, place, named: f"{dataset} of {store}")
    monkeypatch.setattr("tvr.heads.report.report.write_report", write)
    import_module("tvr.cli.eval")._write_reports(scored, EvaluationOptions(), Workspace(tmp_path), Named())
    assert written == [(folder, [name, name], f"same of {name}") for name, folder in subjects.items()]
