"""Ctrl-C: what a command says then, and that what it says can be pasted."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer
from tvr.cli import demo, extract, index, inspect, verify
from tvr.cli.input.upkeep import Upkeep
from tvr.cli.main import app
from tvr.cli.output.interruptions import SHOW_CURSOR, interruptible, typed_command
from tvr.heads.runs.run_folder import read_metrics
from tvr.pipeline.store.receipts import read_receipt
from tvr.pipeline.video.sample_clip import write_sample

from ..fixtures.generated import generated_store
from ..fixtures.screen import typed_into
from ..fixtures.shell import tvr
from ..fixtures.warm_shell import warm_shell

CLIPS = 40

HANGING = """
import signal, sys, threading
from pathlib import Path
from tvr.cli.output.interruptions import interruptible
from tvr.pipeline.decoding.child_process import ChildProcess

signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever started the tests
with interruptible("nothing"):
    child = ChildProcess("pyav", 1 << 30)
    try:
        print(child._process.pid, flush=True)
        threading.Event().wait()
    finally:
        print("ending in order", flush=True)
        threading.Event().wait()
"""


def test_extract_says_what_is_kept_and_goes_on_where_it_says(tmp_path: Path) -> None:
    root = tmp_path / "my clips [x]"
    root.mkdir()
    write_sample(root / "00.mp4")
    for number in range(1, CLIPS):
        (root / f"{number:02d}.mp4").hardlink_to(root / "00.mp4")
    line = [
        "extract",
        "--dataset",
        "folder",
        "--root",
        root.name,
        "--workspace",
        "a [b] c",
        "--num-frames",
        "2",
    ]
    line += ["--model", "tvr-storyboard", "--videos-per-shard", "1", "--decoding-processes", "1"]
    run = warm_shell().start(*line, cwd=str(tmp_path))
    while run.wait(0.005) is None and len(list(tmp_path.glob("a*/features/*/*/*.json"))) < 5:
        pass
    os.killpg(run.pid, signal.SIGINT)
    assert run.wait() == 130, run.said
    kept = sum(read_receipt(path) is not None for path in tmp_path.glob("a*/features/*/*/*.h5"))
    assert 1 <= kept < CLIPS
    assert (
        f"interrupted: kept: {kept} of {CLIPS} shards ({kept} of {CLIPS} videos); lost at most: 1 shard"
        in run.said
    )
    assert re.search(r"1 shard in work with 1 video, \d+ s of work", run.said)
    assert "Traceback" not in run.said
    (typed,) = re.findall("to go on: tvr (.*)", run.said)
    again = tvr(*shlex.split(typed), cwd=tmp_path)
    assert again.code == 0, again.err
    assert f"{kept} already there" in again.out


def test_while_the_summary_is_written_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    write_sample(tmp_path / "00.mp4")
    line = ["extract", "--dataset", "folder", "--root", str(tmp_path), "--store", str(tmp_path / "store")]
    line += ["--model", "tvr-storyboard", "--num-frames", "2", "--decoding-processes", "1"]
    monkeypatch.setattr(sys, "argv", ["tvr", *line])
    monkeypatch.setattr(extract, "print_summary", interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        code = app(line, prog_name="tvr", standalone_mode=False)
    finally:
        signal.signal(signal.SIGINT, before)
    assert code == 130
    said = capsys.readouterr().err.replace("\n", " ")
    assert "tvr: interrupted: every shard is in its place, and nothing is lost" in said


def test_before_it_begins_it_says_what_is_there_already(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whether the encoder is loaded yet or not; of a finished store, all."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    (tmp_path / "a").mkdir()
    for name in ("0.mp4", "1.mp4"):
        write_sample(tmp_path / "a" / name)
    line = ["extract", "--dataset", "folder", "--root", str(tmp_path / "a"), "--model", "tvr-storyboard"]
    line += ["--num-frames", "2", "--videos-per-shard", "1", "--workspace", str(tmp_path / "w")]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        for kept in (
            "no shard was begun, and nothing is lost",
            "kept: 2 of 2 shards; no other one was begun, and nothing is lost",
        ):
            monkeypatch.setattr(sys, "argv", ["tvr", *line])
            for called in ("_loaded", "run_extraction"):
                with monkeypatch.context() as patch:
                    patch.setattr(extract, called, interrupted)
                    assert app(line, prog_name="tvr", standalone_mode=False) == 130
                assert f"tvr: interrupted: {kept}\n" in capsys.readouterr().err.replace("\n ", " ")
            assert tvr(*line, cwd=tmp_path).code == 0
    finally:
        signal.signal(signal.SIGINT, before)


def test_below_one_shard_it_says_that_nothing_is_kept_and_what_keeps_more(tmp_path: Path) -> None:
    write_sample(tmp_path / "00.mp4")
    for number in range(1, 12):
        (tmp_path / f"{number:02d}.mp4").hardlink_to(tmp_path / "00.mp4")
    line = ["extract", "--dataset", "folder", "--root", ".", "--workspace", "w", "--num-frames", "4"]
    run = warm_shell().start(*line, "--model", "tvr-storyboard", cwd=str(tmp_path))
    while run.wait(0.005) is None and not list(tmp_path.glob("w/features/*/*/video-*.lock")):
        pass
    os.killpg(run.pid, signal.SIGINT)
    assert run.wait() == 130, run.said
    assert "kept: 0 of 1 shard (0 of 12 videos); lost at most: 1 shard in work" in run.said
    assert "nothing is kept before a shard is whole, and smaller ones (--videos-per-shard)" in run.said
    (typed,) = re.findall("to go on: tvr (.*)", run.said)
    smaller = tvr(*shlex.split(typed), "--videos-per-shard", "6", cwd=tmp_path)
    assert smaller.code == 0, smaller.err
    assert "2 shards written" in smaller.out


def is_alive(process: int) -> bool:
    """Whether it runs; one that has ended may still wait for somebody to ask how."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_second_one_ends_at_once() -> None:
    """Whatever the first one waits for; no decoding process is left."""
    screen, terminal = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", HANGING],
        stdout=subprocess.PIPE,
        stderr=terminal,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    child = int(process.stdout.readline())
    os.kill(process.pid, signal.SIGINT)
    assert process.stdout.readline() == "ending in order\n"
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(60) == 130
    process.stdout.close()
    said = os.read(screen, 4096).decode()
    os.close(terminal)
    os.close(screen)
    assert "tvr: interrupted twice: ended at once" in said
    assert SHOW_CURSOR in said, "a bar had hidden it"
    deadline = time.monotonic() + 60
    while is_alive(child) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_alive(child)


