"""Checkpoint files of every kind that is safe to read."""

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save as safe
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
    with pytest.raises(WeightsError, match="there is no such file"):
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


def saved(content: Any) -> bytes:
    """What torch.save writes."""
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def zipped(name: str) -> bytes:
    """An archive with one file in it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, "something")
    return file.getvalue()


WRONG: dict[str, tuple[bytes, str]] = {
    "notes.txt": (b"not weights", "it is a text file"),
    "notes.safetensors": ("Gewichte für später\n".encode() * 99, "it is a text file"),
    "page.pt": (b"<!DOCTYPE html><title>404</title>", "it is a web page"),
    "pointer.bin": (b"version https://git-lfs.github.com/spec/v1\nsize 9\n", "it is a pointer of Git LFS"),
    "empty.pt": (b"", "it is empty"),
    "empty.safetensors": (b"", "it is empty"),
    "release.zip": (zipped("pytorch_model.bin"), "it is a zip archive: unpack it"),
    "release.tar.gz": (b"\x1f\x8b\x08" + bytes(99), "it is a compressed archive: unpack it"),
    "script.pt": (zipped("script/constants.pkl"), "it is a TorchScript archive, a program"),
    "model.pth": (saved(torch.nn.Linear(2, 2)), r"it asks for code \(torch.nn.modules.linear.Linear\)"),
    "settings.pt": (saved({"lr": Path("x")}), r"it asks for code \(pathlib\.\w*Path\)"),
    "half.pt": (saved(WEIGHTS)[:700], "it is cut short or damaged"),
    "arrays.npz": (zipped("a.npy"), "it is an archive of NumPy"),
    "array.npy": (b"\x93NUMPY\x01\x00" + bytes(99), "it is one array of NumPy"),
    "store.h5": (b"\x89HDF\r\n\x1a\n" + bytes(99), "it is an HDF5 file"),
    "other.pkl": (pickle.dumps({"a": 1}), "it is damaged, or holds something else than tensors"),
    "misnamed.bin": (safe(WEIGHTS), r"it looks like a \.safetensors file"),
    "misnamed.safetensors": (saved(WEIGHTS), r"give it the ending \.pt"),
}
"""What lies about beside checkpoints, and what is said of it."""


@pytest.mark.parametrize("name", WRONG)
def test_wrong_files_fail_in_plain_words(tmp_path: Path, name: str, recwarn: pytest.WarningsRecorder) -> None:
    """Torch's own advice is to switch off what keeps a file from running its code."""
    content, said = WRONG[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=rf"neither .* nor a plain state dict .*: {said}") as refused:
        read_state_dict(tmp_path / name)
    message = str(refused.value).replace(str(tmp_path), "")
    for advice in ("weights_only", "trust", "option", "\x1b", "PyTorch", "internal"):
        assert advice not in message
    assert len(message) < 300 and not recwarn.list


def test_a_folder_fails(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="it is a folder: name the file of weights in it"):
        read_state_dict(tmp_path)


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
