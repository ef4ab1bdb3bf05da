"""Objects of servers by fsspec, each byte asked for once: what was fetched stays in a file without a name.

A video is read twice, once for its packets and once for its frames; so the network is not, and both see one version.
"""

import tempfile
import time
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from importlib.util import find_spec
from typing import Any

from ..contracts.byte_source import SourceError, SourceFacts
from .address import Address
from .network_errors import ChangedError, is_passing, network_error

_PACKAGES = {
    "s3": ("s3fs", "remote"),
    "gs": ("gcsfs", "gcs"),
    "https": ("aiohttp", "remote"),
    "http": ("aiohttp", "remote"),
}
"""Of each scheme the package that fsspec needs for it, and the extra that brings it."""
_LEAST_AHEAD, _MOST_AHEAD = 2 << 20, 16 << 20
"""Bytes that are asked for at once: more and more where they are read one after another."""
_BLOCK = 1 << 16
_PIECE = 1 << 20
_ATTEMPTS, _PAUSE_SECONDS = 3, 0.3
_CONNECT_SECONDS, _SILENT_SECONDS = 15.0, 60.0

_waiting: Callable[[], AbstractContextManager[None]] = nullcontext


def tell_of_waits(waiting: Callable[[], AbstractContextManager[None]]) -> None:
    """Let every request of this process happen inside such a context: of who limits the time that a video takes."""
    global _waiting
    _waiting = waiting


def why_not_installed(scheme: str) -> str:
    """What is lacking on this machine for addresses of a scheme; empty where nothing is. Asks nobody."""
    package, extra = _PACKAGES[scheme]
    lacking = [name for name in ("fsspec", package) if find_spec(name) is None]
    return f"{scheme}:// needs {' and '.join(lacking)} (pip install 'tvr[{extra}]')" if lacking else ""


def facts_of_object(address: Address) -> SourceFacts:
    """What the server says of an object.

    Raises:
        SourceError: it is not there, or the server cannot be asked.
    """
    info = _asked(address)
    if info["size"] is None:
        return FetchedObject(address, info).facts
    return SourceFacts(int(info["size"]), _modified_ns(info))


