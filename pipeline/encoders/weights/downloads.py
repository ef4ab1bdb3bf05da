"""Files of the Hugging Face hub: from its cache on this machine, else over the network if there is one.

The hub's own client tries an unreachable server for half a minute before it gives up, once for every file it could
do with. Here the server is asked once whether it is there.
"""

import threading
from collections.abc import Sequence
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError

PATIENCE_SECONDS = 5.0
"""How long a server may take to say that it is there."""


class MissingFileError(Exception):
    """A file is neither on this machine nor within reach; the message says why it is out of reach."""


def hub_file(repository: str, names: Sequence[str], cache: Path | None) -> Path:
    """The first of the files that exists, from the cache or downloaded.

    Raises:
        MissingFileError: none is in the cache, and the hub is out of reach or has none.
    """
    for name in names:
        found = try_to_load_from_cache(repository, name, cache_dir=cache)
        if isinstance(found, str):
            return Path(found)
    check_reachable()
    for name in names:
        try:
            # Which revision is the newest is not asked: the store keeps the digest of the weights.
            file = hf_hub_download(repository, name, cache_dir=cache)  # nosec B615
        except LocalEntryNotFoundError as error:
            raise MissingFileError(str(error)) from error
        except EntryNotFoundError:
            continue
        except (HfHubHTTPError, OSError) as error:
            raise MissingFileError(str(error)) from error
        return Path(file)
    raise MissingFileError(f"{repository} has none of {', '.join(names)}")


def hub_cache(cache: Path | None) -> Path:
    """Where the hub keeps what it has downloaded."""
    return cache or Path(constants.HF_HUB_CACHE)


def check_reachable() -> None:
    """Ask the hub whether it is there.

    Raises:
        MissingFileError: it did not answer in time, or HF_HUB_OFFLINE forbids to ask.
    """
    if constants.HF_HUB_OFFLINE:
        raise MissingFileError("HF_HUB_OFFLINE is set")
    if silence := _silence(constants.ENDPOINT):
        raise MissingFileError(f"{constants.ENDPOINT} does not answer ({silence})")


def _silence(url: str) -> str:
    """Why a server says nothing at all, or nothing if it does; in a thread because no timeout covers the name
    look-up."""
    answers: list[str] = []
    asking = threading.Thread(target=lambda: answers.append(_answer(url)), daemon=True)
    asking.start()
    asking.join(PATIENCE_SECONDS + 1)
    return answers[0] if answers else f"nothing for {PATIENCE_SECONDS:g} seconds"


def _answer(url: str) -> str:
    try:
        # The hub's client has the address from its user's environment, and will ask it for files next.
        with urlopen(Request(url, method="HEAD"), timeout=PATIENCE_SECONDS):  # noqa: S310  # nosec B310
            return ""
    except HTTPError:
        return ""
    except URLError as error:
        return str(error.reason)
    except (OSError, ValueError) as error:
        return str(error)
