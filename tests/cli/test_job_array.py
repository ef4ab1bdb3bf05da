"""``tvr extract --shard i/n`` as typed: a job array that needs no scheduler."""

import json
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from tvr.pipeline.video.sample_clip import write_sample

from ..fixtures.shell import tree, tvr

SMALL = ("--model", "tvr-storyboard", "--precision", "fp32", "--num-frames", "2", "--decoding-processes", "1")


def clips(shared: Path, root: Path) -> Sequence[str | Path]:
    """The command that extracts every other one of the real clips, 42, in 11 video shards and a text shard."""
    source = shared / "data" / "panda70m_samples"
    rows = (source / "captions.jsonl").read_text().splitlines()[::2]
    (root / "videos").mkdir(parents=True)
    for row in rows:
        name = json.loads(row)["video"]
        shutil.copy(source / name, root / name)
    (root / "captions.jsonl").write_text("\n".join(rows) + "\n")
    return ("extract", "--dataset", "folder", "--root", root, *SMALL, "--videos-per-shard", "4")


def features(store: Path) -> dict[str, bytes]:
    return {name: content for name, content in tree(store).items() if name.endswith(".h5")}


@pytest.mark.slow
def test_four_jobs_give_the_bytes_of_one(shared: Path, tmp_path: Path) -> None:
    line = clips(shared, tmp_path / "clips")
    alone = tvr(*line, "--store", "alone", cwd=tmp_path)
    assert alone.code == 0, alone.err
    with ThreadPoolExecutor(4) as jobs:
        job = partial(tvr, *line, "--store", "array", "--json", cwd=tmp_path)
        answers = list(jobs.map(lambda i: job("--shard", f"{i}/4"), (1, 2, 3, 4)))
    assert [answer.code for answer in answers] == [0] * 4, [answer.err for answer in answers]
    assert [json.loads(answer.out)["shards_done"] for answer in answers] == [3] * 4
    assert features(tmp_path / "array") == features(tmp_path / "alone")
    assert len(features(tmp_path / "array")) == 12
    assert tvr("verify", "--store", "array", cwd=tmp_path).code == 0


def test_a_job_says_what_others_have_to_do(tmp_path: Path) -> None:
    (tmp_path / "archive").mkdir()
    for name in ("a", "b"):
        write_sample(tmp_path / "archive" / f"{name}.mp4")
    line = ("extract", "--dataset", "folder", "--root", "archive", *SMALL, "--videos-per-shard", "1")
    first = tvr(*line, "--store", "store", "--shard", "2/2", cwd=tmp_path)
    assert first.code == 0, first.err
    assert "1 shard written" in first.out
    assert "this was --shard 2/2; other jobs have 1 shard left to do, such as video-00000" in first.out
    assert "next:" not in first.out
    other = (*line, "--store", "store", "--shard", "1/2", "--batch-size", "32")
    refused = tvr(*other, cwd=tmp_path)
    assert refused.code == 4
    assert "frames_per_batch: the store has 64, this run would use 32" in refused.err
    last = tvr(*line, "--store", "store", "--shard", "1/2", cwd=tmp_path)
    assert 'next: tvr search "what you look for" --zero-shot --store store' in last.out


@pytest.mark.parametrize("shard", ["0/4", "5/4", "x"])
def test_shard_fails(shard: str, tmp_path: Path) -> None:
    write_sample(tmp_path / "a.mp4")
    answer = tvr("extract", "--dataset", "folder", "--root", ".", *SMALL, "--shard", shard, cwd=tmp_path)
    assert answer.code == 2
    assert (
        f"shard must be i/n with i from 1 to n (1/4, 2/4, 3/4, 4/4), auto/n or auto, got '{shard}'"
        in answer.err
    )
    assert not (tmp_path / "tvr-workspace").exists()
