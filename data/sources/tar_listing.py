"""What lies in a tar file, by its headers alone: nothing is unpacked, and no name of it is ever joined to a path."""

import io
import re
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..contracts.errors import DataError, pasteable
from ..contracts.file_names import printable
from .tar_member import Tar, TarMember

_BLOCK = 512
_MOST_HEADER_BYTES = 1 << 20
"""Of the header of one member, with its long name: nothing more is read at once, whatever a tar announces."""
_LOOKED_BEHIND_END = 1 << 16
"""Bytes behind the mark that ends a tar; those of another one that was appended begin before."""
_COMPRESSED = (
    (b"\x1f\x8b", "gzip", "gunzip"),
    (b"BZh", "bzip2", "bunzip2"),
    (b"\xfd7zXZ\x00", "xz", "unxz"),
    (b"\x28\xb5\x2f\xfd", "zstd", "unzstd --rm"),
)
_UNPACKED_BY = {"gz": "gunzip", "bz2": "bunzip2", "xz": "unxz", "zst": "unzstd --rm"}
_COMPRESSED_NAME = re.compile(r"\.(?:tar\.|t)(gz|bz2|xz|zst)$", re.IGNORECASE)
_OCTAL = re.compile(rb" *([0-7]+)[ \0]*")
_DAMAGED = (tarfile.TarError, ValueError, OverflowError, RecursionError, EOFError)
"""What the library raises on headers that no program wrote."""


@dataclass(frozen=True, slots=True)
class TarListing:
    """The members of a tar file that were asked for, in its order."""

    tar: Tar
    members: tuple[TarMember, ...]
    trouble: str
    """Why there may have been more; empty: the tar is whole."""


def is_compressed_name(name: str) -> bool:
    """Whether a file of that name is a compressed tar."""
    return _COMPRESSED_NAME.search(name) is not None


def compressed(path: Path, kind: str, program: str) -> str:
    """The message for a tar that cannot be read at some place without reading all before it."""
    return (
        f"{printable(str(path))}: is compressed ({kind}), so no clip in it can be found without unpacking all before "
        f"it; clips are compressed anyway. Unpack it: {program} {pasteable(path)}"
    )


def refuse_compressed_name(path: Path) -> None:
    """Refuse a file that its name calls a compressed tar.

    Raises:
        DataError: it does.
    """
    if found := _COMPRESSED_NAME.search(path.name):
        kind = found[1].lower()
        raise DataError(compressed(path, kind, _UNPACKED_BY[kind]))


def listed_tar(path: Path, wanted: Callable[[str], bool]) -> TarListing:
    """Read the headers of a tar file.

    Args:
        path: of the tar.
        wanted: whether a member of that name, without a leading ``./``, is asked for.

    Raises:
        DataError: it is no tar file, is compressed, or holds a wanted member that is no file, whose name leads out of
            the tar or that is there twice.
        OSError: it cannot be read.
    """
    tar = Tar.of(path)
    with tar.open() as file:
        _refuse_compressed(path, file)
        members: list[TarMember] = []
        seen = set[str]()
        scan = _Scan(path, file, tar.num_bytes)
        for info in scan.headers():
            name = info.name.removeprefix("./")
            if info.isdir() or not wanted(name):
                continue
            if why := _why_refused(info, seen, name):
                raise DataError(f"{printable(str(path))}: {printable(name)!r} {why}")
            seen.add(name)
            there = max(0, min(info.size, tar.num_bytes - info.offset_data))
            members.append(TarMember(tar, name, info.offset_data, there))
    return TarListing(tar, tuple(members), scan.trouble)


def _refuse_compressed(path: Path, file: BinaryIO) -> None:
    head = file.read(_BLOCK)
    for mark, kind, program in _COMPRESSED:
        if head.startswith(mark):
            raise DataError(compressed(path, kind, program))
    file.seek(0)


def _why_refused(info: tarfile.TarInfo, seen: set[str], name: str) -> str:
    """Why a member is not taken; empty: it is."""
    parts = re.split(r"[/\\]", name)
    reasons = (
        (
            not parts[0] or parts[0].endswith(":") or ".." in parts,
            "leads out of the tar. Who made it may mean harm; leave it out, or make it anew with plain names",
        ),
        (
            info.issym() or info.islnk(),
            "is a link, which holds no bytes of its own. Make the tar anew with `tar --dereference "
            "--hard-dereference`",
        ),
        (not info.isreg() or info.issparse(), "is no plain file, but a device, a pipe or a file with holes"),
        (name in seen, "is there twice. Make the tar anew with one member of each name"),
    )
    return next((why for applies, why in reasons if applies), "")


class _Scan:
    """One pass over the headers of a tar."""

    def __init__(self, path: Path, file: BinaryIO, num_bytes: int) -> None:
        self.trouble = ""
        """Why there may be more members, once all headers were read."""
        self._path, self._file, self._num_bytes = path, file, num_bytes

    def headers(self) -> Iterator[tarfile.TarInfo]:
        """Of each member.

        Raises:
            DataError: the file does not begin as a tar does.
        """
        end = 0
        try:
            file = _HeaderFile(self._file)
            with _Archive(fileobj=file, tarinfo=_PlainInfo, encoding="utf-8") as archive:
                while (info := archive.next()) is not None:
                    if archive.offset <= end or min(info.size, info.offset_data) < 0:
                        raise ValueError("a header that leads back")
                    end = archive.offset
                    archive.members = []  # it would keep every one
                    yield info
                end = archive.offset
        except _DAMAGED as error:
            if not end:
                raise DataError(
                    f"{printable(str(self._path))}: is no tar file ({error}). Write it again, or give it another ending"
                ) from None
        self.trouble = self._trouble_at(end)

    def _trouble_at(self, end: int) -> str:
        """What is wrong where the last header ended."""
        if end > self._num_bytes:
            return f"breaks off: {end - self._num_bytes:,} bytes of its last member are missing"
        self._file.seek(end)
        behind = self._file.read(_LOOKED_BEHIND_END)
        if not behind.strip(b"\0"):
            return (
                "" if len(behind) >= _BLOCK else "has no mark at its end: who wrote it may have been stopped"
            )
        if not behind[:_BLOCK].strip(b"\0"):
            return "has more behind its end, as joined tars have: that is not read"
        return f"is damaged at byte {end:,}: what follows is not read"


class _Archive(tarfile.TarFile):
    members: list[tarfile.TarInfo]
    """Those that were read so far."""


class _PlainInfo(tarfile.TarInfo):
    """A header of which only is read what finds the bytes: owners and times take half of the time of a listing."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str | None, errors: str) -> "_PlainInfo":
        """As the library's own, which is asked for every header that is not of the usual kind.

        Raises:
            tarfile.HeaderError: the block is no header.
        """
        kind = buf[156:157]
        if len(buf) == _BLOCK and kind in (tarfile.REGTYPE, tarfile.XHDTYPE) and not buf[345]:
            size, checksum = _OCTAL.fullmatch(buf[124:136]), _OCTAL.fullmatch(buf[148:156])
            if size and checksum and int(checksum[1], 8) == sum(buf) - sum(buf[148:156]) + 8 * ord(" "):
                info = cls(buf[:100].partition(b"\0")[0].decode(encoding or "utf-8", errors))
                info.type, info.size, info.chksum = kind, int(size[1], 8), int(checksum[1], 8)
                return info
        return super().frombuf(buf, encoding or "utf-8", errors)


class _HeaderFile(io.BufferedIOBase):
    """A tar of which no header is read that takes more memory than one may."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= _MOST_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self._file.read(size)
