"""``tvr extract --workers 2`` as typed: a Dask cluster of this machine that comes and goes with the command."""

import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from tvr.pipeline.store.receipts import read_receipt
from tvr.pipeline.video.sample_clip import write_sample

from ..fixtures.shell import tree, tvr
from ..fixtures.warm_shell import warm_shell

CLIPS = 40


@pytest.mark.slow
def test_interrupted_and_gone_on_with(tmp_path: Path) -> None:
    (tmp_path / "archive").mkdir()
    write_sample(tmp_path / "archive" / "00.mp4")
    for index in range(1, CLIPS):
        (tmp_path / "archive" / f"{index:02d}.mp4").hardlink_to(tmp_path / "archive" / "00.mp4")
    line = ["extract", "--dataset", "folder", "--root", "archive", "--model", "tvr-storyboard"]
    line += ["--device", "cpu", "--num-frames", "2", "--videos-per-shard", "1"]
    on_dask = [*line, "--workers", "2", "--store", "dask"]
    command = [sys.executable, "-c", "from tvr.cli.main import run; run()", *on_dask]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=partial(
            signal.signal, signal.SIGINT, signal.SIG_DFL
        ),  # tests in the background are deaf to it
    )
    deadline = time.monotonic() + 120
    while (
        len(list(tmp_path.glob("dask/*.h5"))) < 3 and process.poll() is None and time.monotonic() < deadline
    ):
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C in a terminal, which reaches the workers too
    said = process.communicate(timeout=240)[1]
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert re.search(
        rf"kept: \d+ of {CLIPS} shards .*; lost at most: \d shards? in work with \d videos?", said
    ), said
    assert f"to go on: tvr {' '.join(on_dask)}\n" in said
    done = {path.name for path in tmp_path.glob("dask/*.h5") if read_receipt(path)}
    assert 3 <= len(done) < CLIPS
    code, again = warm_shell().run(*on_dask, cwd=str(tmp_path), forks=True)
    assert code == 0, again
    assert f"{len(done)} already there" in again
    assert tvr(*line, "--store", "alone", cwd=tmp_path).code == 0
    shards = {name: content for name, content in tree(tmp_path / "dask").items() if name.endswith(".h5")}
    assert len(shards) == CLIPS
    assert shards == {
        name: content for name, content in tree(tmp_path / "alone").items() if name.endswith(".h5")
    }


def test_options_of_a_cluster_fail(tmp_path: Path) -> None:
    line = ("extract", "--dataset", "folder", "--root", ".", "--model", "tvr-storyboard")
    for options, message in (
        (("--slurm", "--pbs"), "to --slurm or to --pbs, not to both"),
        (("--scheduler", "node7"), "'node7' is none of these"),
        (("--workers", "0"), "workers must be at least 1, got 0"),
        (("--job", "queue=gpu"), "--job needs a job queue to submit to: --slurm or --pbs"),
    ):
        write_sample(tmp_path / "a.mp4")
        answer = tvr(*line, *options, cwd=tmp_path)
        assert answer.code == 2, answer.err
        assert message in answer.err
    assert not (tmp_path / "tvr-workspace").exists()
