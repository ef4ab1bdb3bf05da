"""``tvr runs`` and ``tvr stores`` as typed."""

import json
import os
import re
import shlex
import shutil
from importlib import import_module
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from tvr.cli.input.upkeep import Upkeep
from tvr.data.contracts.errors import UsageError
from tvr.heads.runs.run_lock import run_lock
from tvr.pipeline.store.file_locks import FileLock
from tvr.pipeline.store.generations.record import load_manifest
from tvr.pipeline.store.housekeeping import delete, keep_note, note_of, rename, size_in_words

from ..fixtures.generated import generated_store
from ..fixtures.shell import tvr

QUICK = ("--set", "layers=1", "--epochs", "1", "--batch-size", "16", "--device", "cpu")
RUN = Path("tvr-workspace/runs/toy/seq_transformer-1")
STORE = Path("tvr-workspace/features/toy/model")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a workspace that holds a store and a run."""
    folder = tmp_path_factory.mktemp("made")
    generated_store(folder / STORE)
    answer = tvr("train-head", *QUICK, cwd=folder)
    assert answer.code == 0, answer.err
    return folder


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "place"))


def knows_its_store_from_here(run: Path) -> None:
    """Let a copied run not know where it was trained."""
    record = json.loads((run / "config.json").read_text())
    record["store"]["path"] = "/nowhere"
    (run / "config.json").write_text(json.dumps(record))


def test_lists(made: Path) -> None:
    (run,) = json.loads(tvr("runs", "--json", cwd=made).out)
    assert (run["name"], run["head"], run["state"]) == (
        "toy/seq_transformer-1",
        "seq_transformer",
        "finished",
    )
    assert 0 <= run["score"] <= 600
    assert run["bytes"] == sum(file.stat().st_size for file in (made / RUN).rglob("*") if file.is_file())
    shown = tvr("runs", cwd=made).out
    assert "toy/seq_transformer-1" in shown
    assert f"{run['score']:.1f} of 600" in shown
    assert "2K candidates" not in shown
    (store,) = json.loads(tvr("stores", "--json", cwd=made).out)
    assert (store["name"], store["videos"], store["texts"], store["finished"]) == ("toy/model", 80, 160, True)
    assert "toy/model" in tvr("stores", "toy", cwd=made).out


def test_a_store_that_does_not_say_how_much_its_encoder_reads_is_shown(made: Path) -> None:
    answer = tvr("inspect", STORE, cwd=made)
    assert answer.code == 0, answer.err
    assert "captions   longer than the encoder reads: truncate" in answer.out


def test_a_score_among_few_candidates_is_marked(tmp_path: Path) -> None:
    """Of five videos R@5 and R@10 are 100 whatever the head does."""
    generated_store(tmp_path / STORE, videos=10)
    remark = "* among fewer than 2K candidates, where chance alone gives R@K more than 50"
    trained = tvr("train-head", *QUICK, cwd=tmp_path)
    listed = tvr("runs", cwd=tmp_path)
    for answer in (trained, listed):
        assert (answer.code, answer.out.count("* of 600"), answer.out.count(remark)) == (0, 1, 1), answer.err
    again = json.loads(tvr("train-head", "--run", RUN, "--json", cwd=tmp_path).out)
    (run,) = json.loads(tvr("runs", "--json", cwd=tmp_path).out)
    few = [f"{way} R@{k}" for way in ("t2v", "v2t") for k in (5, 10)]
    assert run["few_candidates"] == again["few_candidates"] == few
    (tmp_path / RUN / "metrics.jsonl").write_text("damaged")
    assert tvr("runs", cwd=tmp_path).code == 0


@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize(("command", "made_of"), [("runs", RUN), ("stores", STORE)])
def test_narrow_terminals_hold_long_names(
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    made_of: Path,
    width: int,
) -> None:
    """They are folded, so that the others' days and states can still be told apart."""
    name = "one-of-mine-with-a-rather-long-name-which-tells-all-settings-2400"
    (place / made_of).rename(place / made_of.with_name(name))
    keep_note(place / made_of.with_name(name), "the one for the paper, and for its appendix too")
    console = Console(force_terminal=True, color_system=None, width=width)
    module = import_module(f"tvr.cli.{command}")
    for some in (module, import_module("tvr.cli.terminal")):
        monkeypatch.setattr(some, "out", console)
    getattr(module, command)(None, None, place / "tvr-workspace")
    shown, _, goes_on = capsys.readouterr().out.partition("next: tvr ")
    assert goes_on.startswith("eval " if command == "runs" else "inspect ")
    assert max(len(line.rstrip()) for line in shown.splitlines()) <= width
    assert "…" not in shown
    assert name in "".join(line[:30].split(" ")[0] for line in shown.splitlines())
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d", shown)
    assert "finished" in shown


