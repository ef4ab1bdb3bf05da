"""What a file is that was taken for one of weights: in the words of whoever has to find the right one."""

import re
import zipfile
from pathlib import Path

SAFE = ".safetensors"

_READ = 1024
"""Bytes from which a kind is told."""

_STARTS = {
    b"version https://git-lfs": "it is a pointer of Git LFS: fetch the file that it stands for, with `git lfs pull`",
    b"\x1f\x8b": "it is a compressed archive: unpack it, and name the file of weights in it",
    b"\x89HDF": "it is an HDF5 file, which no checkpoint is",
    b"\x93NUMPY": "it is one array of NumPy, not tensors by name",
    b"\x7fELF": "it is a program",
}


def is_torchscript(path: Path) -> bool:
    """Whether torch would take a file for a TorchScript archive: a zip with ``constants.pkl`` at its own root.

    It is only asked to find the right words and the right reader, never to trust a file: what is taken for an
    archive by mistake is refused, or read by ``torch.jit.load`` alone.
    """
    return any(name.partition("/")[2] == "constants.pkl" for name in _names_within(path))


def why_no_weights(path: Path, error: Exception) -> str | None:
    """Why a file could not be read as tensors by name, and what to do; None where its kind does not tell.

    Torch's own words are no help where it has no file of its own before it: they advise to run the code in it.

    Args:
        path: of the file.
        error: what its reader said.
    """
    if path.is_dir():
        return "it is a folder: name the file of weights in it"
    if not path.stat().st_size:
        return "it is empty: copy or download it again"
    with path.open("rb") as file:
        start = file.read(_READ)
    for first, kind in _STARTS.items():
        if start.startswith(first):
            return kind
    if start[8:10] == b'{"' and path.suffix != SAFE:
        return f"it looks like a {SAFE} file: give it that ending"
    if start.startswith(b"PK"):
        return _kind_of_zip(path) or _code_within(error)
    if _is_text(start):
        is_page = start.lstrip()[:1] == b"<"
        return "it is a web page: download the file itself" if is_page else "it is a text file"
    return _code_within(error)


def _kind_of_zip(path: Path) -> str | None:
    """What is wrong with an archive that torch.save did not write; None of one that it did."""
    names = _names_within(path)
    if not names:
        return "it is cut short or damaged: copy or download it again"
    if is_torchscript(path):
        return "it is a TorchScript archive, a program: the code that made it can save its state_dict() alone"
    if all(name.endswith(".npy") for name in names):
        return "it is an archive of NumPy"
    if not any(name.rpartition("/")[2] == "data.pkl" for name in names):
        return "it is a zip archive: unpack it, and name the file of weights in it"
    return "torch.save wrote it: give it the ending .pt" if path.suffix == SAFE else None


def _code_within(error: Exception) -> str | None:
    asked = re.search(r"GLOBAL ([\w.]+)", str(error))
    if asked is None:
        return None
    return (
        f"it asks for code ({asked[1]}), which was refused: only tensors are read. The code that made it can save its "
        "state_dict() alone"
    )


def _names_within(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (OSError, ValueError, LookupError, NotImplementedError, RuntimeError, zipfile.BadZipFile):
        return []


def _is_text(start: bytes) -> bool:
    """Whether bytes are characters; the last one may be cut."""
    try:
        text = start.decode("utf-8", errors="strict" if len(start) < _READ else "ignore")
    except UnicodeDecodeError:
        return False
    return all(letter.isprintable() or letter.isspace() for letter in text)