class FetchedObject:
    """An object, and what was fetched of it so far.

    Args:
        address: where it is.
        info: what the server said of it.
        file: of fsspec, where it is open already.

    Raises:
        SourceError: the server does not say how long it is, and does not send it either.
    """

    def __init__(self, address: Address, info: dict[str, Any], file: Any = None) -> None:
        self.address = address
        self._info = info
        self._spool = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as this
        weakref.finalize(self, self._spool.close)
        self._there = set[int]()
        self._file = file
        self._ahead, self._end = _LEAST_AHEAD, 0
        self._requests = 0
        if info["size"] is None:
            self._info = info | {"size": self._fetch_all()}
        self.facts = SourceFacts(int(self._info["size"]), _modified_ns(info))
        """What is known of it."""

    def read(self, at: int, count: int) -> bytes:
        """So many bytes from there on; fewer only at its end.

        Raises:
            SourceError: they cannot be had, or another object has taken its place.
        """
        until = min(at + count, self.facts.num_bytes)
        missing = [block for block in range(at // _BLOCK, -(-until // _BLOCK)) if block not in self._there]
        if missing:
            self._fetch(missing[0] * _BLOCK, min((missing[-1] + 1) * _BLOCK, self.facts.num_bytes))
        self._spool.seek(at)
        return self._spool.read(max(0, until - at))

    def require_one_version(self) -> None:
        """See that parts that were fetched one after another are of one object.

        Raises:
            ChangedError: another one has taken its place meanwhile.
            SourceError: the server cannot be asked.
        """
        if self._requests > 1:
            now = _asked(self.address)
            if _version(now) != _version(self._info):
                raise ChangedError
            self._requests = 1

    def _fetch(self, start: int, needed: int) -> None:
        """Fetch what is needed, and what will be: one who reads on reads more and more at a time."""
        self._ahead = min(2 * self._ahead, _MOST_AHEAD) if start == self._end else _LEAST_AHEAD
        end = min(max(needed, start + self._ahead), self.facts.num_bytes)
        data = self._range(start, end)
        if data is None:
            self._fetch_all()
            return
        self._keep(start, data)
        self._end = end
        self._there.update(range(start // _BLOCK, -(-end // _BLOCK)))

    def _range(self, start: int, end: int) -> bytes | None:
        """These bytes; None where the server sends whole objects only."""
        if self._info.get("partial") is False:
            return None
        try:
            data = _patiently(self.address, lambda: self._read_range(start, end))
        except ValueError:  # so fsspec says it
            return None
        self._requests += 1
        if len(data) != end - start:
            raise ChangedError
        return data

    def _read_range(self, start: int, end: int) -> bytes:
        if self._file is None:
            self._file = _opened(self.address, self._info)
        self._file.seek(start)
        return self._file.read(end - start)

    def _fetch_all(self) -> int:
        """Fetch it from its beginning to its end, and say how long it is."""
        size = _patiently(self.address, self._read_all)
        if self._info["size"] not in (None, size):
            raise ChangedError
        self._requests += 1  # parts that were read before may be of another version
        self._there.update(range(-(-size // _BLOCK)))
        return size

    def _read_all(self) -> int:
        at = 0
        with _filesystem(self.address.scheme).open(self.address.text, "rb", block_size=0) as stream:
            while piece := stream.read(_PIECE):
                self._keep(at, piece)
                at += len(piece)
        return at

    def _keep(self, at: int, data: bytes) -> None:
        try:
            self._spool.seek(at)
            self._spool.write(data)
            self._spool.flush()
        except OSError as error:
            why = error.strerror or error
            raise SourceError(
                f"what is fetched cannot be kept in {tempfile.gettempdir()} ({why}); TMPDIR names another folder"
            ) from None


def fetched_object(address: Address) -> FetchedObject:
    """An object of which nothing is fetched yet.

    Raises:
        SourceError: it is not there, or the server cannot be asked.
    """
    if address.scheme != "s3":
        return FetchedObject(address, _asked(address))
    # To open it asks for it; and only so s3fs sends If-Match with every range that it asks for.
    file = _answered(address, lambda: _filesystem("s3").open(address.text, "rb", cache_type="none"))
    return FetchedObject(address, _object(file.details), file)


def _asked(address: Address) -> dict[str, Any]:
    """What the server says of an object."""
    return _object(_answered(address, lambda: _filesystem(address.scheme).info(address.text)))


def _object(info: dict[str, Any]) -> dict[str, Any]:
    if info.get("type") == "directory":
        raise SourceError("is a folder of objects, not an object")
    return info


def _answered(address: Address, ask: Callable[[], Any]) -> Any:
    """What a server answers to the first question about an object, if this machine can ask at all."""
    if why := why_not_installed(address.scheme):
        raise SourceError(why)
    return _patiently(address, ask)


def _opened(address: Address, info: dict[str, Any]) -> Any:
    """A file object of fsspec that fetches exactly what is read, of this version of the object where it can say so."""
    files = _filesystem(address.scheme)
    options: dict[str, Any] = {"cache_type": "none"}
    if address.scheme == "gs":
        return files.open(address.text, "rb", generation=info.get("generation"), **options)
    etag = info.get("ETag", "")
    # A weak one is of objects that look alike, and no server may compare it here (RFC 9110, section 13.1.1).
    pinned = {} if etag.startswith("W/") or not etag else {"If-Match": etag}
    return files.open(address.text, "rb", size=info["size"], headers=_IDENTITY | pinned, **options)


_IDENTITY = {"Accept-Encoding": "identity"}
"""Bytes are counted as the server has them, not as it might compress them."""


@cache
def _filesystem(scheme: str) -> Any:
    """That of fsspec, one a process. Credentials, endpoints and the like are found where its packages look for them."""
    import fsspec

    options: dict[str, Any] = {"skip_instance_cache": True, "use_listings_cache": False}
    if scheme in ("http", "https"):
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=_SILENT_SECONDS)
        options |= {
            "encoded": True,  # as it was signed
            "headers": _IDENTITY,
            "client_kwargs": {"timeout": timeout, "trust_env": True},
        }
    return fsspec.filesystem(scheme, **options)


def _patiently(address: Address, ask: Callable[[], Any]) -> Any:
    """What a server answers; asked again where that may help.

    Raises:
        SourceError: it does not; the message says why, without a secret.
        ValueError: it sends no parts of objects.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with _waiting():
                return ask()
        except (SourceError, MemoryError):
            raise
        except Exception as error:
            if isinstance(error, ValueError) and "range requests" in str(error):
                raise
            failed = network_error(error, address)
            if attempt == _ATTEMPTS or not is_passing(error, address):
                raise failed from None
            time.sleep(_PAUSE_SECONDS * attempt)
    raise AssertionError("the last attempt returns or raises")


def _version(info: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(
        info.get(name) for name in ("size", "ETag", "etag", "generation", "LastModified", "Last-Modified")
    )


def _modified_ns(info: dict[str, Any]) -> int | None:
    """When it was last written, as the server says it: S3 by ``LastModified``, Google by ``mtime``, others in HTTP."""
    told = info.get("LastModified") or info.get("mtime") or info.get("Last-Modified")
    try:
        moment = parsedate_to_datetime(told) if isinstance(told, str) else told
    except ValueError:
        return None
    if not isinstance(moment, datetime):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1000
