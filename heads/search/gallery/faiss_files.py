"""Files of FAISS that are read only if they are byte for byte what was written.

FAISS reads what a file says without doubting it. So a file is opened only if its digest is that of a record, and if it
begins as its kind does; who forges both can still make FAISS do what a file can make it do.
"""

import hashlib
from importlib import import_module
from pathlib import Path
from typing import Any

from ....data.contracts.errors import UsageError
from ....data.contracts.identity import sha256_of
from ....pipeline.store.atomic_files import atomic_write

_SHOWN = 16
"""Digits of a digest that are in a file's name."""


def faiss_module() -> Any:
    """FAISS, which nothing else needs.

    Raises:
        UsageError: it is not installed.
    """
    try:
        return import_module("faiss")
    except ModuleNotFoundError:
        raise UsageError("an index needs FAISS: pip install 'tvr[index]'") from None


def faiss_file(folder: Path, stem: str, digest: str) -> Path:
    """Where the vectors lie: under a name of their own, so that no record ever speaks of others."""
    return folder / f"{stem}-{digest[:_SHOWN]}.faiss"


def write_faiss(index: Any, folder: Path, stem: str) -> str:
    """Write an index under the name of its digest, and give that."""
    written = folder / "new.faiss"
    with atomic_write(written) as beside:
        faiss_module().write_index(index, str(beside))
    digest = sha256_of(written)
    written.replace(faiss_file(folder, stem, digest))
    return digest


def remove_others(folder: Path, stem: str, digest: str) -> None:
    """Remove the files of earlier indexes of that stem."""
    for file in folder.glob(f"{stem}-*.faiss"):
        if file != faiss_file(folder, stem, digest):
            file.unlink(missing_ok=True)


def read_faiss(file: Path, digest: str, headers: tuple[bytes, ...]) -> Any:
    """What FAISS makes of its file, if it is the one that was written.

    Args:
        file: a file, no link.
        digest: sha256 of its bytes.
        headers: how a file of its kind may begin.

    Raises:
        OSError: it is not there.
        ValueError: it is another one.
        RuntimeError: FAISS cannot read it.
    """
    faiss = faiss_module()
    if file.is_symlink():
        raise ValueError(f"{file.name} is a link")
    # What is compared is what is read, whatever becomes of the name meanwhile.
    with file.open("rb") as opened:
        header = opened.read(4)
        opened.seek(0)
        if header not in headers or hashlib.file_digest(opened, "sha256").hexdigest() != digest:
            raise ValueError(f"{file.name} is not what was written")
        opened.seek(0)
        # A file of cells may name another one that holds them, which would be mapped for writing wherever it lies.
        flags = faiss.IO_FLAG_ONDISK_SAME_DIR | faiss.IO_FLAG_READ_ONLY
        return faiss.read_index(faiss.PyCallbackIOReader(opened.read), flags)
