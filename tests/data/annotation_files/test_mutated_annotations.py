"""Annotation files from anybody: whatever their bytes are, the answer is a data set or a DataError."""

import contextlib
import gzip
import json
import pickle
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tvr.data.annotation_files.plain_pickle import plain_pickle
from tvr.data.annotation_files.reading import (
    AnnotationFile,
    csv_records,
    id_list,
    json_lines,
    json_object,
    json_records,
    read_annotation,
)
from tvr.data.base import load_dataset
from tvr.data.contracts.errors import DataError

from ...fixtures.fuzz import cases

ROWS = [{"path": f"clip{i}.mp4", "caption": f"a caption, città {i}", "id": str(i)} for i in range(4)]
CAPTIONS = {f"clip{i}": [["a", "man", str(i)], ["he", "sings"]] for i in range(3)}


def _csv() -> bytes:
    rows = [",".join(f'"{value}"' for value in row.values()) for row in ROWS]
    return "\n".join(["path,caption,id", *rows]).encode()


def _parquet() -> bytes:
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), sink)
    return sink.getvalue().to_pybytes()


MANIFESTS: dict[str, Callable[[], bytes]] = {
    "captions.csv": _csv,
    "captions.jsonl": lambda: "\n".join(json.dumps(row) for row in ROWS).encode(),
    "captions.parquet": _parquet,
}


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.integers(1, 6)):
        changed[int(rng.integers(len(changed)))] = int(
            rng.choice([0, 34, 44, 127, 128, 255, int(rng.integers(256))])
        )
    return bytes(changed[: int(rng.integers(len(changed)))] if rng.random() < 0.1 else changed)


@pytest.mark.parametrize("name", MANIFESTS)
def test_mutated_manifests(tmp_path: Path, name: str) -> None:
    data, answers = MANIFESTS[name](), Counter[str]()
    for seed in range(cases(200)):
        (tmp_path / name).write_bytes(mutated(data, np.random.default_rng([5, seed])))
        try:
            load_dataset("folder", tmp_path, {})
            answers["read"] += 1
        except DataError:
            answers["refused"] += 1
    assert answers["refused"] > answers.total() / 20


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_mutated_pickles(protocol: int) -> None:
    data = pickle.dumps(CAPTIONS, protocol=protocol)
    for seed in range(cases(1000)):
        try:
            plain_pickle(mutated(data, np.random.default_rng([5, seed])), Path("raw-captions.pkl"))
        except DataError as error:
            assert "raw-captions.pkl: refused" in str(error)


@settings(max_examples=cases(300), deadline=None)
@given(st.binary(max_size=60))
@example(b"\x8f\x94\x93.")
@example(b"X\xff\xff\xff\x7f")  # a string of two gigabytes, of which not one byte is there
@example(b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.")
@example(b"(" * 10_000 + b"l" * 10_000 + b".")
def test_any_bytes_as_pickle(data: bytes) -> None:
    with contextlib.suppress(DataError):
        plain_pickle(data, Path("x.pkl"))


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "[" + "9" * 10_000 + "]"])
def test_json_made_to_exhaust_fails(text: str) -> None:
    file = AnnotationFile(Path("x.json"), text, "")
    for read in (json_object, lambda file: list(json_records(file)), lambda file: list(json_lines(file))):
        with pytest.raises(DataError, match=r"x\.json"):
            read(file)


@settings(max_examples=cases(200), deadline=None)
@given(st.text(max_size=80))
def test_any_text(text: str) -> None:
    file = AnnotationFile(Path("x"), text, "")
    readers: list[Callable[[], object]] = [
        lambda: json_object(file),
        lambda: list(json_records(file)),
        lambda: list(json_lines(file)),
        lambda: list(csv_records(file, ["a"])),
        lambda: id_list(file),
    ]
    for read in readers:
        with contextlib.suppress(DataError):
            read()


def test_mutated_gzip_fails(tmp_path: Path) -> None:
    data = gzip.compress(b"one\ntwo\n")
    path = tmp_path / "list.txt.gz"
    for seed in range(cases(300)):
        path.write_bytes(mutated(data, np.random.default_rng([5, seed])))
        with contextlib.suppress(DataError):
            read_annotation(path)


@pytest.mark.parametrize("path", ["../secret.mp4", "/etc/passwd", "a/../../secret.mp4"])
def test_a_path_out_of_the_folder_fails(tmp_path: Path, path: str) -> None:
    folder = tmp_path / "archive"
    folder.mkdir()
    (tmp_path / "secret.mp4").touch()
    (folder / "captions.jsonl").write_text(json.dumps({"path": path, "caption": "x"}))
    with pytest.raises(DataError, match=r"leads out of .* allow_outside=true"):
        load_dataset("folder", folder, {})


@pytest.mark.parametrize("path", ["..\\secret.mp4", "C:\\secret.mp4", "..", "a\0b.mp4"])
def test_a_name_is_looked_up_and_never_joined_to_a_path(tmp_path: Path, path: str) -> None:
    (tmp_path / "archive").mkdir()
    (tmp_path / "secret.mp4").touch()
    (tmp_path / "archive" / "captions.jsonl").write_text(json.dumps({"path": path, "caption": "x"}))
    with contextlib.suppress(DataError):
        dataset = load_dataset("folder", tmp_path / "archive", {})
        assert [video.path for video in dataset.videos.values()] == [None]


def test_an_id_is_looked_up_and_never_joined_to_a_path(tmp_path: Path) -> None:
    from tvr.data.annotation_files.folder_tree import FolderTree

    (tmp_path / "root").mkdir()
    (tmp_path / "secret.mp4").touch()
    (tmp_path / "root" / "known.mp4").touch()
    tree = FolderTree(tmp_path / "root")
    assert tree.video("known") is not None
    for name in ("../secret", "/etc/passwd", "..", "", "known/../../secret", "\0"):
        assert tree.video(name) is None


def test_a_link_that_the_owner_of_the_folder_made_is_followed(tmp_path: Path) -> None:
    """Data sets often lie on another disk; an annotation file cannot make a link."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "a.mp4").touch()
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "videos").symlink_to(tmp_path / "disk")
    (tmp_path / "archive" / "captions.jsonl").write_text(json.dumps({"path": "videos/a.mp4", "caption": "x"}))
    dataset = load_dataset("folder", tmp_path / "archive", {})
    assert [video.path is not None for video in dataset.videos.values()] == [True]
