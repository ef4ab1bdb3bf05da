"""``tvr verify`` finds whatever was changed after it was written."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import h5py
import pytest
from h5py import h5o  # pyright: ignore[reportAttributeAccessIssue]
from tvr.data.contracts.errors import StoreError
from tvr.pipeline.store.checksummed_json import write_checksummed
from tvr.pipeline.store.verification import damage_of, verify

from ...fixtures.stores import write_store

VIDEO, TEXT = "video-00001-of-00003.h5", "text-00000-of-00002.h5"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_store(tmp_path_factory.mktemp("sound") / "store")


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    return shutil.copytree(sound, tmp_path / "store")


def regions(path: Path) -> Iterator[tuple[str, int]]:
    """A byte of each part of a shard: its ends, each column's rows, the heap of its strings, and what lies between."""
    size = path.stat().st_size
    with h5py.File(path) as file:
        taken: set[int] = set()
        for name, column in file.items():
            start, length = column.id.get_offset(), column.id.get_storage_size()
            if start is not None:
                taken.update(range(start, start + length))
                yield f"rows of {name}", start + length // 2
            yield f"header of {name}", h5o.get_info(column.id).addr + 9
    data = path.read_bytes()
    yield "superblock", 9
    yield "heap of strings", data.index(b"GCOL") + 40
    yield "padding", next(i for i in range(size - 1, 0, -1) if i not in taken and data[i] == 0)
    yield "last byte", size - 1


@pytest.mark.parametrize("shard", [VIDEO, TEXT])
def test_a_flipped_byte_in_every_region(folder: Path, shard: str) -> None:
    path = folder / shard
    data = path.read_bytes()
    places = dict(regions(path))
    assert len(places) > 12
    for region, place in places.items():
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        damages = verify(folder).damages
        assert [damage.file for damage in damages] == [shard], region
        assert damages[0].problem == "differs from the sha256 in its receipt"
    path.write_bytes(data)
    assert verify(folder).damages == ()


def test_every_byte_of_a_shard_and_of_its_receipt(folder: Path) -> None:
    for path in (folder / VIDEO, (folder / VIDEO).with_suffix(".json")):
        data = path.read_bytes()
        with path.open("r+b", buffering=0) as file:
            for place in range(len(data)):
                file.seek(place)
                file.write(bytes([data[place] ^ (1 << place % 8)]))
                assert damage_of(folder / VIDEO), (path.name, place)
                file.seek(place)
                file.write(data[place : place + 1])
    assert damage_of(folder / VIDEO) == ""


def test_each_record_and_each_shard_that_is_not_there(folder: Path) -> None:
    assert verify(folder).num_files == 7
    (folder / "splits.json").write_text('{"train": ["v0"], "test": ["v3", "v4"]}')
    (folder / VIDEO).unlink()
    (folder / TEXT).write_bytes((folder / TEXT).read_bytes()[:-1])
    (folder / "text-00001-of-00002.json").unlink()
    problems = {damage.file: damage.problem for damage in verify(folder).damages}
    assert problems[VIDEO] == "is missing"
    assert "bytes long, its receipt says" in problems[TEXT]
    assert problems["text-00001-of-00002.h5"] == "has no receipt"
    assert problems["splits.json"] == "holds other ids than the manifest was written with"
    (folder / "store.json").write_text((folder / "store.json").read_text().replace("100.0", "10.0"))
    assert "changed after it was written" in {d.file: d.problem for d in verify(folder).damages}["store.json"]


def test_a_request_is_held_by_its_checksum(folder: Path) -> None:
    request = folder / "request.json"
    write_checksummed(request, {"request": {"root": "/data"}})
    assert verify(folder).damages == ()
    assert verify(folder).num_files == 8
    original = request.read_text()
    for altered in (original.replace("/data", "/date"), original[:-20], "{}", ""):
        request.write_text(altered)
        assert [damage.file for damage in verify(folder).damages] == ["request.json"], altered
        assert re.search("not a JSON object with its|changed after it was", verify(folder).damages[0].problem)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sha256": "0" * 64}, "changed after it was written"),
        ({"rows": 3}, "changed after it was written"),
        (None, "it is the receipt of video-00000-of-00003.h5"),
    ],
)
def test_a_receipt_that_disagrees(folder: Path, changes: dict[str, object] | None, said: str) -> None:
    receipt = (folder / VIDEO).with_suffix(".json")
    if changes is None:
        shutil.copy(folder / "video-00000-of-00003.json", receipt)
    else:
        receipt.write_text(json.dumps(json.loads(receipt.read_text()) | changes, indent=2))
    assert said in damage_of(folder / VIDEO)


def test_progress_counts_the_files_that_the_result_counts(folder: Path) -> None:
    told: list[tuple[int, int]] = []
    found = verify(folder, lambda done, total: told.append((done, total)))
    assert {total for _, total in told} == {found.num_files}
    assert told[-1][0] == found.num_files


def test_verify_fails_where_there_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no feature store"):
        verify(tmp_path)
