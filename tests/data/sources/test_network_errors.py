"""What libraries of servers raise, in words; an address in their messages loses what may be secret."""

import socket

import pytest
from tvr.data.sources.address import Address
from tvr.data.sources.network_errors import (
    ChangedError,
    UnreachableError,
    how_to_get_in,
    network_error,
    without_secrets,
)

ADDRESS = Address.parsed("https://me:pw@host/a.mp4?sig=s3cret")


class ClientError(Exception):
    """As botocore has it."""

    def __init__(self, code: str) -> None:
        super().__init__(f"An error occurred ({code})")
        self.response = {"Error": {"Code": code}}


class FileExpired(OSError):  # noqa: N818 - its name is what counts
    """As s3fs has it."""


def raised(error: Exception, cause: Exception | None = None) -> Exception:
    try:
        raise error from cause
    except Exception as caught:  # noqa: BLE001 - whatever it is
        return caught


@pytest.mark.parametrize(
    ("error", "said", "is_place"),
    [
        (PermissionError("x"), "access is denied", True),
        (FileNotFoundError("https://host/?sig=s3cret"), "there is no such object", False),
        (ClientError("NoSuchBucket"), "there is no such bucket (NoSuchBucket)", True),
        (ClientError("SignatureDoesNotMatch"), "access is denied (SignatureDoesNotMatch)", True),
        (ClientError("SlowDown"), "the server refuses (SlowDown)", False),
        (ClientError("PreconditionFailed"), str(ChangedError()), False),
        (FileExpired(), str(ChangedError()), False),
        (socket.gaierror(-2, "x"), "there is no such host, or no network", True),
        (TimeoutError(), "the server did not answer in time", False),
        (ConnectionRefusedError(), "the server cannot be reached", True),
        (ConnectionResetError(), "the connection was broken off", False),
        (
            RuntimeError("GET https://u:p@h/x?k=v failed\n"),
            "network: RuntimeError (GET https://h/x failed)",
            False,
        ),
    ],
    ids=repr,
)
def test_errors_in_words(error: Exception, said: str, is_place: bool) -> None:
    found = network_error(error, ADDRESS)
    assert (str(found), isinstance(found, UnreachableError)) == (said, is_place)
    assert "s3cret" not in str(found)


def test_what_an_error_was_raised_for_is_what_is_said() -> None:
    missing = raised(FileNotFoundError("x"), raised(ClientError("NoSuchBucket"), ClientError("404")))
    assert str(network_error(missing, ADDRESS)) == "there is no such bucket (NoSuchBucket)"
    wrapped = raised(FileNotFoundError("x"), ConnectionRefusedError())
    assert str(network_error(wrapped, ADDRESS)) == "the server cannot be reached"


def test_no_secret_stays_in_a_message() -> None:
    said = without_secrets(
        "sig=s3cret me:pw HTTPS://me:pw@host/a.mp4?sig=s3cret&b='x' [31m\n" + "y" * 300, ADDRESS
    )
    assert "s3cret" not in said
    assert "pw" not in said
    assert "\n" not in said
    assert len(said) == 200
    assert how_to_get_in("s3").startswith("Credentials are those of the environment")
