"""A file in a tar file, read where it lies: a stretch of bytes of the tar, which must be the one that was listed."""

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from ..contracts.byte_source import ByteSource, SourceError, SourceFacts, SourceReader, look_at
from ..contracts.file_names import printable


@dataclass(frozen=True, slots=True)
class Tar:
    """A tar file as it was when its members were listed."""

    path: Path
    num_bytes: int
    modified_ns: int

    @classmethod
    def of(cls, path: Path) -> "Tar":
        """One as it is now.

        Raises:
            OSError: it is no regular file, or cannot be asked for.
        """
        facts = look_at(path)
        if not facts.is_regular:
            raise SourceError(f"{printable(str(path))}: is no regular file")
        return cls(path, facts.num_bytes, facts.modified_ns or 0)

    def open(self) -> BinaryIO:
        """Open it at its beginning.

        Raises:
            OSError: it cannot be read, or is another one by now.
        """
        self._require_same(look_at(self.path))
        file = self.path.open("rb")
        try:
            self.require_unchanged(file)
        except BaseException:
            file.close()
            raise
        return file

    def require_unchanged(self, file: BinaryIO) -> None:
        """See that nobody has written to it since it was listed: what lay at some place may lie elsewhere by now.

        Raises:
            SourceError: somebody has.
        """
        status = os.fstat(file.fileno())
        self._require_same(SourceFacts(status.st_size, status.st_mtime_ns))

    def _require_same(self, now: SourceFacts) -> None:
        if now != SourceFacts(self.num_bytes, self.modified_ns):
            raise SourceError(
                f"{printable(self.path.name)} was written to or replaced since its members were listed. "
                "Run the command again"
            )


@dataclass(frozen=True, slots=True)
class TarMember(ByteSource):
    """A file in a tar file."""

    tar: Tar
    member: str
    """Its name in the tar, with its folders."""
    offset: int
    """Where its first byte lies in the tar."""
    num_bytes: int
    """How many there are of it: fewer than its header says where the tar breaks off."""

    def __str__(self) -> str:
        return f"{self.tar.path}/{self.member}"

    @property
    def name(self) -> str:
        """Of the file alone."""
        return PurePosixPath(self.member).name

    @property
    def parent(self) -> PurePosixPath:
        """The tar, as if it were a folder, and the member's folders in it."""
        return PurePosixPath(self.tar.path.absolute().as_posix()) / PurePosixPath(self.member).parent

    def absolute(self) -> "TarMember":
        """The same, whatever the current folder is."""
        tar = Tar(self.tar.path.absolute(), self.tar.num_bytes, self.tar.modified_ns)
        return TarMember(tar, self.member, self.offset, self.num_bytes)

    def open(self) -> "MemberReader":
        """Open it at its beginning.

        Raises:
            OSError: the tar cannot be read, or is not the one that was listed.
        """
        return MemberReader(self, self.tar.open())

    def look(self) -> SourceFacts:
        """How long it is, and when somebody wrote to the tar.

        Raises:
            OSError: the tar is not there.
        """
        return SourceFacts(self.num_bytes, look_at(self.tar.path).modified_ns)

    def version(self) -> "TarMember":
        """Itself: of another tar nothing is read."""
        return self


class MemberReader(SourceReader):
    """An open file of a tar file.

    Args:
        member: which one.
        file: the tar, open; it is closed with this.
    """

    def __init__(self, member: TarMember, file: BinaryIO) -> None:
        super().__init__(printable(member.name), SourceFacts(member.num_bytes, member.tar.modified_ns))
        self._member, self._file = member, file

    def read_at(self, at: int, count: int) -> bytes:
        """So many bytes from there on."""
        self._file.seek(self._member.offset + at)
        return self._file.read(count)

    def require_unchanged(self) -> None:
        """See that nobody wrote to the tar meanwhile."""
        self._member.tar.require_unchanged(self._file)

    def close(self) -> None:
        """Close the tar too."""
        self._file.close()
        super().close()
