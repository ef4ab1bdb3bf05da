"""What a notebook does in as many lines as the command line: the same store, run, figures and hits, shown as well."""

import ast
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
import tvr
import typer
from tvr.cli import eval as eval_module
from tvr.cli import extract as extract_module
from tvr.cli import search as search_module
from tvr.cli import train_head as train_module
from tvr.cli.exchange import exporting as export_module
from tvr.cli.exchange import importing as import_module
from tvr.evaluating import EvaluateOptions
from tvr.exchanging import ExportOptions, ImportOptions
from tvr.extracting import ExtractOptions
from tvr.searching import SearchOptions
from tvr.training import TrainOptions

from ..fixtures.mp4 import Movie, write_movie
from ..fixtures.shell import tvr as typed

MADE = {"model": "tvr-storyboard", "num_frames": 4, "decoding_processes": 1, "progress": False}
OF_REPORTS = {"save_similarity", "report", "root", "data"}
BESIDE_A_PROGRAM = {"as_json", "config", "dry_run", "yes", "watch", "poll_seconds", "max_failed"}
"""Options of commands that are for a person at a terminal: ``--config`` reads a file of options, ``--max-failed`` is an
exit code; a watch is a loop."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("python")
    (made / "clips").mkdir()
    rows = ["path,caption"]
    for number, name in enumerate("abcdefghij"):
        write_movie(made / "clips" / f"{name}.mp4", Movie(num_frames=10 + 5 * number))
        rows.append(f"{name}.mp4,the clip <b>that</b> is called {name}")
    (made / "clips" / "captions.csv").write_text("\n".join(rows) + "\n")
    return made


@pytest.fixture(scope="module")
def store(place: Path) -> tvr.Store:
    return tvr.extract("folder", root=str(place / "clips"), workspace=str(place / "w"), **MADE)


@pytest.fixture(scope="module")
def run(place: Path, store: tvr.Store) -> tvr.Run:
    return tvr.train(store, head="wti", epochs=2, seed=0, workspace=place / "w", progress=False)


def test_a_store(store: tvr.Store, place: Path) -> None:
    assert repr(store) == (
        f"Store('{store.folder}': 10 videos, 10 captions, tvr-storyboard storyboard, 128 wide, knows drawings only)"
    )
    assert store.frames("c").shape == (4, 128)
    assert np.all(np.diff(store.seconds("c")) > 0)
    assert store.captions("c") == ("the clip <b>that</b> is called c",)
    assert (len(store), "c" in store, "z" in store, list(store)[:2]) == (10, True, False, ["a", "b"])
    assert store.summary is not None and store.summary.frames == 40
    assert "<td>train 7" not in store._repr_html_()
    assert "train 7, val 2, test 1" in store._repr_html_()
    for named in (
        tvr.open_store(workspace=place / "w"),
        tvr.open_store("folder-clips", workspace=place / "w"),
    ):
        assert named.folder == store.folder
    assert [one.folder for one in tvr.stores(workspace=place / "w")] == [store.folder]
    again = tvr.extract("folder", root=place / "clips", workspace=place / "w", **MADE)
    assert str(again.summary) == (
        f"10 videos (10 ok) and 10 captions in {store.folder}; 0 frames encoded, 0 shards written, 2 already there"
    )
    assert tvr.verify(store, progress=False).damages == ()
    assert tvr.compact(store, progress=False).generations == 0


def test_what_is_not_there_fails_with_the_same_errors(store: tvr.Store, run: tvr.Run, place: Path) -> None:
    with pytest.raises(tvr.DataError, match="has no video 'z'"):
        store.frames("z")
    with pytest.raises(tvr.UsageError, match="store 'folder-clip'"):
        tvr.open_store("folder-clip", workspace=place / "w")
    for opened in (tvr.open_store, tvr.open_run):
        with pytest.raises(tvr.UsageError, match="is of folder-clips, and dataset says didemo"):
            opened(store.folder if opened is tvr.open_store else run.folder, dataset="didemo")
    with pytest.raises(tvr.StoreError, match="no features in"):
        tvr.open_store(workspace=place / "empty")
    with pytest.raises(tvr.UsageError, match="run"):
        tvr.open_run(workspace=place / "empty")
    with pytest.raises(tvr.UsageError, match="unknown setting of training 'epoch'"):
        tvr.train(store, workspace=place / "w", train={"epoch": 3})
    with pytest.raises(tvr.UsageError, match="a setting is a text"):
        tvr.train(store, workspace=place / "w", set={"layers": object()})
    with pytest.raises(tvr.UsageError, match="not to both"):
        tvr.extract("folder", root=place / "clips", slurm=True, pbs=True)
    with pytest.raises(AttributeError, match="no attribute 'extrct'"):
        getattr(tvr, "extr" + "ct")


def test_a_run(run: tvr.Run, store: tvr.Store, place: Path) -> None:
    assert (run.head, run.dataset, run.is_finished, len(run.history)) == ("wti", "folder-clips", True, 2)
    assert repr(run).startswith(f"Run('{run.folder}': wti on folder-clips, finished, validation ")
    assert run.store.folder.resolve() == store.folder.resolve()
    assert "layers=4" in run._repr_html_()
    assert tvr.open_run(workspace=place / "w").folder == run.folder
    assert tvr.open_run("wti-1", workspace=place / "w").folder == run.folder
    assert [one.folder for one in tvr.runs(workspace=place / "w")] == [run.folder]
    assert sum(weights.numel() for weights in run.load().parameters()) > 0


def test_a_run_goes_on(store: tvr.Store, place: Path) -> None:
    first = tvr.train(store, run="mine", epochs=1, workspace=place / "x", progress=False)
    again = tvr.train(run="mine", workspace=place / "x", progress=False)
    assert first.folder == again.folder == place / "x" / "runs" / "folder-clips" / "mine"
    with pytest.raises(tvr.UsageError, match="holds a run of head seq_transformer, not of hcmi"):
        tvr.train(run="mine", head="hcmi", workspace=place / "x")


def test_figures_are_those_of_the_command(run: tvr.Run, store: tvr.Store, place: Path) -> None:
    found = tvr.evaluate(run, split="train")
    told = json.loads(
        typed("eval", run.folder, "--split", "train", "--workspace", place / "w", "--json", cwd=place).out
    )
    assert [one["t2v"]["R@1"] for one in told["runs"]] == [one["t2v"]["R@1"] for one in found.record()]
    assert found.t2v.recall(1) == told["runs"][-1]["t2v"]["R@1"]
    assert found.named("wti").evaluation.ranks.v2t.recall(5) == found.v2t.recall(5)
    lines = str(found).splitlines()
    assert lines[0] == "frozen encoder, plain scores"
    assert lines[1].split() == ["head", "way", "R@1", "R@5", "R@10", "MdR", "MnR", "queries", "tied"]
    assert lines[-1].startswith(
        "folder-clips, train: 7 of 7 videos and 7 texts scored; features: tvr-storyboard"
    )
    assert "wti: t2v R@1 " in repr(found)
    assert found._repr_html_().count("<table>") == 1
    untrained = tvr.evaluate(store, split="all", normalise=["sinkhorn_std"])
    assert [one.name for one in untrained] == ["mean_pool (zero-shot)"]
    with pytest.raises(tvr.UsageError, match="one store is scored"):
        tvr.evaluate(run, zero_shot="all")
    with pytest.raises(tvr.UsageError, match="no 'hcmi' was scored"):
        found.named("hcmi")


def test_scores_of_another_system_are_ranked(run: tvr.Run) -> None:
    scores = np.array([[0.1, 0.9], [0.8, 0.7]], np.float32)
    found = tvr.evaluate(matrix=scores, texts={"red": "b", "blue": "a"}, videos=["a", "b"], intervals=True)
    assert (found.t2v.recall(1), found.v2t.recall(1)) == (100.0, 100.0)
    assert "scores as given, plain scores" in str(found)
    assert "scores: an array" in str(found)
    with pytest.raises(tvr.UsageError, match="a matrix is scored alone: leave out the runs, split"):
        tvr.evaluate(run, matrix=scores, split="val")


def test_hits_are_those_of_the_command(run: tvr.Run, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "the clip that is called b"
    hits = tvr.search(run, text, top_k=3)
    told = json.loads(typed("search", text, "--run", run.folder, "--top-k", "3", "--json", cwd=place).out)
    assert [(hit.video_id, hit.seconds, str(hit.path)) for hit in hits] == [
        (one["video"], one["frame_seconds"], one["path"]) for one in told["hits"]
    ]
    assert str(hits).splitlines()[0].split() == ["score", "video", "moment", "file"]
    shown = hits._repr_html_()
    assert shown.count("data:image/png;base64,") == 3
    assert "&lt;b&gt;that&lt;/b&gt;" in shown and "<b>that" not in shown
    opened = tvr.searching._LAST[0].finder
    assert [hit.video_id for hit in tvr.search(run, text, top_k=3)] == [hit.video_id for hit in hits]
    assert tvr.searching._LAST[0].finder is opened, "it stays open"
    alike = tvr.search(run, video=place / "clips" / "d.mp4", top_k=1)
    assert alike[0].video_id == "d"
    assert len(tvr.open_finder(run, split="train").search(text, top_k=10)) == 7
    with pytest.raises(tvr.UsageError, match="one query at a time"):
        tvr.search(run, text, video=place / "clips" / "d.mp4")
    with pytest.raises(tvr.UsageError, match="give a video or a picture"):
        tvr.search(run)
    with pytest.raises(tvr.UsageError, match="the text is empty"):
        tvr.search(run, " ")


def test_a_store_goes_out_and_comes_back(store: tvr.Store, tmp_path: Path) -> None:
    out = tvr.export(store, "parquet", tmp_path / "out", progress=False)
    assert (out.videos, out.texts) == (10, 10)
    back = tvr.import_features("parquet", str(tmp_path / "out"), workspace=tmp_path / "w", progress=False)
    assert back.video_ids == store.video_ids
    assert all(np.array_equal(back.frames(i), store.frames(i)) for i in store)
    assert back.captions("c") == store.captions("c")
    with pytest.raises(tvr.UsageError, match="layout"):
        tvr.export(store, "parqet", tmp_path / "other")
    with pytest.raises(tvr.UsageError, match="--fps must be above 0"):
        tvr.import_features("npy", tmp_path, fps=0)


def test_keywords_are_called_as_options() -> None:
    """Every option of a command is a keyword, but those that are for a person at a terminal; and nothing else is."""
    for command, options, own, apart in (
        (extract_module.extract, ExtractOptions, {"progress"}, {"dataset"}),
        (import_module.import_features, ImportOptions, {"progress"}, {"layout", "path"}),
        (export_module.export, ExportOptions, {"progress"}, {"store", "layout", "path"}),
        (train_module.train_head, TrainOptions, {"progress"}, {"store"}),
        (
            eval_module.eval_,
            EvaluateOptions,
            set[str](),
            {"runs", "dataset", *OF_REPORTS},
        ),
        (search_module.search, SearchOptions, set[str](), {"words", "run", "dataset", "zero_shot", "html"}),
    ):
        keywords = set(get_type_hints(options)) - own
        assert keywords == set(option_names(command)) - BESIDE_A_PROGRAM - apart, command.__name__


def option_names(command: Any) -> list[str]:
    """Of each option, without the dashes and with ``_`` between its words."""
    hints = get_type_hints(command, include_extras=True)
    names: list[str] = []
    for parameter in inspect.signature(command).parameters:
        infos = [info for info in get_args(hints[parameter]) if isinstance(info, typer.models.OptionInfo)]
        # In an annotation the first name of an option is where its default would stand.
        words = [word for info in infos for word in (info.default, *(info.param_decls or ()))]
        declared = [word for word in words if isinstance(word, str) and word.startswith("--")]
        names.append(declared[0].removeprefix("--").replace("-", "_") if declared else parameter)
    return ["as_json" if name == "json" else name for name in names]


ROOT = Path(__file__).resolve().parents[2]


def python_of(document: str) -> str:
    """Its first block of Python that imports tvr."""
    blocks = re.findall(
        r"```python\n(.*?)```", (ROOT / document).read_text(encoding="utf-8"), flags=re.DOTALL
    )
    return next(block for block in blocks if "import tvr" in block)


def test_documents_show_the_same_five_lines() -> None:
    assert tvr.__doc__ is not None
    shown = inspect.cleandoc(tvr.__doc__).split("\n\n")[2]
    expected = ast.dump(ast.parse(inspect.cleandoc(shown)))
    for document in ("README.md", "docs/python.md"):
        assert ast.dump(ast.parse(python_of(document))) == expected, document


def test_these_five_lines_run(place: Path) -> None:
    """As they stand, with generated clips in the place of DiDeMo and a quicker encoder."""
    lines = python_of("README.md").replace('"didemo", root="data/didemo"', '"folder", root="clips"')
    lines = lines.replace('"ViT-B-32"', '"tvr-storyboard"')
    assert sum(isinstance(node, ast.stmt) for node in ast.parse(lines).body) == 5
    done = subprocess.run(
        [sys.executable, "-c", lines], capture_output=True, text=True, check=False, cwd=place
    )
    assert done.returncode == 0, done.stderr
    assert "mean_pool (zero-shot)" in done.stdout
    assert done.stdout.count(".mp4") == 5


def test_importing_it_is_quick_and_loads_nothing() -> None:
    code = (
        "import sys, time; t = time.perf_counter(); import tvr; dir(tvr); t = time.perf_counter() - t; "
        "print(t, *sorted({'torch', 'numpy', 'h5py', 'av', 'open_clip', 'tqdm'} & set(sys.modules)))"
    )
    seconds = []
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        taken, *loaded = done.stdout.split()
        assert loaded == []
        seconds.append(float(taken))
    assert min(seconds) < 0.1
    assert set(dir(tvr)) == set(tvr.__all__)
    assert all(getattr(tvr, name) is not None for name in tvr.__all__)
