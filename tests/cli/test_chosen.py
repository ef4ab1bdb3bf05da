"""Which store and which run bare commands take, and what they say of it."""

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from tvr.cli.input.chosen_run import (
    INDEXED,
    begun_run,
    chosen_runs,
    named_run,
    needed_run,
    new_run,
    taken_run,
)
from tvr.cli.input.chosen_store import begun_store, taken_store
from tvr.cli.input.offered_stores import captions_offered
from tvr.cli.main import app
from tvr.cli.serve import serve
from tvr.data.contracts.errors import DataError, StoreError, UsageError
from tvr.heads.features.from_store import features_of
from tvr.pipeline.store.generations.record import load_manifest
from tvr.pipeline.store.reader import FeatureStore
from tvr.pipeline.workspace import Workspace
from typer.main import get_command

from ..fixtures.generated import generated_store
from ..fixtures.shell import tvr

QUICK = ("--set", "layers=1", "--epochs", "1", "--batch-size", "16", "--device", "cpu")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a workspace of two data sets: ``old``, with a finished run, and ``new``, without."""
    folder = tmp_path_factory.mktemp("made")
    features = folder / "tvr-workspace" / "features"
    generated_store(features / "old" / "model")
    of_dataset(features / "old" / "model", "old")
    shutil.copytree(features / "old" / "model", features / "new" / "model")
    of_dataset(features / "new" / "model", "new")
    answer = tvr("train-head", "--dataset", "old", *QUICK, cwd=folder)
    assert answer.code == 0, answer.err
    assert "old/model (toy-model random, " in answer.err
    aged(features / "old" / "model", 100)
    return folder


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Workspace:
    shutil.copytree(made / "tvr-workspace", tmp_path / "tvr-workspace")
    return Workspace(tmp_path / "tvr-workspace")


def of_dataset(store: Path, name: str) -> None:
    """Let a store be of another data set."""
    manifest = load_manifest(store)
    object.__setattr__(manifest, "dataset", name)
    ids = json.loads((store / "splits.json").read_text())
    manifest.save(store, ids)


def without_captions(store: Path) -> None:
    """Let a store say that it has none."""
    manifest = load_manifest(store)
    object.__setattr__(manifest, "num_texts", 0)
    manifest.save(store, json.loads((store / "splits.json").read_text()))


def aged(folder: Path, seconds: float) -> None:
    """Let everything in a folder be so much older."""
    for file in folder.rglob("*"):
        then = file.stat().st_mtime - seconds
        os.utime(file, (then, then))


def copy_of_run(
    place: Workspace, dataset: str, name: str = "seq_transformer-1", *, finished: bool = True
) -> Path:
    """A run of a data set's store, made of the one that was trained."""
    run = place.run_folder(dataset, name)
    shutil.copytree(place.run_folder("old", "seq_transformer-1"), run)
    record = json.loads((run / "config.json").read_text())
    record["store"]["dataset"] = dataset
    (run / "config.json").write_text(json.dumps(record))
    if not finished:
        (run / "result.json").unlink()
    return run


