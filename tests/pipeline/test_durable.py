import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tvr.pipeline.durable import remove_leftovers, sha256_of, write_json, write_json_once, written_whole


def test_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    with written_whole(path) as beside:
        beside.write_bytes(b"abc")
        assert not path.exists()
    assert path.read_bytes() == b"abc"
    assert [p.name for p in tmp_path.iterdir()] == ["x.bin"]


def test_written_whole_fails(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="half way"), written_whole(path) as beside:
        beside.write_bytes(b"new and half")
        raise RuntimeError("half way")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["x.bin"]


def test_write_json_keeps_unicode(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"a": "città"})
    assert "città" in (tmp_path / "x.json").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "x.json").read_text(encoding="utf-8")) == {"a": "città"}


def test_the_first_of_several_writers_wins(tmp_path: Path) -> None:
    write_json_once(tmp_path / "x.json", {"job": 1})
    write_json_once(tmp_path / "x.json", {"job": 2})
    assert json.loads((tmp_path / "x.json").read_text()) == {"job": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_write_once_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise OSError("operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    write_json_once(tmp_path / "x.json", {"job": 1})
    assert json.loads((tmp_path / "x.json").read_text()) == {"job": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_write_once_fails(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        write_json_once(tmp_path / "nowhere" / "x.json", {})


_DIES_HALF_WAY = """
import os, signal, sys
from pathlib import Path
from tvr.pipeline.durable import written_whole
with written_whole(Path(sys.argv[1])) as beside:
    beside.write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_leftovers_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", _DIES_HALF_WAY, str(tmp_path / "a.h5")], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 1
    with written_whole(tmp_path / "b.h5") as mine:  # a living process's file stays
        mine.write_bytes(b"x")
        removed = remove_leftovers(tmp_path)
        assert len(removed) == 1
        assert removed[0].startswith("a.h5.")
        assert mine.exists()
    assert os.listdir(tmp_path) == ["b.h5"]  # noqa: PTH208


def test_sha256_of(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert sha256_of(tmp_path / "x").startswith("ba7816bf8f01cfea")
