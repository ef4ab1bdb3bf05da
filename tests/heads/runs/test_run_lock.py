"""One process at a time writes into a run folder, and whoever comes second is told who does."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tvr.data.contracts.errors import TrainingError
from tvr.heads import seq_transformer
from tvr.heads.runs.run_lock import RUN_LOCK, RunTakenError, is_taken, run_lock
from tvr.heads.runs.training_config import TrainingConfig
from tvr.heads.training.history import EpochReport
from tvr.heads.training.loop import train
from tvr.pipeline.store.atomic_files import temporary_path

from ...fixtures.generated import generated_features, generated_store
from ...fixtures.warm_shell import warm_shell

CONFIG = TrainingConfig(epochs=1, batch_size=16, device="cpu")


def test_a_second_trainer_fails_while_the_first_is_at_it(tmp_path: Path) -> None:
    features = {"train": generated_features(videos=16)}
    refused: list[str] = []

    def meet_another(report: EpochReport) -> None:
        before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
        with pytest.raises(RunTakenError) as error:
            train("seq_transformer", seq_transformer.Config(layers=1), features, CONFIG, tmp_path)
        refused.append(str(error.value))
        assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before

    train("seq_transformer", seq_transformer.Config(layers=1), features, CONFIG, tmp_path, meet_another)
    assert len(refused) == 1
    assert f"process {os.getpid()} on {socket.gethostname()} trains into {tmp_path}" in refused[0]
    assert "Wait until it has ended and run the same command again, or name another run folder" in refused[0]
    assert not (tmp_path / RUN_LOCK).exists()


def test_the_lock_of_a_killed_trainer_is_nobodys(tmp_path: Path) -> None:
    program = (
        "import fcntl, sys; file = open(sys.argv[1], 'w'); fcntl.flock(file, fcntl.LOCK_EX); print(flush=True); "
        "sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(tmp_path / RUN_LOCK)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as trainer:
        assert trainer.stdout is not None
        trainer.stdout.readline()
        own = temporary_path(tmp_path / "head.safetensors")
        half = own.with_name(own.name.replace(f"-{os.getpid()}.", f"-{trainer.pid}."))
        half.touch()
        assert is_taken(tmp_path)
        with pytest.raises(RunTakenError), run_lock(tmp_path):
            pass
        trainer.kill()
    assert not is_taken(tmp_path)
    with run_lock(tmp_path):
        assert is_taken(tmp_path)
        assert not half.exists(), "half a file of the killed one"
    assert list(tmp_path.iterdir()) == []


def test_run_lock_fails_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(
            TrainingError, match=r"cannot write to the run folder .*Not a directory.*another folder"
        ),
        run_lock(tmp_path / "file" / "run"),
    ):
        pass


def test_train_fails_among_files_of_an_unknown_run(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"epoch": 1}\n')
    features = {"train": generated_features(videos=16)}
    with pytest.raises(
        TrainingError, match=r"holds metrics\.jsonl of a run, and no config\.json that says which"
    ):
        train("seq_transformer", seq_transformer.Config(layers=1), features, CONFIG, tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="no locks there")
def test_a_lock_of_another_user_fails_in_words(tmp_path: Path) -> None:
    """Which may not be opened, so that nobody can say whether that one lives."""
    store, run = generated_store(tmp_path / "store", videos=16), tmp_path / "run"
    run.mkdir()
    (run / RUN_LOCK).touch(mode=0)
    line = ("train-head", "--store", store, "--run", run, "--epochs", "1", "--device", "cpu")
    code, said = warm_shell().run(*line, bound=True)
    assert code == 7
    assert f"a process of another user (who alone may open {run / RUN_LOCK}" in said
    assert sorted(file.name for file in run.iterdir()) == [RUN_LOCK]
