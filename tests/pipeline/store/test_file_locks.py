import os
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from tvr.pipeline.store.file_locks import FileLock, is_held

from ...fixtures.lock_owners import lock_owner

_ACQUIRES_AND_WAITS = """
import sys
from pathlib import Path
from tvr.pipeline.store.file_locks import FileLock
with FileLock(Path(sys.argv[1]), shared=sys.argv[2] == "shared") as lock:
    print(lock.acquire(), flush=True)
    sys.stdin.read()
"""

needs_root = pytest.mark.skipif(
    os.name != "posix" or os.geteuid() != 0, reason="gives up its privileges: root"
)


def owner(path: Path, kind: str) -> "subprocess.Popen[str]":
    """Another process that holds the lock, exclusive or shared."""
    return lock_owner(_ACQUIRES_AND_WAITS, path, kind)


def test_a_lock_is_one_process_s_until_it_dies(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    with owner(path, "exclusive") as process:
        with FileLock(path) as lock, FileLock(path, shared=True) as shared:
            assert not lock.acquire()
            assert not shared.acquire()
            process.kill()
            process.wait()
            assert path.exists()
            assert lock.acquire()
            assert lock.acquire(), "it has it already"
        assert not path.exists()


def test_a_shared_lock_is_everybody_s_who_shares(tmp_path: Path) -> None:
    path = tmp_path / "store.lock"
    with owner(path, "shared") as process:
        with FileLock(path, shared=True) as shared:
            assert shared.acquire()
        assert path.exists(), "the other one still holds it"
        alone = FileLock(path)
        assert not alone.acquire()
        process.kill()
        process.wait()
        assert alone.acquire()
        alone.release()
    assert not path.exists()


def test_a_lock_where_nothing_may_be_written_fails(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        FileLock(tmp_path / "no folder" / "run.lock").acquire()


def test_a_link_in_the_place_of_a_lock_fails(tmp_path: Path) -> None:
    """A store or a run that a stranger made may hold one, which leads anywhere."""
    own = tmp_path / "thesis.tex"
    own.write_text("all of it")
    for target in (own, tmp_path / "new"):
        path = tmp_path / f"{target.name}.lock"
        path.symlink_to(target)
        with FileLock(path) as lock, pytest.raises(OSError, match="symbolic"):
            lock.acquire()
    assert own.read_text() == "all of it"
    assert not (tmp_path / "new").exists()


def test_whoever_holds_a_lock_says_so_in_it(tmp_path: Path) -> None:
    with FileLock(tmp_path / "run.lock") as lock:
        lock.sign("nobody has it")
        assert lock.acquire()
        lock.sign("somebody with a long name")
        lock.sign("me")
        assert (tmp_path / "run.lock").read_text() == "me"


@needs_root
@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_a_lock_of_another_user_counts_as_held(mode: int) -> None:
    with TemporaryDirectory() as folder:  # unlike tmp_path, one that others can be let into
        Path(folder).chmod(0o777)
        path = Path(folder, "video-00000-of-00001.h5.lock")
        with owner(path, "exclusive"):
            path.chmod(mode)
            os.seteuid(65534)
            try:
                assert not FileLock(path).acquire()
            finally:
                os.seteuid(0)


@needs_root
@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_who_only_looks_needs_no_right_to_write(mode: int) -> None:
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = Path(folder, "writers.lock")
        os.seteuid(65534)
        try:
            assert not is_held(path)
        finally:
            os.seteuid(0)
        with owner(path, "shared") as process:
            path.chmod(mode)
            os.seteuid(65534)
            try:
                assert is_held(path)
            finally:
                os.seteuid(0)
            process.kill()
            process.wait()
        assert not is_held(path), "of a killed one"
        assert path.exists(), "whoever looks takes nothing away"


def test_who_only_looks_follows_no_link(tmp_path: Path) -> None:
    with owner(tmp_path / "own.lock", "exclusive"):
        (tmp_path / "link.lock").symlink_to(tmp_path / "own.lock")
        assert is_held(tmp_path / "own.lock")
        assert not is_held(tmp_path / "link.lock")
