"""What fsspec and its packages raise, as a sentence without a secret: addresses stand in their messages."""

import re
import socket
from collections.abc import Iterator
from typing import Any

from ..contracts.byte_source import SourceError
from ..contracts.errors import one_line
from .address import Address

_MOST_CHARACTERS = 200
_ADDRESS = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s'\"<>]*", re.IGNORECASE)
_STATUS = {
    401: "the server asks for credentials",
    403: "access is denied, or the address was signed for a time that is over",
    404: "there is no such object",
    410: "there is no such object any more",
    429: "the server is asked too often",
}
_NO_PLACE = ("NoSuchBucket", "InvalidBucketName")
_NO_ACCESS = (
    *("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"),
    *("AccountProblem", "AllAccessDisabled", "RequestTimeTooSkewed", "401", "403", "Forbidden"),
)
_WAYS = {
    "s3": (
        "Credentials are those of the environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE) or of "
        "~/.aws; AWS_ENDPOINT_URL names another server, FSSPEC_S3_ANON=true asks without credentials"
    ),
    "gs": (
        "Credentials are Google's default ones (`gcloud auth application-default login`, "
        "GOOGLE_APPLICATION_CREDENTIALS); FSSPEC_GS_TOKEN=anon asks without"
    ),
}


class ChangedError(SourceError):
    """Another object has taken the place of the one that was begun with."""

    def __init__(self) -> None:
        super().__init__("was replaced or changed while it was fetched")


class UnreachableError(SourceError):
    """A server that is not to be had, or does not let us in: no object of it will be."""


def network_error(error: Exception, address: Address) -> SourceError:
    """What went wrong, in words."""
    found = [known for one in _chain(error) if (known := _known(one))]
    if found:
        # That a bucket is not there is found after an object of it was not.
        is_place, why = next((each for each in found if each[0]), found[0])
        return UnreachableError(why) if is_place else SourceError(why)
    said = without_secrets(str(error), address)
    return SourceError(f"network: {type(error).__name__}{f' ({said})' if said else ''}")


def how_to_get_in(scheme: str) -> str:
    """Where credentials for addresses of a scheme come from."""
    return _WAYS.get(scheme, "Ask for the address in a browser, or have it signed anew")


def is_passing(error: Exception, address: Address) -> bool:
    """Whether to ask again may help; S3's and Google's packages have done so already."""
    if address.scheme not in ("http", "https"):
        return False
    statuses = [status for one in _chain(error) if isinstance(status := getattr(one, "status", None), int)]
    if statuses:
        return statuses[0] >= 500 or statuses[0] == 429
    return any(
        isinstance(one, ConnectionResetError | TimeoutError) or _is_broken_off(one) for one in _chain(error)
    )


def without_secrets(text: str, address: Address) -> str:
    """A message of a library on one line, without what of any address in it may be secret."""
    for secret in address.secrets:
        text = text.replace(secret, "...")
    text = _ADDRESS.sub(_shown, text)
    return one_line(" ".join(text.split()))[:_MOST_CHARACTERS]


def _shown(found: re.Match[str]) -> str:
    scheme, _, rest = found[0].partition("://")
    place, slash, path = rest.partition("?")[0].partition("/")
    return f"{scheme}://{place.rpartition('@')[2]}{slash}{path}"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """What it was raised for first, then the error itself."""
    causes = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None and cause not in causes:
        causes.append(cause)
    yield from reversed(causes)


def _known(error: BaseException) -> tuple[bool, str] | None:
    """Whether no object of the place will be had, and why; None: this one of the chain says nothing."""
    kind = type(error).__name__
    # Of aiohttp, and of gcsfs; aiohttp also has a code where it is the answer itself that was broken.
    status = getattr(error, "code" if kind == "HttpError" else "status", None)
    if isinstance(status, int) and 300 <= status < 600:
        words = _STATUS.get(status, "the server refuses" if status < 500 else "the server failed")
        return status in (401, 403), f"{words} (HTTP {status})" if status != 412 else str(ChangedError())
    if code := _code_of_s3(error):
        return code in _NO_PLACE + _NO_ACCESS, _words_of_s3(code)
    if isinstance(error, socket.gaierror) or kind == "ClientConnectorDNSError":
        return True, "there is no such host, or no network"
    if "Certificate" in kind or "SSL" in kind:
        return True, "its certificate is not trusted"
    if kind in ("NoCredentialsError", "PartialCredentialsError", "DefaultCredentialsError", "RefreshError"):
        return True, "there are no credentials for it here"
    if kind == "FileExpired":
        return False, str(ChangedError())
    return _known_of_system(error, kind)


def _known_of_system(error: BaseException, kind: str) -> tuple[bool, str] | None:
    if isinstance(error, TimeoutError) or "Timeout" in kind:
        return False, "the server did not answer in time"
    if kind in ("EndpointConnectionError", "ConnectionClosedError") or isinstance(
        error, ConnectionRefusedError
    ):
        return True, "the server cannot be reached"
    if _is_broken_off(error) or isinstance(error, ConnectionError):
        return False, "the connection was broken off"
    if isinstance(error, PermissionError):
        return True, "access is denied"
    return (
        (False, "there is no such object")
        if isinstance(error, FileNotFoundError) and not error.__cause__
        else None
    )


def _is_broken_off(error: BaseException) -> bool:
    return type(error).__name__ in (
        "ClientPayloadError",
        "ServerDisconnectedError",
        "ClientOSError",
        "IncompleteRead",
    )


def _code_of_s3(error: BaseException) -> str:
    response: Any = getattr(error, "response", None)
    code = response.get("Error", {}).get("Code", "") if isinstance(response, dict) else ""
    return str(code)


def _words_of_s3(code: str) -> str:
    if code in _NO_PLACE:
        return f"there is no such bucket ({code})"
    if code in _NO_ACCESS:
        return f"access is denied ({code})"
    if code in ("NoSuchKey", "404"):
        return f"there is no such object ({code})"
    return str(ChangedError()) if code in ("PreconditionFailed", "412") else f"the server refuses ({code})"
