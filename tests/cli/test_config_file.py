"""``--config FILE``: options from a file, and the files by which runs, sweeps and stores are repeated."""

import shutil
import tomllib
from pathlib import Path

import pytest
from tvr.cli.input.config_file import with_file
from tvr.cli.main import LazyCommand
from tvr.data.contracts.errors import UsageError
from tvr.data.contracts.toml_text import toml_of
from tvr.heads.runs.find_store import renamed_store
from tvr.pipeline.video.sample_clip import write_sample
from tvr.pipeline.workspace import Workspace

from ..fixtures.generated import generated_store
from ..fixtures.shell import tvr

STORE = Path("tvr-workspace/features/toy/model")
RUN = Path("tvr-workspace/runs/toy/first")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a workspace that holds one run, all of whose options came from a file."""
    folder = tmp_path_factory.mktemp("place")
    generated_store(folder / STORE)
    (folder / "typed.toml").write_text(
        'head = "seq_transformer"\nepochs = 3\nbatch_size = 16\nlr = 1e-3\ntrain = ["seed=3", "ema=0.5"]\n'
        "[set]\nlayers = 1\n"
    )
    answer = tvr("train-head", "--config", "typed.toml", "--run", "first", "--epochs", "1", cwd=folder)
    assert answer.code == 0, answer.err
    return folder


def test_a_run_repeats_itself_from_its_own_file_in_another_workspace(place: Path, tmp_path: Path) -> None:
    written = tomllib.loads((place / RUN / "run.toml").read_text())
    assert written["store"] == str((place / STORE).resolve())
    assert written["set"]["layers"] == 1
    assert {"epochs": 1, "batch_size": 16, "lr": 1e-3, "seed": 3, "ema": 0.5}.items() <= written[
        "train"
    ].items()
    assert not {"device", "wandb"} & written["train"].keys()
    again = tvr("train-head", "--config", place / RUN / "run.toml", "--run", "first", cwd=tmp_path)
    assert again.code == 0, again.err
    assert (tmp_path / RUN / "head.safetensors").read_bytes() == (
        place / RUN / "head.safetensors"
    ).read_bytes()
    assert (tmp_path / RUN / "run.toml").read_bytes() == (place / RUN / "run.toml").read_bytes()


def test_what_is_typed_wins_key_by_key(place: Path, tmp_path: Path) -> None:
    """A short form too, over the table that it is short for; and a data set over the file's store."""
    generated_store(tmp_path / STORE)
    line = ["--config", place / RUN / "run.toml", "--dataset", "toy", "--run", "first", "--seed", "4"]
    answer = tvr("train-head", *line, "--train", "ema=0", cwd=tmp_path)
    assert answer.code == 0, answer.err
    written = tomllib.loads((tmp_path / RUN / "run.toml").read_text())
    assert written["store"] == str((tmp_path / STORE).resolve())
    assert {"seed": 4, "ema": 0.0, "lr": 1e-3, "epochs": 1}.items() <= written["train"].items()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("haed = 'hcmi'", "unknown option 'haed'. Did you mean 'head'?"),
        ("epochs = 'many'", "epochs must be a whole number, got 'many'"),
        ("epochs = true", "epochs must be a whole number, got True"),
        ("json = 1", "json must be true or false, got 1"),
        ("store = 3", "store must be a path in quotes, got 3"),
        ("set = 'layers=1'", "set must be a table of settings, or a list of"),
        ("set.training.lr = 1", "set.training must be a text, got {'lr': 1}"),
        ("config = 'other.toml'", "unknown option 'config'"),
        ("epochs 3", "is not TOML"),
        ("a = '\xff'", "is not TOML"),
        (None, ": there is no such file. Name a TOML file"),
    ],
)
def test_a_wrong_file_fails(text: str | None, message: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "my.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError) as refused:
        LazyCommand("train-head").make_context("train-head", [f"--config={tmp_path / 'my.toml'}"])
    assert message in str(refused.value)
    assert str(tmp_path / "my.toml") in str(refused.value)


def test_settings_of_a_head_fail_to_reach_another_one_that_is_typed(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text("head = 'hcmi'\nset.levels = 'word,sentence'\n")
    answer = tvr(
        "train-head", "--config", "run.toml", "--head", "wti", "--set", "word_layers=1", cwd=tmp_path
    )
    assert answer.err.startswith("note: without `set` of run.toml, which is of the head hcmi\n")
    assert (answer.code, "no features in" in answer.err) == (4, True), "wti's own settings are good"
    same = tvr("train-head", "--config", "run.toml", "--head", "hcmi", cwd=tmp_path)
    assert "note: without" not in same.err


@pytest.mark.parametrize(
    ("typed", "left_out", "kept"),
    [
        (["--dataset", "msrvtt"], ["root", "data"], ["--model=ViT-B-32", "--pretrained=openai"]),
        (["--dataset", "msrvtt", "--root", "there"], ["data"], ["--model=ViT-B-32", "--pretrained=openai"]),
        (["--model", "words"], ["pretrained"], ["--dataset=folder", "--root=here", "--data=name=mine"]),
        (["--dataset", "folder", "--model", "ViT-B-32"], [], None),
    ],
)
def test_what_belongs_to_another_data_set_or_model_fails_to_reach_the_typed_one(
    typed: list[str],
    left_out: list[str],
    kept: list[str] | None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "extract.toml"
    file.write_text(
        "dataset = 'folder'\nroot = 'here'\nmodel = 'ViT-B-32'\npretrained = 'openai'\ndata.name = 'mine'\n"
    )
    command = LazyCommand("extract").loaded()
    words = with_file(command, command.context_class(command), line := ["--config", str(file), *typed])
    if kept is None:
        kept = ["--root=here", "--pretrained=openai", "--data=name=mine"]
    assert sorted(words[: -len(line)]) == sorted(kept)
    said = capsys.readouterr().err
    assert [key for key in ("root", "data", "pretrained") if f"note: without `{key}` of" in said] == left_out


@pytest.mark.parametrize("typed", [["--grid", "head=wti"], ["head=wti"], ["--set", "head=wti"]])
def test_settings_of_another_head_fail_to_reach_a_sweeps_typed_one(
    typed: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "sweep.toml"
    file.write_text(
        "grid.head = ['hcmi']\ngrid.levels = ['frame-word;']\ngrid.seed = ['0', '1']\nset.layers = '1'\n"
        "set.phrases_from = 'words'\ntrain.epochs = 2\n"
    )
    command = LazyCommand("sweep").loaded()
    words = with_file(command, command.context_class(command), line := ["--config", str(file), *typed])
    kept = ["--grid=seed=0,1", "--set=layers=1", "--train=epochs=2"]
    assert sorted(words[: -len(line)]) == sorted(kept)
    said = capsys.readouterr().err
    assert said.count("which is of the head hcmi") == 2
    assert "note: without `grid.levels` of" in said and "note: without `set.phrases_from` of" in said


@pytest.mark.parametrize(
    ("command", "text", "owner"),
    [
        ("sweep", "head = 'hcmi'", "train-head"),
        ("train-head", "grid.head = ['hcmi']", "sweep"),
        ("train-head", "model = 'words'", "extract"),
    ],
)
def test_a_file_of_another_command_fails_and_is_called_so(
    command: str, text: str, owner: str, tmp_path: Path
) -> None:
    (tmp_path / "my.toml").write_text(text)
    answer = tvr(command, "--config", "my.toml", cwd=tmp_path)
    assert answer.code == 2
    assert f"is no option of this command: the file is one of `tvr {owner}`" in " ".join(answer.err.split())


def test_a_wrong_setting_in_a_file_fails_as_if_typed(tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text("set = {lairs = 1}")
    answer = tvr("train-head", "--config", "my.toml", cwd=tmp_path)
    assert answer.code == 2, answer.err
    assert "unknown setting of seq_transformer 'lairs'" in answer.err
    assert "Traceback" not in answer.err


@pytest.mark.slow
def test_a_sweep_repeats_itself(place: Path, tmp_path: Path) -> None:
    line = [
        "--grid",
        "layers=1",
        "seed=0,1",
        "--set",
        "epochs=1",
        "--train",
        "batch_size=16",
        "--workers",
        "1",
    ]
    first = tvr("sweep", *line, "--folder", tmp_path / "first", cwd=place)
    assert first.code == 0, first.err
    file = tmp_path / "first" / "sweep.toml"
    written = tomllib.loads(file.read_text())
    assert written["grid"] == {"head": ["seq_transformer"], "layers": ["1"], "seed": ["0", "1"]}
    assert (written["train"]["epochs"], written["train"]["lr"]) == ("1", 5e-4)
    assert written["train"]["batch_size"] == "16"
    assert "set" not in written, "what --set says of the training stands where train-head has it"
    line = ["--config", file, "--workers", "1", "--folder", "again", "--set", "epochs=1"]
    again = tvr("sweep", "--grid", "layers=1", "seed=1", *line, cwd=tmp_path)
    assert again.code == 0, again.err
    (trial,) = (tmp_path / "again" / "trials").iterdir()
    one = tmp_path / "first" / "trials" / trial.name / "head.safetensors"
    assert (trial / "head.safetensors").read_bytes() == one.read_bytes()


@pytest.fixture
def renamed(place: Path, tmp_path: Path) -> Path:
    """A copy whose store has another folder now than its run's file says."""
    shutil.copytree(place / "tvr-workspace", tmp_path / "tvr-workspace")
    file = tmp_path / RUN / "run.toml"
    file.write_text(file.read_text().replace(str(place), str(tmp_path)))
    (tmp_path / STORE).rename(tmp_path / STORE.with_name("panda"))
    return tmp_path


def test_a_file_finds_the_store_that_was_renamed(renamed: Path) -> None:
    """As a run finds its own; of a sweep too, which writes the same two lines."""
    said = f"note: the store {renamed / STORE} of {RUN / 'run.toml'} is {STORE.with_name('panda')} now\n"
    answer = tvr("train-head", "--config", RUN / "run.toml", cwd=renamed)
    assert (answer.code, said in answer.err) == (0, True), answer.err
    lines = [
        line for line in (renamed / RUN / "run.toml").read_text().splitlines() if line.startswith("store")
    ]
    (renamed / "sweep.toml").write_text("\n".join([*lines, '[grid]\nlayers = ["1"]\n']))
    quick = ("--set", "epochs=1", "--train", "batch_size=16", "--workers", "1", "--folder", "sweep")
    swept = tvr("sweep", "--config", "sweep.toml", *quick, cwd=renamed)
    assert (swept.code, "of sweep.toml is" in swept.err) == (0, True), swept.err
    written = tomllib.loads((renamed / "sweep" / "sweep.toml").read_text())
    assert f'store-digest = "{written["store-digest"]}"' in lines
    assert written["store"] == str(renamed / STORE.with_name("panda"))


def test_a_file_finds_the_store_fails_where_none_or_two_are_it(renamed: Path) -> None:
    """A file of an earlier version says nothing to know it by."""
    file, workspace = renamed / RUN / "run.toml", Workspace(renamed / "tvr-workspace")
    text = file.read_text()
    digest = tomllib.loads(text)["store-digest"]
    assert renamed_store(workspace, digest) == renamed / STORE.with_name("panda")
    assert renamed_store(workspace, "another") is None
    shutil.copytree(renamed / STORE.with_name("panda"), renamed / STORE.with_name("copy"))
    assert renamed_store(workspace, digest) is None
    for written in (text, text.replace(f'store-digest = "{digest}"\n', "")):
        file.write_text(written)
        answer = tvr("train-head", "--config", RUN / "run.toml", cwd=renamed)
        assert answer.code == 2
        assert f"there is no store at {renamed / STORE}: it was renamed, moved or deleted" in answer.err


def test_extract_needs_nothing_but_a_file(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    write_sample(tmp_path / "clips" / "a.mp4")
    (tmp_path / "my.toml").write_text(
        'dataset = "folder"\nroot = "clips"\nmodel = "tvr-storyboard"\npatches = true\nnum_frames = 3\n'
        "decoding_processes = 1\n[data]\nname = 'mine'\n"
    )
    first = tvr("extract", "--config", "my.toml", "--store", "store", "--max-failed", "5", cwd=tmp_path)
    assert first.code == 0, first.err
    written = tomllib.loads((tmp_path / "store" / "extract.toml").read_text())
    assert written["root"] == str(tmp_path / "clips")
    assert (written["data"], written["num-frames"], written["patches"]) == ({"name": "mine"}, 3, True)
    shutil.copytree(tmp_path / "store", tmp_path / "copy")
    before = {
        path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in (tmp_path / "copy").iterdir()
    }
    line = ("--config", "store/extract.toml", "--store", "copy", "--device", "cpu")
    same = tvr("extract", *line, cwd=tmp_path)
    assert same.code == 0, same.err
    after = {
        path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in (tmp_path / "copy").iterdir()
    }
    assert before == after, "other words for what is there"
    assert "0 shards" in same.out or "already there" in same.out
    again = tvr("extract", "--config", "store/extract.toml", "--store", "again", cwd=tmp_path)
    assert again.code == 0, again.err
    for name in ("extract.toml", "video-00000-of-00001.h5"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "store" / name).read_bytes()
    assert tvr("verify", "again", cwd=tmp_path).code == 0


def test_toml_comes_back_as_it_was() -> None:
    nasty = 'a "b" \\ \x00\x1f\x7f\n\u2028 \U0001f600 é'
    options = {
        "a": nasty,
        "b": 1e-05,
        "c": [1, 2.5, True],
        "d": None,
        nasty: {nasty: nasty, "e": None, "f": ()},
    }
    back = tomllib.loads(toml_of(options, "one\ntwo"))
    assert back == {"a": nasty, "b": 1e-05, "c": [1, 2.5, True], nasty: {nasty: nasty, "e": "none", "f": []}}
    assert "root" not in tomllib.loads(said := toml_of({"root": "/b\udcff"}, ""))
    assert "is not UTF-8" in said