def test_renamed_runs_and_stores_still_find_each_other(place: Path) -> None:
    assert tvr("runs", "seq_transformer-1", "--rename", "first", cwd=place).code == 0
    renamed = tvr("stores", "toy/model", "--rename", "other", cwd=place)
    assert renamed.code == 0, renamed.err
    assert "--store tvr-workspace/features/toy/other" in renamed.out
    again = tvr("train-head", "--run", "first", cwd=place)
    assert again.code == 0, again.err
    assert "finished before" in again.out
    assert tvr("eval", "toy/first", "--json", cwd=place).code == 0


def test_a_note_is_kept_with_a_run(place: Path) -> None:
    assert tvr("runs", "seq_transformer-1", "--note", "for [i] the talk", cwd=place).code == 0
    assert "for [i] the talk" in tvr("runs", cwd=place).out
    assert tvr("runs", "seq_transformer-1", "--note", "", cwd=place).code == 0
    assert not (place / RUN / "note.txt").exists()


def test_delete_asks_first(place: Path) -> None:
    asked = tvr("runs", "seq_transformer-1", "--delete", cwd=place)
    assert asked.code == 2
    assert "Delete run tvr-workspace/runs/toy/seq_transformer-1, " in asked.err
    assert "add --yes" in asked.err
    done = tvr("runs", "seq_transformer-1", "--delete", "--yes", cwd=place)
    assert done.out.startswith("deleted tvr-workspace/runs/toy/seq_transformer-1, ")
    assert not (place / RUN).exists()
    assert tvr("stores", "toy", "--delete", "--yes", cwd=place).out.startswith(f"deleted {STORE}, ")
    assert not (place / STORE).exists()


def test_who_deletes_a_store_is_told_which_runs_need_it(place: Path) -> None:
    knows_its_store_from_here(place / RUN)
    for number in range(2, 6):
        shutil.copytree(place / RUN, place / RUN.with_name(f"run-{number}"))
    trial = place / "tvr-workspace/sweeps/toy/trials/wti,seed=0"
    shutil.copytree(place / RUN, trial)
    asked = tvr("stores", "toy", "--delete", cwd=place)
    needed = (
        r"without this store 5 runs \((toy/\S+, ){2}toy/\S+ and 2 more\) and 1 trial of sweeps can be neither"
    )
    assert asked.code == 2
    assert re.search(needed, asked.err)
    copy = shutil.copytree(place / STORE, (place / STORE).with_name("copy"))
    assert "without this store" not in tvr("stores", "toy/copy", "--delete", cwd=place).err, (
        "they find the other one"
    )
    shutil.rmtree(copy)
    renamed = json.loads(tvr("stores", "toy", "--rename", "new", "--json", cwd=place).out)
    assert renamed == {"renamed": str(STORE), "folder": str(STORE.with_name("new"))}
    assert json.loads(tvr("stores", "toy", "--note", "mine", "--json", cwd=place).out)["note"] == "mine"
    done = json.loads(tvr("stores", "toy", "--delete", "--yes", "--json", cwd=place).out)
    assert (done["deleted"], done["again"]) == (str(STORE.with_name("new")), None)
    assert len(done["needed_by"]) == 6
    assert str(trial.relative_to(place)) in done["needed_by"]


def test_runs_whose_store_is_gone_are_marked_and_passed_over(place: Path) -> None:
    knows_its_store_from_here(place / RUN)
    other = shutil.copytree(place / RUN, place / "tvr-workspace/runs/other" / RUN.name)
    record = json.loads((other / "config.json").read_text())
    record["store"] |= {"dataset": "other", "relative_path": "../nowhere"}
    (other / "config.json").write_text(json.dumps(record))
    os.utime(other / "result.json", (2e9, 2e9))
    first, second = tvr("runs", cwd=place).out.splitlines()[1:3]
    assert first.startswith("other/seq_transformer-1 ")
    assert first.rstrip().endswith(" no store")
    assert second.rstrip().endswith(" finished")
    assert f"next: tvr eval {RUN}\n" in tvr("runs", cwd=place).out
    gone, there = json.loads(tvr("runs", "--json", cwd=place).out)
    assert (gone["store"], there["store"]) == (None, str(place / STORE))
    assert tvr("eval", cwd=place).code == 0
    manifest = load_manifest(place / STORE)
    object.__setattr__(manifest, "max_seconds", 7.0)
    manifest.save(place / STORE, json.loads((place / STORE / "splits.json").read_text()))
    changed = tvr("runs", RUN, cwd=place).out
    assert "store changed" in changed
    assert "next:" not in changed
    refused = tvr("eval", cwd=place)
    assert "Train one: " in refused.err
    shutil.rmtree(place / STORE)
    assert "next:" not in tvr("runs", cwd=place).out, "nobody kept how the features were made"
    refused = tvr("eval", cwd=place)
    assert refused.code == 4
    assert "The features of run other/seq_transformer-1 lay at /nowhere\n" in refused.err


