"""A shard is opened and checked once; what no shard of tvr has is refused, though its receipt vouches for it."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from tvr.data.contracts.errors import StoreError
from tvr.data.contracts.identity import sha256_of
from tvr.pipeline.store.checksummed_json import write_checksummed
from tvr.pipeline.store.reader import FeatureStore
from tvr.pipeline.store.receipts import load_receipt, receipt_path
from tvr.pipeline.store.shard_reader import ShardReader
from tvr.pipeline.store.shards import structure_sha256

from ...fixtures.stores import DIM, write_store

VIDEO, TEXT = "video-00001-of-00003.h5", "text-00000-of-00002.h5"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_store(tmp_path / "store")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """How often HDF5 has opened which file."""
    counts: Counter[str] = Counter()
    open_file = h5py.File.__init__

    def counted(file: h5py.File, name: object, *arguments: Any, **named: Any) -> None:
        if isinstance(name, Path):  # not where h5py wraps a file that is open
            counts[name.name] += 1
        open_file(file, name, *arguments, **named)

    monkeypatch.setattr(h5py.File, "__init__", counted)
    yield counts


def once(folder: Path, kind: str) -> dict[str, int]:
    return {path.name: 1 for path in folder.glob(f"{kind}-*.h5")}


def test_statuses_open_each_shard_once(folder: Path, opened: Counter[str]) -> None:
    FeatureStore.open(folder).statuses()
    assert opened == once(folder, "video")


def test_videos_open_each_shard_once_however_often_they_are_read(folder: Path, opened: Counter[str]) -> None:
    store = FeatureStore.open(folder)
    assert opened == {}
    for video in store.video_ids:
        store.frames(video)
        store.frame_seconds(video)
    store.videos()
    assert opened == once(folder, "video")


def test_texts_open_each_shard_once(folder: Path, opened: Counter[str]) -> None:
    FeatureStore.open(folder).texts(["v0", "v4"])
    assert opened == once(folder, "text")


def test_columns_are_views_of_one_mapping_and_the_file_is_closed(folder: Path) -> None:
    shard = ShardReader(folder / VIDEO, DIM)
    frames, seconds = shard.array("frames"), shard.array("frame_seconds")
    assert type(frames) is np.ndarray
    assert isinstance(frames.base, np.memmap)
    assert frames.base is seconds.base
    assert not frames.flags.writeable
    with h5py.File(folder / VIDEO, "r+"):  # HDF5 refuses to write where the same process still reads
        pass


def test_items(folder: Path) -> None:
    shard = ShardReader(folder / TEXT)
    assert [words[:, 0].tolist() for words in shard.items("words", [2, 0])] == [[2] * 4, [0] * 2]
    assert [row.tolist() for row in shard.items("sentence_row", [3, 1])] == [[4], [2]]
    assert shard.ids == ["t0", "t1", "t2", "t3"]
    assert not shard.has_sentences


@pytest.mark.parametrize("name", ["words", "texts", "nothing"])
def test_a_column_fails_that_is_not_there(folder: Path, name: str) -> None:
    shard = ShardReader(folder / VIDEO)
    for read in (shard.array, shard.strings, lambda name: shard.items(name, [0])):
        with pytest.raises(StoreError, match=f"column '{name}' is not one of a tvr store.*there is none"):
            read(name)


def changed(path: Path, change: Callable[[h5py.File], object]) -> Path:
    """Change a shard, and make its receipt fit, as somebody would who means harm."""
    with h5py.File(path, "r+") as file:
        change(file)
    receipt = dataclasses.asdict(load_receipt(path))
    values = {"bytes": path.stat().st_size, "sha256": sha256_of(path), "rows_at": []}
    values["structure_sha256"] = structure_sha256(path, [])
    write_checksummed(receipt_path(path), receipt | values)
    return path


def replace(name: str, **dataset: object) -> Callable[[h5py.File], None]:
    """Put another column in the place of one."""

    def change(file: h5py.File) -> None:
        del file[name]
        file.create_dataset(name, **dataset)

    return change


def replace_by_link(link: object) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file["frames"]
        file["frames"] = link

    return change


def replace_by_group(file: h5py.File) -> None:
    del file["ids"]
    file.create_group("ids")


def delete_offsets(file: h5py.File) -> None:
    del file["offsets"]


def make_virtual(file: h5py.File) -> None:
    del file["frames"]
    layout = h5py.VirtualLayout((4, DIM), np.float16)
    layout[:] = h5py.VirtualSource("/etc/passwd", "frames", (4, DIM))
    file.create_virtual_dataset("frames", layout)


FRAMES = np.zeros((4, DIM), np.float16)
CRAFTED: dict[str, tuple[Callable[[h5py.File], None], str]] = {
    "soft link": (replace_by_link(h5py.SoftLink("/frame_seconds")), "'frames'.*it is a link"),
    "broken link": (replace_by_link(h5py.SoftLink("/nothing")), "'frames'.*it is a link"),
    "external link": (replace_by_link(h5py.ExternalLink("/etc/passwd", "/x")), "'frames'.*it is a link"),
    "group": (replace_by_group, "'ids'.*it is a group"),
    "external bytes": (
        replace("frames", shape=(4, DIM), dtype="f2", external=[("/etc/passwd", 0, 48)]),
        "'frames'.*not in one piece",
    ),
    "virtual": (make_virtual, "'frames'.*not in one piece"),
    "compressed": (replace("frames", data=FRAMES, compression="gzip"), "'frames'.*not in one piece"),
    "too large": (replace("frames", shape=(1 << 40, DIM), dtype="f2"), "'frames'.*larger than the file"),
    "other axes": (replace("frames", data=FRAMES[0]), "'frames'.*its shape is"),
    "no axes": (replace("frames", data=1.0), "'frames'.*its shape is"),
    "numbers for strings": (replace("ids", data=np.arange(2)), "'ids'"),
    "strings for numbers": (replace("frame_index", data=["0"] * 4), "'frame_index'.*it holds object"),
    "not UTF-8": (
        replace("reason", data=np.array([b"\xff\xff", b""], object), dtype=h5py.string_dtype()),
        "'reason'",
    ),
    "integers": (replace("frames", data=FRAMES.astype(np.int16)), "'frames'.*it holds int16 6 wide, not 6"),
    "other width": (replace("frames", data=FRAMES[:, :5]), "'frames'.*5 wide, not 6"),
    "too few rows": (replace("frames", data=FRAMES[:3]), "'frames'.*it has 3 entries, not 4"),
    "too many ids": (replace("ids", data=["a", "b", "c"]), "'ids'.*it has 3 entries, not 2"),
    "falling": (replace("offsets", data=np.array([0, 5, 4])), "'offsets'.*does not rise from 0"),
    "from one": (replace("offsets", data=np.array([1, 1, 4])), "'offsets'.*does not rise from 0"),
    "fractions": (replace("offsets", data=np.array([0.0, 0.0, 4.0])), "'offsets'.*does not rise from 0"),
    "no boundary": (replace("offsets", data=np.zeros(0, np.int64)), "'offsets'.*does not rise from 0"),
    "no offsets": (delete_offsets, "'offsets'.*there is none"),
}


@pytest.mark.parametrize("crafted", CRAFTED)
def test_a_shard_fails_with_a_column_that_no_shard_has(folder: Path, crafted: str) -> None:
    change, said = CRAFTED[crafted]
    with pytest.raises(StoreError, match=said):
        ShardReader(changed(folder / VIDEO, change), DIM)


def test_a_shard_is_read_with_columns_of_a_later_version(folder: Path) -> None:
    path = changed(folder / VIDEO, lambda file: file.create_dataset("more", data=[1], chunks=(1,)))
    assert ShardReader(path, DIM).ids == ["v2", "v3"]


@pytest.mark.parametrize("damage", ["absent", "no receipt", "cut", "flipped"])
def test_a_shard_fails_that_is_not_what_was_written(folder: Path, damage: str) -> None:
    path = folder / VIDEO
    data = path.read_bytes()
    if damage == "absent":
        path.unlink()
    elif damage == "no receipt":
        receipt_path(path).unlink()
    elif damage == "cut":
        path.write_bytes(data[:-1])
    else:
        path.write_bytes(data[:9] + bytes([data[9] ^ 1]) + data[10:])
    with pytest.raises(StoreError, match=r"cannot be read.*`tvr verify --store .* lists what is damaged"):
        ShardReader(path)
