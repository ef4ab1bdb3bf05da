"""Names in a workspace: of those who ask at the same time, each has its own."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from tvr.data.contracts.errors import TrainingError
from tvr.pipeline.workspace import Workspace


def test_no_two_runs_get_the_same_folder(tmp_path: Path) -> None:
    workspace, together = Workspace(tmp_path), Barrier(8)

    def trained(_: int) -> Path:
        together.wait()
        with workspace.new_run_folder("toy", "wti") as folder:
            (folder / "config.json").touch()
        return folder

    with ThreadPoolExecutor(8) as pool:
        names = sorted(folder.name for folder in pool.map(trained, range(8)))
    assert names == [f"wti-{number}" for number in range(1, 9)]


def test_a_run_that_did_not_begin_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(KeyError), Workspace(tmp_path).new_run_folder("toy", "wti") as folder:
        raise KeyError(folder.name)
    assert not folder.exists()
    with Workspace(tmp_path).new_run_folder("toy", "wti") as again:
        assert again == folder


def test_a_new_run_folder_fails_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "runs").touch()
    message = r"cannot make a run folder in .*--run"
    with pytest.raises(TrainingError, match=message), Workspace(tmp_path).new_run_folder("toy", "wti"):
        pass