def test_the_newest_store_decides_and_not_the_newest_run(
    place: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = taken_run(place, None, None, None)
    assert (taken.run, taken.store) == (None, place.root / "features" / "new" / "model")
    assert "new/model (toy-model random, " in (said := capsys.readouterr().err)
    assert "no finished run: zero-shot; --dataset, --store or --run choose others\n" in said
    assert len(said.splitlines()) == 1
    run = copy_of_run(place, "new")
    assert taken_run(place, None, None, None).run == run
    assert "run seq_transformer-1 (seq_transformer, " in (said := capsys.readouterr().err)
    assert said.endswith("; --dataset, --store or --run choose others, --zero-shot takes none\n")
    taken_run(place, None, None, None, wording=INDEXED)
    said = capsys.readouterr().err
    assert "or the name of a run choose others, --zero-shot takes none\n" in said, "index has no --run"
    needed_run(place, None, None)
    assert capsys.readouterr().err.endswith("; --dataset, --store or the name of a run choose others\n")
    assert taken_run(place, None, None, "old").run == place.run_folder("old", "seq_transformer-1")


def test_eval_fails_without_a_run_of_the_newest_store_and_names_the_newest_of_another(
    place: Workspace,
) -> None:
    with pytest.raises(UsageError, match=r"no finished run on .*new/model") as error:
        needed_run(place, None, None)
    assert "Train one: tvr train-head --store" in str(error.value)
    _, train, score, other = str(error.value).splitlines()
    on = f"--store {place.root / 'features' / 'new' / 'model'} --workspace {place.root}"
    assert train == f"Train one: tvr train-head {on}"
    assert score == f"Or score without: tvr eval --zero-shot mean_pool {on}"
    assert other.endswith(f": tvr eval {place.run_folder('old', 'seq_transformer-1')}")


def test_eval_fails_to_name_a_run_whose_features_are_gone(
    place: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(place.root / "features" / "old")
    config = place.run_folder("old", "seq_transformer-1") / "config.json"
    config.write_text(re.sub(r'"path": "[^"]*"', '"path": "/nowhere/old/model"', config.read_text()))
    with pytest.raises(UsageError) as error:
        needed_run(place, None, None)
    lay = "The features of run old/seq_transformer-1 lay at "
    assert str(error.value).splitlines()[-1].startswith(lay)
    for dataset, asked in (("old", None), (None, Path("old/model"))):
        with pytest.raises(UsageError, match=f"\n{lay}"):
            taken_run(place, None, asked, dataset)
    with pytest.raises(UsageError) as error:
        taken_run(place, None, None, "odl")
    assert lay not in str(error.value), "another one was asked for"
    copy_of_run(place, "new")
    aged(copy_of_run(place, "new", "older"), 50)
    gone = copy_of_run(place, "new", "gone")
    record = json.loads((gone / "config.json").read_text())
    record["store"]["max_seconds"] = 7.0
    (gone / "config.json").write_text(json.dumps(record))
    capsys.readouterr()
    runs, store = chosen_runs(place, [], None, None, every=True)
    assert ([run.name for run in runs], store) == (["older", "seq_transformer-1"], None)
    assert "note: passed over, as their features are gone: gone\n" in capsys.readouterr().err


def test_a_store_with_captions_is_offered_in_place_of_one_without(
    place: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = (place.root / "features" / name / "model" for name in ("old", "new"))
    without_captions(new)
    monkeypatch.setattr("sys.argv", ["tvr", "train-head", "--head", "wti"])
    with pytest.raises(DataError) as error, captions_offered(place):
        features_of(FeatureStore.open(new), "train")
    wrong, offered = str(error.value).splitlines()
    assert wrong.startswith(f"{new} has no captions")
    assert offered == f"The newest store with captions is old/model: tvr train-head --head wti --store {old}"
    shutil.rmtree(place.run_folder("old", "seq_transformer-1"))
    with pytest.raises(DataError) as error:
        needed_run(place, None, None)
    (*_, offered) = str(error.value).splitlines()
    on = f"--store {old} --workspace {place.root}"
    assert offered == f"The newest store with captions is old/model: tvr train-head {on}"


@pytest.mark.parametrize("typed", [("--dataset", "new"), ("--dataset=new",)])
def test_the_data_set_without_captions_is_left_out_of_what_is_offered(
    place: Workspace, monkeypatch: pytest.MonkeyPatch, typed: tuple[str, ...]
) -> None:
    """Beside a store of another one it would be refused."""
    old, new = (place.root / "features" / name / "model" for name in ("old", "new"))
    without_captions(new)
    monkeypatch.setattr("sys.argv", ["tvr", "train-head", *typed, "--head", "wti"])
    with pytest.raises(DataError) as error, captions_offered(place):
        features_of(FeatureStore.open(new), "train")
    assert str(error.value).endswith(f": tvr train-head --head wti --store {old}")


def test_a_store_with_captions_fails_to_be_offered_where_there_is_none(place: Workspace) -> None:
    for name in ("old", "new"):
        without_captions(place.root / "features" / name / "model")
    with pytest.raises(DataError) as error, captions_offered(place):
        features_of(FeatureStore.open(place.root / "features" / "new" / "model"), "no such split")
    assert "The newest" not in str(error.value)
    assert "has no captions" in str(error.value)


def test_a_run_that_was_left_is_passed_over_and_named(
    place: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    finished, left = copy_of_run(place, "new"), copy_of_run(place, "new", "wti-7", finished=False)
    aged(finished, 50)
    assert taken_run(place, None, None, None).run == finished
    note = "note: not finished: run new/wti-7 (stopped after 1 of 1 epoch); to go on: tvr train-head --run "
    assert note + str(left) in capsys.readouterr().err
    aged(left, 100)
    taken_run(place, None, None, None)
    assert "wti-7" not in capsys.readouterr().err


def test_who_names_an_unfinished_run_is_told(place: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    left = copy_of_run(place, "new", "wti-7", finished=False)
    assert taken_run(place, Path("wti-7"), None, None).run == left
    assert f"note: {left} is not finished: stopped after 1 of 1 epoch" in capsys.readouterr().err


def test_a_store_whose_extraction_did_not_end_is_not_the_newest(
    place: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    new = place.root / "features" / "new" / "model"
    next(new.glob("video-*.json")).unlink()
    assert taken_store(place, None, None) == place.root / "features" / "old" / "model"
    assert "new/model of " in (said := capsys.readouterr().err)
    assert "1 of 2 shards to come" in said
    assert taken_store(place, None, None, complete=False) == new
    assert taken_store(place, None, "new") == new


def test_features_without_a_store_of_the_workspace(
    place: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.move(place.root / "features", tmp_path / "elsewhere")
    taken = taken_run(place, None, None, None)
    assert (taken.run, taken.store) == (place.run_folder("old", "seq_transformer-1"), None)
    assert "; --run chooses another" in capsys.readouterr().err
    needed_run(place, None, None)
    assert "; the name of a run chooses another" in capsys.readouterr().err, "eval has no --run"


def test_a_run_of_another_data_set_fails(place: Workspace) -> None:
    run = Path("seq_transformer-1")
    assert taken_run(place, run, None, "old").run == place.run_folder("old", "seq_transformer-1")
    with pytest.raises(UsageError, match=r"was trained on old, and --dataset says new: .* with --store"):
        taken_run(place, place.run_folder("old", "seq_transformer-1"), None, "new")


def test_a_store_of_another_data_set_fails(place: Workspace) -> None:
    """Whether it is named by itself or by its folder, and whether there is such a data set or not."""
    old = place.root / "features" / "old" / "model"
    for dataset in ("new", "odl"):
        wrong = f"store old/model is of old, and --dataset says {dataset}: leave --dataset out, or name another store"
        for name in (Path("old/model"), Path("old"), old):
            with pytest.raises(UsageError, match=wrong):
                taken_store(place, name, dataset)
            with pytest.raises(UsageError, match=wrong):
                taken_run(place, None, name, dataset)
            with pytest.raises(UsageError, match=wrong):
                taken_run(place, Path("seq_transformer-1"), name, dataset)
    assert taken_store(place, old, "old") == old
    run = place.run_folder("old", "seq_transformer-1")
    new = place.root / "features" / "new" / "model"
    assert taken_run(place, run, new, "new").store == new, "it is used on features of that data set"


WITH_STORE = {
    "compact": (),
    "eval": ("--zero-shot", "mean_pool"),
    "import-checkpoint": ("x.bin", "--head", "wti"),
    "index": (),
    "inspect": (),
    "search": ("a red car",),
    "serve": ("--port", "0"),
    "sweep": ("head=wti",),
    "train-head": (),
    "verify": (),
}
"""Every command that takes --store and --dataset, with what else it needs."""


def test_every_command_refuses_a_store_of_another_data_set(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group: Any = get_command(app)
    both = set[str]()
    for name in group.commands:
        params = group.commands[name].loaded().params
        if {"--store", "--dataset"} <= {option for each in params for option in each.opts}:
            both.add(name)
    # These make the store, of the data set that they name.
    assert both == {*WITH_STORE, "extract", "import-features"}
    monkeypatch.chdir(made)
    for name, words in WITH_STORE.items():
        line = [name, *words, "--store", "old/model", "--dataset", "misspelt"]
        with pytest.raises(UsageError, match="store old/model is of old, and --dataset says misspelt"):
            app(line, prog_name="tvr", standalone_mode=False)


def test_what_was_typed_is_not_advised(place: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    for dataset, store, others in (
        (None, None, "--dataset, --store or --run choose others"),
        ("old", None, "--store or --run choose others, --zero-shot takes none"),
        (None, Path("old/model"), "--run chooses another, --zero-shot takes none"),
        ("old", Path("old/model"), "--run chooses another, --zero-shot takes none"),
    ):
        taken_run(place, None, store, dataset)
        assert f"; {others}" in capsys.readouterr().err.splitlines()[0]
    taken_store(place, None, "old")
    assert capsys.readouterr().err.endswith("; --store chooses another\n")


def test_a_folder_without_a_store_or_a_run_hides_none_of_its_name(
    place: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as the archive from which the store was extracted, in the folder in which one types."""
    monkeypatch.chdir(tmp_path)
    old, run = place.root / "features" / "old" / "model", place.run_folder("old", "seq_transformer-1")
    (place.root / "features" / "new" / "model").rename(place.root / "features" / "new" / "my clips [x]")
    for name in ("my clips [x]", "old", "seq_transformer-1", "other"):
        Path(name).mkdir()
    renamed = place.root / "features" / "new" / "my clips [x]"
    assert taken_store(place, Path("my clips [x]"), None) == renamed
    assert begun_store(place, Path("my clips [x]"), "new") == renamed
    assert taken_store(place, Path("old"), None) == old
    assert named_run(place, Path("seq_transformer-1")) == run
    shutil.copytree(old, "old", dirs_exist_ok=True)
    shutil.copytree(run, "seq_transformer-1", dirs_exist_ok=True)
    assert taken_store(place, Path("old"), None) == Path("old"), "this one holds a store"
    assert named_run(place, Path("seq_transformer-1")) == Path("seq_transformer-1")


def test_a_folder_without_a_store_or_a_run_fails_by_its_name(
    place: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("other").mkdir()
    with pytest.raises(StoreError, match=r"no feature store at other \(no store.json\)"):
        FeatureStore.open(taken_store(place, Path("other"), None))
    with pytest.raises(UsageError, match=r"other is not a run folder: it has no config\.json"):
        taken_run(place, Path("other"), None, "old")


def test_serve_takes_a_workspace_or_a_run_and_fails_with_both_names(place: Workspace, tmp_path: Path) -> None:
    nor = f"Nor is it a workspace, which `tvr serve` takes too: {tmp_path}/"
    (tmp_path / "empty").mkdir()
    for name, what in (("nothing", "unknown run '"), ("empty", "is not a run folder")):
        with pytest.raises(UsageError) as error:
            serve(tmp_path / name, workspace=place.root, port=0)
        assert what in str(error.value)
        assert nor in str(error.value)


def test_names_stand_for_folders(place: Workspace) -> None:
    old, new = place.run_folder("old", "seq_transformer-1"), copy_of_run(place, "new")
    assert named_run(place, Path("old/seq_transformer-1")) == old
    assert named_run(place, Path("seq_transformer-1"), "new") == new
    assert named_run(place, old) == old
    assert taken_store(place, Path("old"), None) == place.root / "features" / "old" / "model"
    assert taken_store(place, Path("old/model"), None) == place.root / "features" / "old" / "model"
    assert begun_run(place, "old/seq_transformer-1", None) == old
    assert begun_run(place, "third", None) is None
    assert new_run(place, "third", "old") == place.run_folder("old", "third")
    assert new_run(place, "./third", "old") == Path("third")


def test_names_fail_where_none_or_several_are_meant(place: Workspace) -> None:
    copy_of_run(place, "new")
    with pytest.raises(UsageError, match="write one of new/seq_transformer-1, old/seq_transformer-1"):
        named_run(place, Path("seq_transformer-1"))
    with pytest.raises(
        UsageError, match=r"unknown run 'old/seq_transformer-2'. Did you mean 'old/seq_transformer-1'"
    ):
        named_run(place, Path("old/seq_transformer-2"))
    with pytest.raises(UsageError, match=r"unknown store 'odl'. Did you mean 'old'"):
        taken_store(place, Path("odl"), None)
    with pytest.raises(StoreError, match="no features in"):
        taken_store(Workspace(place.root / "none"), None, None)


def test_train_head_goes_on_by_the_name_of_the_run_alone(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "tvr-workspace", tmp_path / "tvr-workspace")
    again = tvr("train-head", "--run", "old/seq_transformer-1", cwd=tmp_path)
    assert again.code == 0, again.err
    assert "finished before" in again.out
    assert "of 600)" in again.out
    assert "tvr-workspace/runs/old/seq_transformer-1" in again.out
    other = tvr("train-head", "--run", "old/seq_transformer-1", "--head", "wti", cwd=tmp_path)
    assert other.code == 2
    assert "holds a run of head seq_transformer, not of wti" in other.err
    assert len(other.err.splitlines()) == 1


def test_a_run_that_cannot_begin_leaves_no_folder(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "tvr-workspace", tmp_path / "tvr-workspace")
    answer = tvr("train-head", "--dataset", "new", *QUICK, "--train", "wandb=x", cwd=tmp_path)
    assert answer.code == 2
    assert "pip install 'tvr[wandb]'" in answer.err
    assert not any((tmp_path / "tvr-workspace" / "runs").glob("new/*"))


def test_a_store_is_named_as_a_run_is(place: Workspace) -> None:
    """With its data set, by itself, or by its data set; where an extraction goes, too."""
    folder = place.root / "features" / "new" / "renamed"
    (place.root / "features" / "new" / "model").rename(folder)
    for name in ("renamed", "new/renamed", "new"):
        assert taken_store(place, Path(name), None) == folder
    for name in ("renamed", "new/renamed"):
        assert begun_store(place, Path(name), "new") == folder
    assert begun_store(place, Path("new"), "new") == Path("new"), "where a new one goes is a path"
    assert begun_store(place, None, "new") is None


def test_a_store_is_named_as_a_run_is_fails(place: Workspace) -> None:
    with pytest.raises(
        UsageError, match="several data sets have a store 'model': write one of new/model, old/model"
    ):
        taken_store(place, Path("model"), None)
    (place.root / "features" / "new" / "model").rename(place.root / "features" / "new" / "renamed")
    with pytest.raises(UsageError, match=r"unknown store 'renmaed'. Did you mean 'renamed'"):
        taken_store(place, Path("renmaed"), None)
    gone = place.root / "features" / "new" / "model"
    with pytest.raises(
        UsageError, match=r"there is no store at .*/new/model: it was renamed, moved or deleted"
    ):
        taken_store(place, gone.absolute(), None)


def test_a_name_that_fits_several_stores_says_which_is_taken(
    place: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    new = place.root / "features" / "new"
    shutil.copytree(new / "model", new / "older")
    aged(new / "older", 50)
    assert taken_store(place, Path("new"), None) == new / "model"
    said = capsys.readouterr().err
    assert said.startswith("new/model (toy-model random, ")
    assert said.endswith("; new may also be new/older\n")
    assert taken_store(place, Path("new/older"), None) == new / "older"
    assert capsys.readouterr().err == ""


def test_where_an_extraction_goes_fails_where_a_name_fits_several(place: Workspace) -> None:
    """A new folder beside the workspace is what nobody means who names one of its stores."""
    for dataset in ("old", "new"):
        folder = place.root / "features" / dataset / "model"
        assert begun_store(place, Path("model"), dataset) == folder
    with pytest.raises(UsageError, match="write one of new/model, old/model for --store, or for a new one /"):
        begun_store(place, Path("model"), "third")
