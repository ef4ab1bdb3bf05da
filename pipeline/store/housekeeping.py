"""What lists of stores and runs do with one of their folders: weigh it, keep a note with it, rename and delete it."""

import shutil
from pathlib import Path

from ...data.contracts.errors import StoreError, UsageError, one_line
from ...data.contracts.file_names import folder_name
from .atomic_files import atomic_write

NOTE = "note.txt"
"""Of a store or a run: a line that its owner wrote."""
LONGEST_NOTE = 500
"""Characters."""


def size_of(folder: Path) -> int:
    """Bytes of all files in a folder; those behind links are not its own."""
    return sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink())


def size_in_words(size: int) -> str:
    """``12.3 MB``: a number of bytes as disks are sold."""
    value, unit = float(size), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            break
        value /= 1000
    return f"{value:,.0f} {unit}" if unit in ("B", "kB") else f"{value:,.1f} {unit}"


def note_of(folder: Path) -> str:
    """The note that is kept with a folder, as one line; empty where there is none."""
    try:
        return one_line((folder / NOTE).read_text(encoding="utf-8", errors="replace").strip()[:LONGEST_NOTE])
    except OSError:
        return ""


def keep_note(folder: Path, text: str) -> None:
    """Keep a note with a folder; an empty one takes the last away.

    Raises:
        UsageError: it is too long.
        StoreError: the folder cannot be written.
    """
    if len(text) > LONGEST_NOTE:
        raise UsageError(f"a note has at most {LONGEST_NOTE} characters, got {len(text)}")
    try:
        if not text.strip():
            (folder / NOTE).unlink(missing_ok=True)
            return
        with atomic_write(folder / NOTE) as beside:
            beside.write_text(text.strip() + "\n", encoding="utf-8")
    except OSError as error:
        raise StoreError(f"cannot keep a note in {folder}: {error.strerror or error}") from error


def rename(folder: Path, name: str) -> Path:
    """Give a folder another name beside its old one; where it is now.

    Raises:
        UsageError: no folder can be called so, or there is one.
        StoreError: the system refuses.
    """
    if folder_name(name) != name:
        raise UsageError(f"a new name is one word without a slash, got {name!r}")
    renamed = folder.parent / name
    if renamed.exists():
        raise UsageError(f"{renamed} is there already; choose another name")
    try:
        return folder.rename(renamed)
    except OSError as error:
        raise StoreError(f"cannot rename {folder}: {error.strerror or error}") from error


def delete(folder: Path) -> None:
    """Delete a folder with all that is in it; of a link, what it leads to stays.

    Raises:
        StoreError: the system refuses; part of it may be gone.
    """
    try:
        if folder.is_symlink():
            folder.unlink()
        else:
            shutil.rmtree(folder)
    except OSError as error:
        raise StoreError(f"cannot delete {folder}: {error.strerror or error}") from error
