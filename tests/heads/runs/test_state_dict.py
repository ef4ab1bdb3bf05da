"""Checkpoint files of every kind that is safe to read."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tvr.data.contracts.errors import WeightsError
from tvr.heads.runs.state_dict import read_state_dict

from ...fixtures.fuzz import cases

WEIGHTS = {"a.weight": torch.ones(2, 3), "b": torch.zeros(1)}


@pytest.mark.parametrize(
    "wrapped", [WEIGHTS, {"state_dict": WEIGHTS, "epoch": 3}, {"model": {"state_dict": WEIGHTS}}]
)
def test_torch_files(tmp_path: Path, wrapped: dict[str, object]) -> None:
    torch.save(wrapped, tmp_path / "head.bin")
    assert read_state_dict(tmp_path / "head.bin").keys() == WEIGHTS.keys()


def test_safetensors(tmp_path: Path) -> None:
    save_file(WEIGHTS, tmp_path / "head.safetensors")
    assert read_state_dict(tmp_path / "head.safetensors").keys() == WEIGHTS.keys()


def test_a_missing_file_fails(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no checkpoint at"):
        read_state_dict(tmp_path / "nothing.pt")


def test_code_in_a_file_fails_and_is_not_run(tmp_path: Path) -> None:
    class Mischief:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return (Path.touch, (tmp_path / "was_run",))

    torch.save({"state_dict": Mischief()}, tmp_path / "bad.pt")
    (tmp_path / "worse.pt").write_bytes(pickle.dumps(Mischief(), protocol=2))
    for name in ("bad.pt", "worse.pt"):
        with pytest.raises(WeightsError, match=r"neither a \.safetensors file nor a plain state dict"):
            read_state_dict(tmp_path / name)
    assert not (tmp_path / "was_run").exists()


@pytest.mark.parametrize("content", [{"epoch": 3}, [torch.ones(1)]])
def test_no_tensors_by_name_fails(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(WeightsError, match="holds no tensors by name"):
        read_state_dict(tmp_path / "other.pt")


def test_a_text_file_fails(tmp_path: Path) -> None:
    (tmp_path / "notes.safetensors").write_text("not weights")
    with pytest.raises(WeightsError, match="neither"):
        read_state_dict(tmp_path / "notes.safetensors")


@pytest.mark.parametrize("name", ["x.safetensors", "x.pt", "old.pth"])
def test_mutated_files(tmp_path: Path, name: str) -> None:
    """Torch answers with a dozen kinds of exception; whoever reads a checkpoint meets one."""
    if name == "x.safetensors":
        save_file(WEIGHTS, tmp_path / name)
    else:
        torch.save(WEIGHTS, tmp_path / name, _use_new_zipfile_serialization=name == "x.pt")
    data, refused = (tmp_path / name).read_bytes(), 0
    for seed in range(cases(150)):
        rng = np.random.default_rng([8, seed])
        changed = bytearray(data)
        for _ in range(rng.integers(1, 8)):
            changed[int(rng.integers(len(changed)))] = int(
                rng.choice([0, 127, 128, 255, int(rng.integers(256))])
            )
        (tmp_path / name).write_bytes(changed[: int(rng.integers(len(data)))] if seed % 10 == 0 else changed)
        try:
            read_state_dict(tmp_path / name)
        except WeightsError:
            refused += 1
    assert refused > cases(150) / 3