def test_what_is_done_to_one_fails_where_a_name_fits_several(place: Path) -> None:
    """Nothing is deleted, renamed or noted by a guess; each command that is offered does it to one."""
    shutil.copytree(place / STORE, place / STORE.with_name("a second"))
    shutil.copytree(place / RUN, place / "tvr-workspace/runs/other" / RUN.name)
    both = {"stores": ("toy", STORE), "runs": (RUN.name, RUN)}
    for command, (name, _) in both.items():
        for options in (("--delete", "--yes"), ("--rename", "new"), ("--note", "it's")):
            refused = tvr(command, name, *options, cwd=place)
            assert (refused.code, refused.out) == (2, ""), refused.out
            first, *offered = refused.err.splitlines()
            assert f"{name!r} is the name of 2 {command}, and {options[0]} is done to one" in first
            assert len(offered) == 2
            assert all(shlex.split(line)[-len(options) :] == list(options) for line in offered)
        assert not [
            *(place / "tvr-workspace").glob("*/*/new"),
            *(place / "tvr-workspace").glob("*/*/*/note.txt"),
        ]
        listed = json.loads(tvr(command, name, "--json", cwd=place).out)
        assert len(listed) == 2, "a list says nothing of one alone"
    refused = tvr("stores", "toy", "--delete", "--yes", cwd=place)
    (pasted,) = [line for line in refused.err.splitlines() if "a second" in line]
    assert tvr(*shlex.split(pasted)[1:], cwd=place).code == 0
    assert [(place / STORE.with_name(name)).exists() for name in ("a second", STORE.name)] == [False, True]
    done = tvr("runs", RUN.name, "--dataset", "other", "--delete", "--yes", cwd=place)
    assert done.code == 0, done.err
    assert (place / RUN).exists()


def test_nothing_is_done_to_what_is_of_another_data_set_than_is_named(place: Path) -> None:
    """The name of a store may be that of another data set's archive, or be left of a store that is gone."""
    for command, name, folder in (("stores", "model", STORE), ("runs", RUN.name, RUN)):
        kind = command.removesuffix("s")
        refusal = (
            f"tvr: {kind} toy/{name} is of toy, and --dataset says my clips [x]: leave --dataset out, or name another "
            f"{kind}\n"
        )
        for named in (name, f"toy/{name}", folder):
            for options in (("--delete", "--yes"), ("--rename", "new"), ("--note", "mine"), ("--json",)):
                answer = tvr(command, named, "--dataset", "my clips [x]", *options, cwd=place)
                assert (answer.code, answer.out, answer.err) == (2, "", refusal)
        assert sorted(path.name for path in (place / folder).parent.iterdir()) == [name]
        assert not (place / folder / "note.txt").exists()
        (listed,) = json.loads(tvr(command, name, "--dataset", "toy", "--json", cwd=place).out)
        assert listed["name"] == f"toy/{name}"
        nothing = tvr(command, "--dataset", "tyo", cwd=place)
        assert nothing.out.startswith(f"no {command} of tyo in ")


