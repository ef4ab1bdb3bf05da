"""Ctrl-C: what a command says then, and that what it says can be pasted."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer
from tvr.cli import inspect, verify
from tvr.pipeline.store.receipts import read_receipt
from tvr.pipeline.video.sample_clip import write_sample

from ..fixtures.shell import tvr
from ..fixtures.warm_shell import warm_shell

CLIPS = 40

HANGING = """
import sys, threading
from pathlib import Path
from tvr.cli.output.interruptions import interruptible
from tvr.pipeline.decoding.child_process import ChildProcess

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
    for index in range(1, CLIPS):
        (root / f"{index:02d}.mp4").hardlink_to(root / "00.mp4")
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


def is_alive(process: int) -> bool:
    """Whether it runs; one that has ended may still wait for somebody to ask how."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_second_one_ends_at_once() -> None:
    """Whatever the first one waits for; no decoding process is left."""
    process = subprocess.Popen(
        [sys.executable, "-c", HANGING], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    child = int(process.stdout.readline())
    os.kill(process.pid, signal.SIGINT)
    assert process.stdout.readline() == "ending in order\n"
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(60) == 130
    process.stdout.close()
    deadline = time.monotonic() + 60
    while is_alive(child) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_alive(child)


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

    before = signal.getsignal(signal.SIGINT)
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
