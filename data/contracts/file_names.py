"""Names of files as text, and files and folders named after data: bounded, unique, below their folder.

A name of data may be ``..``, ``a/b``, 300 characters long, or differ from another in its case alone, which some file
systems take for the same.
"""

import hashlib
import os
import re

MOST_BYTES = 160
"""Of 255 that a file system takes: what is put before or behind a name, and what a file is called while it is written,
must fit too."""

_DIGEST_LETTERS = 12
_UNSAFE = re.compile(r"[^a-z0-9_-]")
# What an escaped byte of a name that is not UTF-8 looks like.
_LIKE_AN_ESCAPED_BYTE = re.compile(r"\\x[89a-f][0-9a-f]")
_FORBIDDEN = re.compile("[/\x00-\x1f\x7f\ud800-\udfff]")


def file_name(name: str) -> str:
    """A file name of the letters a-z, 0-9, - and _: the name itself where it has no others, else with a digest of it.

    Two names never share one, even where a file system ignores case.
    """
    if name and len(name) <= MOST_BYTES and not _UNSAFE.search(name):
        return name
    readable = re.sub(r"[^A-Za-z0-9_-]+", "_", name)[: MOST_BYTES - _DIGEST_LETTERS - 1]
    return f"{readable}-{_digest(name)}"


def folder_name(name: str) -> str:
    """A folder name that a person knows again: the name itself unless no folder can be called so.

    Those that are too long, that hold a slash, a control character or half a surrogate pair, and ``.`` and ``..`` get a
    digest.
    """
    if name.strip(". ") and len(_bytes(name)) <= MOST_BYTES and not _FORBIDDEN.search(name):
        return name
    readable = _bytes(_FORBIDDEN.sub("-", name))[: MOST_BYTES - _DIGEST_LETTERS - 1]
    return f"{readable.decode(errors='ignore')}-{_digest(name)}"


def printable(path: str) -> str:
    """A path as text that can be stored and printed: itself, unless a name in it is not UTF-8.

    In such a name each byte that is not UTF-8 is written as ``\\xff``, and every backslash is doubled. So it is in a
    name that merely looks as if it held such a byte: two names never have one text.
    """
    if path.isascii() and "\\" not in path:
        return path
    return "/".join(map(_printable_name, path.split("/")))


def is_utf8(name: str) -> bool:
    """Whether a name is text; Python has half surrogate pairs for the bytes of one that is not."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _printable_name(name: str) -> str:
    if not is_utf8(name):
        return os.fsencode(name.replace("\\", "\\\\")).decode("utf-8", "backslashreplace")
    return name.replace("\\", "\\\\") if _LIKE_AN_ESCAPED_BYTE.search(name) else name


def _bytes(name: str) -> bytes:
    return name.encode(errors="backslashreplace")


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:_DIGEST_LETTERS]
