"""A wrong value of an option is told by the name that was typed, not by what the code calls it."""

from pathlib import Path
from typing import Any

import pytest
from tvr.cli.extract import extract
from tvr.data.contracts.errors import UsageError
from tvr.pipeline.video.sample_clip import write_sample

from ..fixtures.shell import tvr

WRONG: dict[str, Any] = {
    "batch_size": 0,
    "decoder": "ffmpeg",
    "decoding_processes": 0,
    "device": "gpu",
    "file_digest": "some",
    "fps": float("nan"),
    "job": ["cores=4"],
    "limit": 0,
    "max_failed": "few",
    "max_seconds": -1.0,
    "num_frames": 0,
    "on_error": "stop",
    "patches_dtype": "int4",
    "pixels": "round",
    "precision": "int8",
    "retry": "bad",
    "sampling": "some",
    "scheduler": "node7",
    "shard": "9/8",
    "text_policy": "cut",
    "videos_per_shard": 0,
    "wait_seconds": 0.0,
    "workers": 0,
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    write_sample(folder / "a.mp4")
    return folder


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value_fails_by_its_option(name: str, root: Path, tmp_path: Path) -> None:
    others: dict[str, Any] = {"patches_dtype": {"patches": True}, "wait_seconds": {"workers": 2}}
    chosen = {"sampling": "fps"} if name == "fps" else {}
    with pytest.raises(UsageError) as refused:
        extract(
            "folder",
            root=root,
            store=tmp_path,
            model=["tvr-storyboard"],
            **{**chosen, **others.get(name, {}), name: WRONG[name]},
        )
    said = str(refused.value)
    assert f"--{name.replace('_', '-')} " in said
    assert not {"num_children", "frames_per_batch", name if "_" in name else ""} & set(said.split())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("search --image nosuch.jpg", "--image nosuch.jpg: there is no such file"),
        ("search --video nosuch.mp4", "--video nosuch.mp4: there is no such file"),
        ("search --video .", "--video . is a folder. Name a file"),
        ("search x --html no/x.html", "--html no/x.html: there is no folder no. Make it, or name another"),
        ("search x --html .", "--html . is a folder. Name a file, such as --html hits.html"),
        ("train-head --config nosuch.toml", "--config nosuch.toml: there is no such file"),
        ("demo --videos nosuch", "--videos nosuch: there is no such folder"),
        ("train-head --log-file no/x.log", "--log-file no/x.log cannot be written: there is no folder no"),
        (
            "eval --zero-shot",
            "Option '--zero-shot' requires an argument. No run: heads without anything to train",
        ),
        ("eval --normalise", "Option '--normalise' requires an argument. Also score normalised: qb_norm"),
    ],
)
def test_a_file_that_is_not_there_is_named_by_its_option(words: str, said: str, tmp_path: Path) -> None:
    """And an option that has no value says which there are."""
    answer = tvr(*words.split(), cwd=tmp_path)
    assert answer.code == 2
    assert said in " ".join(answer.err.replace("│", " ").split())