AT_TERMINAL = """
import signal, sys, threading, time
from tvr.cli.output.interruptions import interruptible
from tvr.cli.terminal import Meter

signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever started the tests
sys.argv = ["tvr", "runs"]

def bar():
    with Meter("training hcmi", "epochs") as meter:
        meter.begin(time.monotonic() - 100)
        meter.update(1, 20, "x" * 40)
        threading.Event().wait()

def nothing():
    print("begun", flush=True)
    threading.Event().wait()

try:
    with interruptible("nothing was changed"):
        {what}()
except BaseException as ended:
    sys.exit(ended.exit_code)
"""


@pytest.mark.parametrize(
    ("what", "until", "above"),
    [
        ("bar", "1/20", r"training hcmi .* 1/20 .* left 100\.0 s/epoch(, x)+"),
        ("nothing", "begun\r\n", "begun"),
    ],
)
def test_what_is_said_begins_a_line_of_its_own_below_what_was_there(
    what: str, until: str, above: str
) -> None:
    code, lines = typed_into(AT_TERMINAL.format(what=what), until)
    assert code == 130, lines
    assert lines[1:] == ["tvr: interrupted: nothing was changed", "tvr: to go on: tvr runs"], lines
    assert re.fullmatch(above, lines[0]), lines


def test_what_is_said_of_a_question_begins_a_line_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def interrupted(question: str) -> str:
        sys.stdout.write(f"{question}^C")
        raise KeyboardInterrupt

    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("builtins.input", interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(typer.Exit):
            Upkeep(rename=None, note=None, delete=True, yes=False).do(tmp_path, "run", in_use=None)
    finally:
        signal.signal(signal.SIGINT, before)
    said = capsys.readouterr()
    assert said.out.endswith("? [y/N]: ^C\n")
    assert said.err.startswith("tvr: interrupted: nothing was deleted\n")


EARLY = """
import os, signal, sys
from tvr.cli import main

signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever started the tests
main.import_module = lambda *_: os.kill(os.getpid(), signal.SIGINT)
sys.argv = ["tvr", "eval"]
main.run()
"""


def test_while_modules_are_imported_it_ends_at_once() -> None:
    """Without an exception, which would abort the C++ code of a module that is half-way."""
    ended = subprocess.run([sys.executable, "-c", EARLY], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (130, "tvr: interrupted\n")


def test_a_command_without_words_of_its_own_says_what_is_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys, "argv", ["tvr", "index", "a b"])
    monkeypatch.setattr(index, "taken_run", interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        code = app(["index", "a b"], prog_name="tvr", standalone_mode=False)
    finally:
        signal.signal(signal.SIGINT, before)
    assert code == 130
    said = capsys.readouterr().err.replace("\n", " ")
    assert "tvr: interrupted: files that were written before are whole" in said
    assert "tvr: to go on: tvr index 'a b'" in said


def test_a_demo_ends_with_the_command_that_was_interrupted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed: list[str] = []
    advised: list[str] = []

    def interrupted(words: list[str], **_: object) -> int:
        typed.append(words[0])
        advised.append(typed_command("--retry", "failed"))
        with pytest.raises(typer.Exit), interruptible("nothing"):
            raise KeyboardInterrupt
        return 130

    monkeypatch.setattr(demo, "app", interrupted)
    monkeypatch.setattr(sys, "argv", ["tvr", "demo", "--workspace", "a b"])
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(typer.Exit) as ended:
            demo.demo(workspace=Path("a b"))
    finally:
        signal.signal(signal.SIGINT, before)
    assert (ended.value.exit_code, typed) == (130, ["extract"])
    assert "tvr: to go on: tvr demo --workspace 'a b'\n" in capsys.readouterr().err
    # The demo has no --retry: advice is of the command that it types.
    assert advised[0].startswith("tvr extract --dataset storyboard ")
    assert advised[0].endswith(" --workspace 'a b' --retry failed")
    assert sys.argv[1] == "demo"


def test_a_training_says_how_much_is_kept_and_the_next_one_names_it(tmp_path: Path) -> None:
    generated_store(tmp_path / "tvr-workspace/features/toy/model")
    line = ("train-head", "--set", "layers=1", "--batch-size", "16", "--device", "cpu", "--epochs")
    training = warm_shell().start(*line, "100000", cwd=str(tmp_path))
    folder = tmp_path / "tvr-workspace/runs/toy/seq_transformer-1"
    while training.wait(0.005) is None and not read_metrics(folder):
        pass
    os.killpg(training.pid, signal.SIGINT)
    assert training.wait() == 130, training.said
    kept = len(read_metrics(folder))
    run = folder.relative_to(tmp_path)
    assert (
        f"interrupted: {kept} of 100,000 epochs are kept in {run}; lost is at most the one" in training.said
    )
    assert training.said.endswith(f"to go on: tvr train-head --run {run}\n")
    assert "Traceback" not in training.said
    another = tvr(*line, "1", cwd=tmp_path)
    assert another.code == 0, another.err
    left = f"run toy/seq_transformer-1 (stopped after {kept} of 100,000 epochs)"
    assert (
        f"note: this is a new run. not finished: {left}; to go on: tvr train-head --run {run}" in another.err
    )
    again = tvr("train-head", "--run", run, "--epochs", str(kept + 1), cwd=tmp_path)
    assert f"going on after epoch {kept} of {kept + 1}: {run}\n" in again.err
    assert again.code == 2
    assert "holds a run with other settings: " in again.err
    assert again.err.endswith(f"or go on with it as it was begun: tvr train-head --run {run}\n")


@pytest.mark.parametrize(
    ("command", "module", "called"),
    [
        ("inspect", inspect, "FeatureStore"),
        ("verify", verify, "verify_store"),
    ],
)
def test_what_changes_nothing_says_so(
    command: str,
    module: object,
    called: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Interrupted:
        """In place of what takes its time."""

        def __init__(self, *_: object, **__: object) -> None:
            raise KeyboardInterrupt

        open = __init__

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr(sys, "argv", ["tvr", command, "--store", "a b"])
    monkeypatch.setattr(module, called, Interrupted)
    try:
        with pytest.raises(typer.Exit) as ended:
            getattr(module, command)(store=Path("a b"))
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended.value.exit_code == 130
    said = capsys.readouterr().err
    assert said == f"tvr: interrupted: nothing was changed\ntvr: to go on: tvr {command} --store 'a b'\n"
