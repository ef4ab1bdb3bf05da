"""Annotation files that are what they should be, but for one value: read, or a sentence."""

import csv
import json
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from tvr.data.base import load_dataset
from tvr.data.contracts.errors import LONGEST_MESSAGE, DataError

from ...fixtures.fuzz import cases
from ...fixtures.hostile import HOSTILE_JSON, with_one_changed

ROWS: list[dict[str, Any]] = [
    {
        "path": "a.mp4",
        "id": "a",
        "start": 0.0,
        "end": 1.5,
        "split": "train",
        "caption_id": "c1",
        "caption": "x",
    },
    {
        "path": "b.mp4",
        "id": "b",
        "start": None,
        "end": None,
        "split": "test",
        "caption_id": "c2",
        "caption": "y",
    },
]
VATEX_IDS = ("abcdefghijk_000001_000011", "abcdefghijk_000021_000031")
VIDEOS = tuple(zip(("video7010", "video7011", "video7012"), ("train", "validate", "test"), strict=True))

OFFICIAL: dict[str, dict[str, Any]] = {
    "activitynet": {
        "train.json": {
            "v_a": {"duration": 5.0, "timestamps": [[0, 2]], "sentences": ["x"]},
            "v_b": {"duration": 5.0, "timestamps": [[0, 2], [2, 5]], "sentences": ["y", "z"]},
        },
        "val_1.json": {"v_c": {"duration": 9, "timestamps": [[0, 1]], "sentences": ["q"]}},
    },
    "didemo": {
        "test_list.txt": "a.mp4\n",
        "test_data.json": [{"video": "a.mp4", "description": "x", "times": [[0, 0]], "annotation_id": 1}],
    },
    "vatex": {
        "val_list.txt": VATEX_IDS[0],
        "test1k5_sec_list.txt": VATEX_IDS[1],
        "test_list.txt": VATEX_IDS[1],
        "vatex_validation_v1.0.json": [
            {"videoID": id, "enCap": ["x", "y"], "chCap": ["z"]} for id in VATEX_IDS
        ],
    },
    "msrvtt": {
        "MSRVTT_JSFUSION_test.csv": "key,vid_key,video_id,sentence\nret0,msr7012,video7012,c\n",
        "MSRVTT_train.9k.csv": "video_id\nvideo7010\n",
        "MSRVTT_data.json": {
            "videos": [{"video_id": id, "split": split, "category": 1} for id, split in VIDEOS],
            "sentences": [{"video_id": id, "sen_id": i, "caption": "c"} for i, (id, _) in enumerate(VIDEOS)],
        },
    },
}
"""A few entries of each data set whose annotations are JSON, in its official format."""

COLUMNS: dict[str, pyarrow.Array] = {
    "a number of 75 digits": pyarrow.array([Decimal(10) ** 75], pyarrow.decimal256(76, 0)),
    "a time after the end of all calendars": pyarrow.array([2**62], pyarrow.timestamp("us")),
    "a date after it": pyarrow.array([2**31 - 1], pyarrow.date32()),
    "a duration": pyarrow.array([2**62], pyarrow.duration("s")),
    "a time of day in nanoseconds": pyarrow.array([2**40], pyarrow.time64("ns")),
    "bytes": pyarrow.array([b"\xff"]),
    "a map": pyarrow.array([[("a", 1)]], pyarrow.map_(pyarrow.string(), pyarrow.int64())),
    "a structure": pyarrow.array([{"a": 1}]),
    "words by number": pyarrow.array(["x"]).dictionary_encode(),
    "64 bits": pyarrow.array([2**63 - 1]),
    "nothing": pyarrow.nulls(1),
    "a list with nothing": pyarrow.array([["a", None]]),
    "lists in lists": pyarrow.array([[["a"]]]),
    "nan": pyarrow.array([float("nan")]),
    "inf": pyarrow.array([float("inf")]),
    "true": pyarrow.array([True]),
}