class Typing(StringIO):
    """Standard input of a terminal, and what is typed there."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("typed", "is_left"), [("n\n", True), ("\n", True), ("y\n", False)])
def test_delete_does_what_is_answered(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    typed: str,
    is_left: bool,
) -> None:
    (tmp_path / "run").mkdir()
    monkeypatch.setattr("sys.stdin", Typing(typed))
    Upkeep(rename=None, note=None, delete=True, yes=False).do(tmp_path / "run", "run", in_use=None)
    assert (tmp_path / "run").is_dir() == is_left
    assert ("nothing was deleted\n" in capsys.readouterr().out) == is_left


def test_delete_fails_where_the_answer_does_not_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run").mkdir()
    monkeypatch.setattr("sys.stdin", Typing(""))
    with pytest.raises(UsageError, match="add --yes"):
        Upkeep(rename=None, note=None, delete=True, yes=False).do(tmp_path / "run", "run", in_use=None)
    assert (tmp_path / "run").is_dir()


def test_upkeep_fails_with_what_is_wrong(place: Path) -> None:
    for arguments, code, part in (
        (("runs", "--delete"), 2, "say which"),
        (("runs", "seq_transfomer-1"), 2, "Did you mean"),
        (("runs", "seq_transformer-1", "--rename", "a/b"), 2, "one word without a slash"),
        (("runs", "seq_transformer-1", "--rename", "seq_transformer-1"), 2, "is there already"),
        (("stores", "toy", "--rename", "x", "--delete"), 2, "one at a time"),
        (("stores", "", "--delete"), 2, "There is no folder '' with a store either"),
    ):
        answer = tvr(*arguments, cwd=place)
        assert (answer.code, part in answer.err) == (code, True), answer.err
    with run_lock(place / RUN):
        answer = tvr("runs", "seq_transformer-1", "--delete", "--yes", cwd=place)
    assert answer.code == 4
    assert "writes into" in answer.err


def test_housekeeping(tmp_path: Path) -> None:
    assert [size_in_words(size) for size in (0, 999, 12_300, 4_560_000, 7 * 10**13)] == [
        "0 B",
        "999 B",
        "12 kB",
        "4.6 MB",
        "70.0 TB",
    ]
    folder = tmp_path / "a"
    folder.mkdir()
    keep_note(folder, "two\nlines")
    assert note_of(rename(folder, "b")) == "two\\nlines"
    (tmp_path / "link").symlink_to(tmp_path / "b")
    delete(tmp_path / "link")
    assert (tmp_path / "b").is_dir()


def test_a_shard_that_was_taken_away_is_missing_and_every_command_says_what_mends_it(place: Path) -> None:
    """Of a store that was whole nothing is to come."""
    shards = list((place / STORE).glob("*.h5"))
    for shard in shards:
        shard.unlink()
    mend = f"tvr verify --repair --store {STORE}\n"
    (listed,) = json.loads(tvr("stores", "--json", cwd=place).out)
    assert listed["state"] == f"{len(shards)} of {len(shards)} shards missing"
    assert tvr("stores", cwd=place).out.endswith(f"mend: {mend}")
    shown = tvr("inspect", STORE, cwd=place).out
    assert f"incomplete: {listed['state']}; mend: {mend}" in shown
    assert "status     not known: no shard of videos is there\n" in shown
    for command in (("verify", STORE), ("search", "a", "--zero-shot", "--store", STORE)):
        answer = tvr(*command, cwd=place)
        assert answer.code == 4
        assert (answer.out + answer.err).endswith(mend)


def test_a_store_and_a_run_that_another_process_writes_are_not_to_be_gone_on_with(place: Path) -> None:
    """Who pastes that line starts a second one."""
    older = place / STORE.parent / "older"
    shutil.copytree(place / STORE, older)
    for record in older.glob("*.json"):
        os.utime(record, (1e9, 1e9))
    for file in (place / STORE).glob("video-*"):
        file.unlink()
    (place / RUN / "result.json").unlink()
    left = tvr("search", "a", "--zero-shot", cwd=place).err
    assert "to go on: the `tvr extract` that began it" in left
    assert "to come; to go on: the `tvr extract` that began it" in tvr("inspect", STORE, cwd=place).out
    with FileLock(place / STORE / "writers.lock", shared=True) as lock, run_lock(place / RUN):
        assert lock.acquire()
        for answer in (tvr("search", "a", "--zero-shot", cwd=place), tvr("inspect", STORE, cwd=place)):
            assert "to go on" not in answer.err + answer.out
        assert "another process writes it now" in tvr("search", "a", "--zero-shot", cwd=place).err
        assert "is being written now by another process" in tvr("inspect", STORE, cwd=place).out
        assert (
            "wait until that has ended" in tvr("eval", "--zero-shot", "all", "--store", STORE, cwd=place).err
        )
        states = {one["name"]: one["state"] for one in json.loads(tvr("stores", "--json", cwd=place).out)}
        assert states["toy/model"].endswith("to come, being written now")
        assert states["toy/older"] == "finished"
        assert "to go on" not in tvr("eval", "--store", older, cwd=place).err
