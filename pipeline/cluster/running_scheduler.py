"""A scheduler that somebody else started: where it is, whether it lets this command in, and why not."""

import asyncio
import json
import ssl
import warnings
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import dask.config
from distributed import Client
from distributed.comm.core import connect
from distributed.security import Security

from ...data.contracts.errors import ClusterError, UsageError

CONNECT_SECONDS = 10
_CERTIFICATES = "DASK_DISTRIBUTED__COMM__TLS__CA_FILE and DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT"


def client_of(scheduler: str) -> Client:
    """A client of the scheduler at this address, or of the one that wrote this file.

    Raises:
        ClusterError: nobody answers there in time, or does not agree with this machine on certificates.
        UsageError: it is neither an address nor such a file.
    """
    address = _address_of(scheduler)
    credentials = _configured_credentials(address)
    if not address.startswith("tls://") and not _is_of_this_machine(address):
        warnings.warn(
            f"{address} is not encrypted and asks nobody who he is: whoever reaches it can run code on its workers and "
            "here. docs/cluster.md, What is exposed when, has a scheduler with certificates",
            stacklevel=2,
        )
    try:
        if credentials is not None:
            _greet(address, credentials)
        return Client(address, security=credentials, timeout=CONNECT_SECONDS)
    except (OSError, ValueError, MemoryError) as error:
        raise ClusterError(
            _handshake_problem(error, address)
            or f"no Dask scheduler answers at {address} ({_reason(error)}). "
            "Start one with `dask scheduler`, and use the address that it prints, with tls:// where it has that"
        ) from error


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError) and not str(error):
        return f"nothing in {CONNECT_SECONDS} seconds"
    return str(error) or type(error).__name__


def _is_of_this_machine(address: str) -> bool:
    host = urlsplit(address).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _greet(address: str, credentials: Security) -> None:
    """Have a scheduler say its name once: a client waits for ever where somebody listens and says nothing."""

    arguments = credentials.get_connection_args("client")

    async def greeted() -> None:
        async with asyncio.timeout(CONNECT_SECONDS):
            comm = await connect(address, CONNECT_SECONDS, True, None, **arguments)
        comm.abort()

    with ThreadPoolExecutor(1) as thread:  # this one may have an event loop, as notebooks do
        thread.submit(lambda: asyncio.run(greeted())).result()


def _address_of(scheduler: str) -> str:
    """The address itself, or the one that a file of a scheduler holds.

    Raises:
        UsageError: it is neither.
    """
    if "://" in scheduler:
        return scheduler
    file = Path(scheduler)
    if not file.is_file():
        raise UsageError(
            f"--scheduler must be local, an address such as tls://node7:8786, or the file that "
            f"`dask scheduler --scheduler-file` wrote; {scheduler!r} is none of these"
        )
    try:
        return str(json.loads(file.read_bytes())["address"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(
            f"{scheduler} is no file that `dask scheduler --scheduler-file` wrote: {error!r}"
        ) from error


def _configured_credentials(address: str) -> Security | None:
    """What Dask's configuration has for a client of the scheduler at this address; None: Dask is to ask its loader.

    Raises:
        ClusterError: it has no certificate and the address wants one, it has one that cannot be used, or it wants
            encryption and the address has none.
    """
    if dask.config.get("distributed.client.security-loader", None):
        return None
    credentials = Security()
    if not address.startswith("tls://"):
        if credentials.require_encryption and address.startswith("tcp://"):
            raise ClusterError(
                f"Dask's configuration here requires encryption, and {address} has none. Start the scheduler with "
                "`dask scheduler --protocol tls`, and use the address that it prints"
            )
        return credentials
    files = {part: file for part, file in credentials.get_tls_config_for_role("client").items() if file}
    if not {"ca_file", "cert"} <= files.keys():
        raise ClusterError(
            f"the scheduler at {address} wants certificates, and Dask's configuration here names none. Set "
            f"{_CERTIFICATES} to the files that it was started with"
        )
    try:
        credentials.get_connection_args("client")
    except OSError as error:
        named = ", ".join(files[part] for part in ("ca_file", "cert", "key") if part in files)
        raise ClusterError(
            f"cannot use the certificates that Dask's configuration names ({named}): {error}"
        ) from error
    return credentials


def _handshake_problem(error: BaseException, address: str) -> str:
    """Why two sides did not agree on TLS, and what to do; empty where something else went wrong."""
    cause = error.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return (
            f"the certificate of the scheduler at {address} is not one of those that are trusted here "
            f"({cause.verify_message}). Set {_CERTIFICATES} to the files that it was started with"
        )
    # A Dask scheduler without TLS speaks first, which Tornado may notice before OpenSSL does.
    plain = isinstance(cause, ssl.SSLError) and cause.reason == "WRONG_VERSION_NUMBER"
    if plain or "cannot convert to SSL" in str(error):
        return (
            f"the scheduler at {address} does not speak TLS. Start it with `dask scheduler --protocol tls`, "
            "or use the tcp:// address that it prints"
        )
    if isinstance(cause, ssl.SSLError):
        return (
            f"the scheduler at {address} and this machine do not agree on TLS ({cause.reason}). Set {_CERTIFICATES} "
            "to the files that it was started with"
        )
    return ""
