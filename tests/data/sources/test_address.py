"""Addresses: what is fetched, what names a video, and what nobody may see."""

from pathlib import PurePosixPath

import pytest
from tvr.data.sources.address import Address, is_address

SIGNED = "https://me:pass%40word@host.org:8443/a/b%20c.mp4?X-Amz-Signature=s3cret&X-Amz-Date=1&v=7"


@pytest.mark.parametrize(
    ("text", "fetched"),
    [
        ("s3://bucket/a b/c#d%20?e.mp4", "s3://bucket/a b/c#d%20?e.mp4"),
        ("S3://Bucket/a.mp4", "s3://Bucket/a.mp4"),
        ("gs://bucket//a.mp4", "gs://bucket//a.mp4"),
        ("https://host/a b%20c.mp4?x=1%2F2&y=%C3%A4", "https://host/a%20b%20c.mp4?x=1%2F2&y=%C3%A4"),
        ("http://host/ä.mp4", "http://host/%C3%A4.mp4"),
        (SIGNED, SIGNED),
    ],
)
def test_it_is_fetched_as_it_is_written(text: str, fetched: str) -> None:
    assert Address.parsed(text).text == fetched


def test_no_secret_of_it_is_shown() -> None:
    address = Address.parsed(SIGNED)
    assert str(address) == address.public == "https://host.org:8443/a/b%20c.mp4"
    for shown in (
        str(address),
        repr(address),
        f"{(address,)}",
        address.place,
        address.name,
        str(address.parent),
    ):
        assert not any(secret in shown for secret in ("s3cret", "pass", "me:", "v=7"))
    assert set(address.secrets) == {
        "X-Amz-Signature=s3cret&X-Amz-Date=1&v=7",
        "me:pass%40word",
        "me:pass@word",
    }


def test_another_signature_is_no_other_object_and_another_query_is() -> None:
    one, other, third = (
        Address.parsed(f"https://host/get?v={v}&Signature={signature}&Expires={signature}")
        for v, signature in ((1, "a"), (1, "b"), (2, "a"))
    )
    assert one.unsigned == other.unsigned != third.unsigned
    assert one.public == third.public
    assert Address.parsed("s3://bucket/a?Signature=1").unsigned == "s3://bucket/a?Signature=1"


def test_its_parts() -> None:
    address = Address.parsed("https://host/a/b%20c.mp4?d=e/f.mkv")
    assert (address.name, address.place, address.scheme) == ("b c.mp4", "https://host", "https")
    assert address.parent == PurePosixPath("/https:/host/a")
    assert Address.parsed("s3://bucket/a/b%20c.mp4").name == "b%20c.mp4"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ftp://host/a.mp4", "of the kind ftp:// are not read, only s3://, gs://, https://, http://"),
        ("s3://bucket", "a bucket and the name of an object"),
        ("s3:///a.mp4", "a bucket and the name of an object"),
        ("https://host/", "a host and a path"),
        ("s3://key:s3cret@bucket/a.mp4", "keys do not belong in an address"),
        ("https://host/a#b.mp4?sig=s3cret", "write %23"),
        ("https://me:s3cret/x@host/a.mp4", "write / and @ of a password %2F and %40"),
        ("https://[host/a.mp4?sig=s3cret", "needs a host"),
        ("https://me@/a.mp4", "needs a host"),
    ],
)
def test_what_cannot_be_read_fails_without_a_secret(text: str, said: str) -> None:
    with pytest.raises(ValueError, match="address") as failure:
        Address.parsed(text)
    assert said in str(failure.value)
    assert "s3cret" not in str(failure.value)


@pytest.mark.parametrize(
    ("path", "is_one"),
    [("s3://a/b", True), ("x-y.z+1://a", True), ("a/b.mp4", False), ("./a://b", False), ("C:/a", False)],
)
def test_paths_are_told_from_addresses(path: str, is_one: bool) -> None:
    assert is_address(path) == is_one