def read_or_refused(name: str, root: Path, settings: dict[str, str]) -> bool:
    """Whether the data set was refused, in a sentence; any other exception is the test's."""
    try:
        dataset = load_dataset(name, root, settings)
    except DataError as error:
        assert 20 < len(str(error)) < LONGEST_MESSAGE + 50
        return True
    for split in dataset.splits:
        str(dataset.coverage(split))
    for caption in dataset.captions:
        caption.text.encode()
    return False


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "tsv"])
def test_rows_with_one_hostile_value(suffix: str, tmp_path: Path) -> None:
    refused, file = 0, tmp_path / f"captions.{suffix}"
    for seed in range(cases(400)):
        rows = with_one_changed(ROWS, Random(seed))
        rows = [row for row in rows if isinstance(row, dict)] if suffix != "jsonl" else rows
        with file.open("w", encoding="utf-8", errors="surrogatepass", newline="") as target:
            if suffix == "jsonl":
                target.writelines(json.dumps(row, ensure_ascii=seed % 2 == 0) + "\n" for row in rows)
            else:
                table = csv.writer(target, delimiter="," if suffix == "csv" else "\t")
                table.writerow(ROWS[0])
                table.writerows([row.get(key) for key in ROWS[0]] for row in rows)
        refused += read_or_refused("folder", tmp_path, {})
    assert refused > cases(400) / 20


@pytest.mark.parametrize("name", HOSTILE_JSON)
@pytest.mark.parametrize("key", ["start", "caption", "id"])
def test_a_row_that_is_no_json_is_refused_or_a_caption(key: str, name: str, tmp_path: Path) -> None:
    text = HOSTILE_JSON[name]
    raw = text if isinstance(text, bytes) else text.encode()
    (tmp_path / "captions.jsonl").write_bytes(b'{"path": "a.mp4", "%s": ' % key.encode() + raw + b"}\n")
    assert read_or_refused("folder", tmp_path, {})
    with (tmp_path / "captions.csv").open("w", encoding="utf-8", newline="") as target:
        csv.writer(target).writerows([["path", key], ["a.mp4", raw.decode(errors="replace")]])
    (tmp_path / "captions.jsonl").unlink()
    read_or_refused("folder", tmp_path, {})


@pytest.mark.parametrize("start", ["7" * 400, "7" * 5_000, "1e400", "-1e999999", "nan", "NaN", "Infinity"])
def test_a_start_that_is_no_number_of_seconds_fails(start: str, tmp_path: Path) -> None:
    (tmp_path / "captions.jsonl").write_text(f'{{"path": "a.mp4", "start": {start}, "caption": "x"}}\n')
    assert read_or_refused("folder", tmp_path, {})
    (tmp_path / "captions.jsonl").unlink()
    (tmp_path / "captions.csv").write_text(f"path,start,caption\na.mp4,{start},x\n")
    assert read_or_refused("folder", tmp_path, {})


@pytest.mark.parametrize("column", ["path", "id", "start", "end", "split", "caption_id", "caption"])
def test_columns_of_any_type(column: str, tmp_path: Path) -> None:
    for values in COLUMNS.values():
        usual = {"path": pyarrow.array(["a.mp4"]), "caption": pyarrow.array(["x"])}
        pyarrow.parquet.write_table(pyarrow.table(usual | {column: values}), tmp_path / "captions.parquet")
        read_or_refused("folder", tmp_path, {})


@pytest.mark.parametrize("name", OFFICIAL)
def test_official_files_with_one_hostile_value(name: str, tmp_path: Path) -> None:
    settings, refused = {"own_lists": "true"}, 0
    for seed in range(cases(400)):
        random = Random(seed)
        for file, content in OFFICIAL[name].items():
            changed = with_one_changed(content, random) if file.endswith(".json") and seed else content
            text = changed if isinstance(changed, str) else json.dumps(changed)
            (tmp_path / file).write_text(text)
        was_refused = read_or_refused(name, tmp_path, settings)
        assert seed or not was_refused
        refused += was_refused
    assert refused


@pytest.mark.parametrize("name", OFFICIAL)
def test_official_files_of_hostile_json_fail(name: str, tmp_path: Path) -> None:
    for hostile in HOSTILE_JSON.values():
        for file, content in OFFICIAL[name].items():
            raw = hostile if isinstance(hostile, bytes) else hostile.encode()
            (tmp_path / file).write_bytes(raw if file.endswith(".json") else str(content).encode())
        assert read_or_refused(name, tmp_path, {"own_lists": "true"})
    with suppress(DataError):
        load_dataset("storyboard", tmp_path, {"train_videos": "1", "val_videos": "0", "test_videos": "0"})
