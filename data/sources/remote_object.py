"""A video on a server: an object of S3 or Google Cloud Storage, or what a web server sends."""

import threading
from dataclasses import dataclass
from pathlib import PurePosixPath

from ..contracts.byte_source import ByteSource, SourceFacts, SourceReader
from .address import Address
from .fetching import FetchedObject, facts_of_object, fetched_object

_KEPT = threading.local()
"""The object that each thread opened last: a decoder opens one several times, and spans of one follow each other."""


@dataclass(frozen=True, slots=True)
class RemoteObject(ByteSource):
    """A video on a server."""

    address: Address

    def __str__(self) -> str:
        return str(self.address)

    @property
    def name(self) -> str:
        """The last part of its address."""
        return self.address.name

    @property
    def parent(self) -> PurePosixPath:
        """What stands before that."""
        return self.address.parent

    def open(self) -> "RemoteReader":
        """Open it at its beginning; what this thread has fetched of it since it opened another one is still there.

        Raises:
            SourceError: it is not there, or the server cannot be asked.
        """
        return RemoteReader(self, self.version())

    def look(self) -> SourceFacts:
        """What the server says of it.

        Raises:
            SourceError: it is not there, or the server cannot be asked.
        """
        return facts_of_object(self.address)

    def version(self) -> FetchedObject:
        """What is fetched of it: as long as this is the same, so are the bytes.

        Raises:
            SourceError: it is not there, or the server cannot be asked.
        """
        kept: FetchedObject | None = getattr(_KEPT, "fetched", None)
        if kept is None or kept.address != self.address:
            _KEPT.fetched = None  # its file is freed before another one grows
            kept = _KEPT.fetched = fetched_object(self.address)
        return kept


class RemoteReader(SourceReader):
    """An open object.

    Args:
        remote: which one.
        fetched: what is fetched of it.
    """

    def __init__(self, remote: RemoteObject, fetched: FetchedObject) -> None:
        super().__init__(remote.name, fetched.facts)
        self._fetched = fetched

    def read_at(self, at: int, count: int) -> bytes:
        """So many bytes from there on, fetched if they are not here."""
        return self._fetched.read(at, count)

    def require_unchanged(self) -> None:
        """See that no other object was put in its place while it was fetched in parts."""
        self._fetched.require_one_version()
