"""What ``--quiet``, ``--verbose`` and ``--log-file`` change, before a command's name and after it."""

from pathlib import Path

import pytest

from ...fixtures.shell import tvr

ADVICE = "tvr: no features in"


@pytest.mark.parametrize("before", [True, False])
def test_a_log_file_keeps_the_command_and_what_it_said(tmp_path: Path, before: bool) -> None:
    log = tmp_path / "my log.txt"
    said = ["--log-file", str(log)]
    command = ["inspect", "--workspace", str(tmp_path / "none")]
    answer = tvr(*((*said, *command) if before else (*command, *said)), cwd=tmp_path)
    assert answer.code == 4
    assert ADVICE in answer.err
    lines = log.read_text(encoding="utf-8").splitlines()
    assert "tvr inspect" in lines[0].replace(f"--log-file '{log}' ", "")
    assert "ERROR no features in" in lines[1]
    assert len(lines) == 2, "an expected error has no traceback"


def test_a_log_file_is_added_to(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    for _ in range(2):
        tvr("inspect", "--workspace", str(tmp_path), "--log-file", str(log), cwd=tmp_path)
    assert log.read_text(encoding="utf-8").count("ERROR no features") == 2


def test_a_log_file_fails_where_it_cannot_be_written(tmp_path: Path) -> None:
    answer = tvr("inspect", "--log-file", str(tmp_path / "no folder" / "log.txt"), cwd=tmp_path)
    assert answer.code == 2
    assert "cannot be written: there is no folder" in answer.err


def test_quiet_leaves_results_and_errors(tmp_path: Path) -> None:
    assert ADVICE in tvr("inspect", "--workspace", str(tmp_path), "-q", cwd=tmp_path).err
    films = ("extract", "--dataset", "storyboard", "--model", "tvr-storyboard", "--num-frames", "2")
    sizes = [f"--data={split}_videos=2" for split in ("train", "val", "test")]
    log = tmp_path / "log.txt"
    loud = tvr(*films, *sizes, "--workspace", str(tmp_path / "a"), "--log-file", str(log), cwd=tmp_path)
    quiet = tvr(*films, *sizes, "--workspace", str(tmp_path / "b"), "--quiet", cwd=tmp_path)
    assert "train: 2 of 2" in loud.err
    assert "next:" in loud.out
    assert "INFO 6 videos (6 ok) and 6 captions" in log.read_text(encoding="utf-8")
    assert quiet.err == ""
    assert "6 videos (6 ok) and 6 captions" in quiet.out
    assert "next:" not in quiet.out, "advice is no result"
    assert quiet.out.count("\n") == 1, "nor is where the time went"


def test_verbose_says_where_an_error_arose(tmp_path: Path) -> None:
    answer = tvr("-v", "inspect", "--workspace", str(tmp_path), cwd=tmp_path)
    assert "Traceback" in answer.err
    assert "workspace.py" in answer.err
    assert "Traceback" not in tvr("inspect", "--workspace", str(tmp_path), cwd=tmp_path).err


def test_a_log_fails_on_a_full_disk_in_one_line(tmp_path: Path) -> None:
    """Which is no reason to end what runs."""
    answer = tvr("stores", "--log-file", "/dev/full", cwd=tmp_path)
    assert (answer.code, answer.err.count("\n")) == (0, 1), answer.err
    assert answer.err.startswith("warning: --log-file /dev/full cannot be written (No space left on device)")
