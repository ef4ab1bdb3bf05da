"""Whether two files, or two sets of settings, are the same."""

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from errno import EINVAL
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

from .byte_source import ByteSource, SourceFacts, SourceReader, look_at


def sha256_of(path: Path) -> str:
    """Hexadecimal sha256 of a file's bytes, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


FileDigest = Literal["ends", "whole"]
"""ends: of the length, the first and the last 64 KiB, which no other recording shares, at the price of two reads.
whole: of every byte."""

_SHA256, _SHOWN_DIGITS = re.compile("[0-9a-f]{64}"), 12

_END_BYTES = 1 << 16

_IDENTITY = re.compile(r"(\d{1,20}) bytes, modified (-?\d{1,20}), (ends|whole) ([0-9a-f]{32})")


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """Which file it was, whatever its name: what a record keeps of a file that features were made of."""

    bytes: int
    modified_ns: int
    """When it was last written, in nanoseconds since 1970, or 0 where nobody says it; says nothing of its content."""
    kind: FileDigest
    digest: str
    """BLAKE2b of 16 bytes, hexadecimal."""

    def __str__(self) -> str:
        return f"{self.beginning(self.bytes, self.modified_ns)}{self.kind} {self.digest}"

    @staticmethod
    def beginning(length: int, modified_ns: int) -> str:
        """How the text of every file of this length begins that was last written at this time."""
        return f"{length} bytes, modified {modified_ns}, "

    @classmethod
    def of(cls, place: Path | ByteSource, kind: FileDigest = "ends") -> "FileIdentity":
        """That of a file as it is now: the same for the same bytes, wherever they lie.

        Raises:
            OSError: it cannot be read.
        """
        if isinstance(place, ByteSource):
            with place.open() as source:
                return cls.of_open(source, kind)
        if not look_at(place).is_regular:  # to open a named pipe is to wait for who writes to it
            raise OSError(EINVAL, "it is no regular file", str(place))
        with place.open("rb") as file:
            return cls.of_open(file, kind)

    @classmethod
    def of_open(cls, file: BinaryIO | SourceReader, kind: FileDigest = "ends") -> "FileIdentity":
        """That of a file that is open at its beginning: who reads on from there reads what was looked at.

        Raises:
            OSError: it cannot be read.
        """
        if isinstance(file, SourceReader):
            facts = file.facts
        else:
            status = os.fstat(file.fileno())
            facts = SourceFacts(status.st_size, status.st_mtime_ns)
        return cls(facts.num_bytes, facts.modified_ns or 0, kind, _digest(file, facts.num_bytes, kind))

    @classmethod
    def parse(cls, text: str) -> "FileIdentity":
        """What ``str`` made of one.

        Raises:
            ValueError: it did not make this.
        """
        found = _IDENTITY.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is not the identity of a file"[:200])
        length, modified, kind, digest = found.groups()
        return cls(int(length), int(modified), cast(FileDigest, kind), digest)

    def is_that_of(self, place: Path | ByteSource, *, by_time: bool) -> bool:
        """Whether a file has this content.

        Args:
            place: of the file.
            by_time: whether one of the same length that was written at the same moment is taken for the same.

        Raises:
            OSError: it cannot be read.
        """
        facts = look_at(place)
        if facts.is_regular and facts.num_bytes != self.bytes:
            return False
        if by_time and facts.modified_ns == self.modified_ns:
            return True
        return FileIdentity.of(place, self.kind).digest == self.digest


def _digest(file: BinaryIO | SourceReader, length: int, kind: FileDigest) -> str:
    digest = hashlib.blake2b(f"{length}\n".encode(), digest_size=16)
    if kind == "ends":
        digest.update(file.read(_END_BYTES))
        file.seek(max(length - _END_BYTES, 0))
        digest.update(file.read(_END_BYTES))
    else:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that two sets of settings do not agree on."""

    name: str
    """Where it stands, the names of nested settings joined by dots."""
    stored: Any
    wanted: Any

    @property
    def shown(self) -> tuple[str, str]:
        """Both as a message has them: of a sha256, which nobody reads, so much as tells two apart."""
        return _shown(self.stored), _shown(self.wanted)


def differing_settings(
    stored: Any, wanted: Any, may_differ: Callable[[str], bool], name: str = ""
) -> list[Difference]:
    """Every value that differs, as JSON would give it back, so that a tuple equals the list it was stored as.

    Args:
        stored: what a store or a run was made with: a value, or settings by name, nested as deep as they are.
        wanted: what is asked for now. A setting that one side lacks counts as None.
        may_differ: whether nothing depends on the setting of that (dotted) name.
        name: what the two are the value of.
    """
    if isinstance(stored, Mapping) and isinstance(wanted, Mapping):
        names = {key: f"{name}.{key}" if name else str(key) for key in sorted(set(stored) | set(wanted))}
        return [
            difference
            for key, dotted in names.items()
            if not may_differ(dotted)
            for difference in differing_settings(stored.get(key), wanted.get(key), may_differ, dotted)
        ]
    return [] if _plain(stored) == _plain(wanted) else [Difference(name, stored, wanted)]


def _shown(value: Any) -> str:
    is_digest = isinstance(value, str) and _SHA256.fullmatch(value)
    return repr(value[:_SHOWN_DIGITS] if is_digest else value)


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value))
