"""Addresses of objects of servers, as a manifest writes them: what of them is fetched, what names them, what is secret.

Of ``https://`` addresses the query and what stands before an ``@`` may be a signature or a password: neither is ever
shown, stored or logged. Of ``s3://`` and ``gs://`` addresses all that stands behind the bucket is the object's name.
"""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from ..contracts.errors import one_line

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_WEB, _BUCKETS = ("http", "https"), ("s3", "gs")
SCHEMES = (*_BUCKETS, "https", "http")
"""Of the addresses that can be read."""
_ALLOWED_IN_URL = "%/:?#[]@!$&'()*+,;=~-._"
_SIGNATURES = frozenset(
    {
        # Of version 2 of Amazon's, Google's and CloudFront's presigned addresses; the later ones begin with x-...-.
        *("awsaccesskeyid", "googleaccessid", "signature", "expires", "key-pair-id", "policy"),
        # Of a shared access signature of Azure.
        *(
            "sv",
            "ss",
            "srt",
            "sr",
            "st",
            "se",
            "sp",
            "spr",
            "sip",
            "sig",
            "skoid",
            "sktid",
            "skt",
            "ske",
            "sks",
            "skv",
        ),
    }
)
"""Parameters of a query by which an address is signed, in lower case: another signature is no other object."""
_SIGNATURE_PREFIXES = ("x-amz-", "x-goog-")


@dataclass(frozen=True, slots=True, repr=False)
class Address:
    """Where an object is."""

    text: str
    """All of it, as it is asked for. Holds secrets: it goes to the server and to decoding processes, nowhere else."""

    @classmethod
    def parsed(cls, text: str) -> "Address":
        """One of a manifest.

        Raises:
            ValueError: it is none that can be read; the message says why, without the address.
        """
        scheme = text.partition("://")[0].lower()
        if scheme not in SCHEMES:
            known = ", ".join(f"{one}://" for one in SCHEMES)
            raise ValueError(f"addresses of the kind {one_line(scheme)}:// are not read, only {known}")
        place, _, key = text[len(scheme) + 3 :].partition("/")
        if not place or not key.strip("/"):
            what = "a host and a path" if scheme in _WEB else "a bucket and the name of an object"
            raise ValueError(f"an address needs {what}: {scheme}://.../...")
        if scheme in _BUCKETS:
            if "@" in place:
                raise ValueError(
                    "keys do not belong in an address: give them in the environment, as docs say"
                )
            return cls(f"{scheme}://{place}/{key}")
        if "#" in key:
            raise ValueError(
                "what follows # in an address is never sent: write %23 where it is part of a name"
            )
        # A blank, or a letter beyond ASCII, is escaped; what is escaped already stays as it was signed.
        fetched = quote(f"{scheme}://{place}/{key}", safe=_ALLOWED_IN_URL)
        if not _names_server(fetched):
            raise ValueError(
                "an address needs a host, and its port a number: write / and @ of a password %2F and %40"
            )
        return cls(fetched)

    @property
    def scheme(self) -> str:
        """``s3``, ``gs``, ``https`` or ``http``."""
        return self.text.partition("://")[0]

    @property
    def place(self) -> str:
        """The bucket or the server, with its scheme."""
        return "/".join(self.public.split("/", 3)[:3])

    @property
    def public(self) -> str:
        """It without query and password: what names a video, and what is shown."""
        if self.scheme in _BUCKETS:
            return self.text
        parts = urlsplit(self.text)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    @property
    def unsigned(self) -> str:
        """It without what only signs it: the same for two presigned addresses of one object. May hold secrets still."""
        parts = urlsplit(self.text)
        if self.scheme in _BUCKETS or not parts.query:
            return self.public
        kept = [
            (name, value)
            for name, value in parse_qsl(parts.query, keep_blank_values=True)
            if not _signs(name)
        ]
        return f"{self.public}?{urlencode(kept)}" if kept else self.public

    @property
    def secrets(self) -> tuple[str, ...]:
        """Parts of it that nobody may see."""
        if self.scheme in _BUCKETS:
            return ()
        parts = urlsplit(self.text)
        userinfo = parts.netloc.rpartition("@")[0]
        return tuple(secret for secret in (parts.query, userinfo, unquote(userinfo)) if secret)

    @property
    def name(self) -> str:
        """Of the object alone, as a file would be called."""
        last = self.public.rpartition("/")[2]
        return unquote(last) if self.scheme in _WEB else last

    @property
    def parent(self) -> PurePosixPath:
        """The folders that it seems to lie in, as an absolute path that no file has."""
        return PurePosixPath(f"/{self.public.replace('://', ':/', 1)}").parent

    def __str__(self) -> str:
        return self.public

    def __repr__(self) -> str:
        return f"Address({self.public!r})"


def is_address(path: str) -> bool:
    """Whether a path of a manifest is an address."""
    return "://" in path and _SCHEME.match(path) is not None


def _names_server(url: str) -> bool:
    """Whether the part before the path is a server: else it may be a half of something that nobody may see."""
    try:
        parts = urlsplit(url)
        return parts.port != 0 and bool(parts.hostname)
    except ValueError:
        return False


def _signs(name: str) -> bool:
    lower = name.lower()
    return lower in _SIGNATURES or lower.startswith(_SIGNATURE_PREFIXES)
