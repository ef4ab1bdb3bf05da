import errno
import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tvr.pipeline.store.atomic_files import atomic_write, remove_leftovers, write_json
from tvr.pipeline.store.checksummed_json import create_checksummed, read_checksummed, write_checksummed


def test_atomic_write(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    with atomic_write(path) as beside:
        beside.write_bytes(b"abc")
        assert not path.exists()
    assert path.read_bytes() == b"abc"
    assert [p.name for p in tmp_path.iterdir()] == ["x.bin"]


def test_atomic_write_fails(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="half way"), atomic_write(path) as beside:
        beside.write_bytes(b"new and half")
        raise RuntimeError("half way")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["x.bin"]


def test_write_json_keeps_unicode(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"a": "città"})
    assert "città" in (tmp_path / "x.json").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "x.json").read_text(encoding="utf-8")) == {"a": "città"}


def test_a_path_that_is_not_utf8_comes_back(tmp_path: Path) -> None:
    record = {"root": os.fsdecode(b"/caf\xe9/\xff"), "name": "日本"}
    write_checksummed(tmp_path / "x.json", record)
    assert read_checksummed(tmp_path / "x.json") == record
    assert "日本" in (tmp_path / "x.json").read_text(encoding="utf-8")
    write_json(tmp_path / "y.json", record)
    assert json.loads((tmp_path / "y.json").read_bytes()) == record


def test_the_first_of_several_writers_wins(tmp_path: Path) -> None:
    create_checksummed(tmp_path / "x.json", {"job": 1})
    create_checksummed(tmp_path / "x.json", {"job": 2})
    assert read_checksummed(tmp_path / "x.json") == {"job": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_create_checksummed_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise OSError("operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    create_checksummed(tmp_path / "x.json", {"job": 1})
    assert read_checksummed(tmp_path / "x.json") == {"job": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_write_checksummed(tmp_path: Path) -> None:
    write_checksummed(tmp_path / "x.json", {"a": "città", "b": [1, 0.1]})
    assert read_checksummed(tmp_path / "x.json") == {"a": "città", "b": [1, 0.1]}


def test_read_checksummed_fails_on_any_changed_byte(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_checksummed(path, {"a": "città", "b": [1, 0.1]})
    data = path.read_bytes()
    for place in range(len(data)):
        for byte in {data[place] ^ 1, data[place] ^ 0x80, ord(" "), ord("\t"), 0} - {data[place]}:
            path.write_bytes(data[:place] + bytes([byte]) + data[place + 1 :])
            with pytest.raises(
                ValueError, match=r"not a JSON object with its checksum|changed after it was written"
            ):
                read_checksummed(path)


@pytest.mark.parametrize("data", [b"", b"null", b"[]", b"{}", b"[" * 100_000, b'{"seal": 1}', b"\xff\xfe"])
def test_read_checksummed_fails(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.json").write_bytes(data)
    with pytest.raises(ValueError, match=r"not a JSON object with its checksum|changed after it was written"):
        read_checksummed(tmp_path / "x.json")


def test_create_checksummed_fails(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        create_checksummed(tmp_path / "nowhere" / "x.json", {})


_DIES_HALF_WAY = """
import os, signal, sys
from pathlib import Path
from tvr.pipeline.store.atomic_files import atomic_write
with atomic_write(Path(sys.argv[1])) as beside:
    beside.write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_leftovers_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", _DIES_HALF_WAY, str(tmp_path / "a.h5")], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 1
    with atomic_write(tmp_path / "b.h5") as mine:  # a living process's file stays
        mine.write_bytes(b"x")
        removed = remove_leftovers(tmp_path)
        assert len(removed) == 1
        assert removed[0].startswith("a.h5.")
        assert mine.exists()
    assert os.listdir(tmp_path) == ["b.h5"]  # noqa: PTH208


@pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux tells the dead from the living without asking"
)
def test_leftovers_of_a_killed_process_that_nobody_buries_are_removed(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", _DIES_HALF_WAY, str(tmp_path / "a.h5")])
    deadline = time.monotonic() + 60
    while not remove_leftovers(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not list(tmp_path.iterdir())
    assert process.wait() == -signal.SIGKILL


def refuse_to_flush(monkeypatch: pytest.MonkeyPatch, code: int, *, folders: bool) -> None:
    """The file system refuses to flush folders, or files."""
    flush = os.fsync

    def refusing(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode) == folders:
            raise OSError(code, os.strerror(code))
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", refusing)


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.ENOSYS])
def test_a_file_system_that_does_not_flush_folders_is_noted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    refuse_to_flush(monkeypatch, code, folders=True)
    with pytest.warns(UserWarning, match="does not flush the names in a folder") as noted:
        for text in ("one", "two"):
            write_json(tmp_path / "a.json", text)
    assert len(noted) == 1
    assert os.strerror(code) in str(noted[0].message)
    assert [path.read_text() for path in tmp_path.iterdir()] == ['"two"\n']


@pytest.mark.parametrize(("code", "folders"), [(errno.EIO, True), (errno.EIO, False), (errno.EINVAL, False)])
def test_bytes_that_are_lost_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, *, folders: bool
) -> None:
    refuse_to_flush(monkeypatch, code, folders=folders)
    with pytest.raises(OSError, match=os.strerror(code)):
        write_json(tmp_path / "a.json", "one")
    assert [path.name for path in tmp_path.iterdir()] == (["a.json"] if folders else [])
