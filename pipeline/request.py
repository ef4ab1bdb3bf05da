"""``request.json``: what was asked of stage one, complete enough for another process to do it again.

The manifest says what the features are; this says where on this machine they came from. A store of somebody else may
name any file of this machine there, so of a request that this user did not make here only names are taken that mean
the same to everybody; the others have to be typed.
"""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from ..data.base import Dataset, Video, load_dataset
from ..data.contracts.errors import DataError, StoreError, TvrError, UsageError, pasteable
from ..data.contracts.records import restored
from ..data.contracts.toml_text import toml_of
from .encoders.base import is_own_file, is_own_model
from .options import EncoderSpec, ExtractionOptions, Request
from .store.atomic_files import as_json, keep_text
from .store.checksummed_json import read_checksummed, write_checksummed
from .store.manifest import REQUEST_NAME


class NotAskedHereError(UsageError):
    """A store of somebody else names places that nobody typed.

    Args:
        folder: of the store.
        left_open: the options that would name them.
        command: with these options, to be typed.
    """

    def __init__(self, folder: Path, left_open: tuple[str, ...], command: str) -> None:
        super().__init__(
            f"the store {folder} was not made by you on this machine. It says where its maker's videos or weights lie, "
            "and what somebody else's file names is opened only if you type it. If these are the right places here, or "
            f"once you have put those of your own copies in, type: {command}"
        )
        self.folder, self.left_open = folder, left_open


_NO_CHOICE_ONCE = {"pixels": "stored", "resize": "exact"}
"""What was so before there was a choice."""
_OF_ONE_RUN = ("num_children", "retry", "only", "on_error")
"""Options that leave no trace in a store."""

OPTIONS_NAME = "extract.toml"
"""What repeats an extraction, for a person to read: no command opens it by itself."""

_UNREPAIRED = (
    "the store cannot be repaired by itself. Delete the damaged shards and run the command that made the store, `tvr "
    "extract` or `tvr import-features`: it makes them again"
)


def save_request(folder: Path, options: ExtractionOptions, *, extends: bool = True) -> None:
    """Write ``request.json``, with absolute paths: a repair may be started anywhere; and remember who asked for it.

    Args:
        folder: of the store.
        options: what is asked for.
        extends: whether any feature is to be written. Where none is, other words for the same thing are not kept; other
            places where its files lie now are.
    """
    if options.request is None or not (extends or _is_news(folder, options.request)):
        return
    record = dataclasses.asdict(options) | {"request": _as_record(options.request)}
    kept = {name: value for name, value in record.items() if name not in _OF_ONE_RUN}
    if not _says(folder / REQUEST_NAME, kept):
        keep_text(folder / OPTIONS_NAME, _as_options(options, options.request.for_any_folder()))
        write_checksummed(folder / REQUEST_NAME, kept)
    remember(folder / REQUEST_NAME)


def _is_news(folder: Path, request: Request) -> bool:
    """Whether a store does not know yet where its videos and weights lie, or that this user asked for it here."""
    try:
        known = load_request(folder)[0]
    except StoreError:
        return True
    return not was_asked_here(folder) or _places_of(known) != _places_of(request.for_any_folder())


def _places_of(request: Request) -> tuple[str, set[str], list[str]]:
    """The data set's name, and options that say where it and an encoder of no published name lie."""
    return (
        request.dataset,
        set(NOTHING_NAMED.left_open(request)),
        NOTHING_NAMED.left_open_of_encoder(request.encoder),
    )


def load_request(folder: Path, otherwise: str = _UNREPAIRED) -> tuple[Request, ExtractionOptions]:
    """Read ``request.json``.

    Args:
        folder: of the store.
        otherwise: what cannot be done without it, and what to do instead; for errors.

    Raises:
        StoreError: there is none, or it is not what was written.
    """
    path = folder / REQUEST_NAME
    try:
        record: dict[str, Any] = _NO_CHOICE_ONCE | read_checksummed(path)
        request = restored(Request, _with_encoder_apart(record.pop("request")), "request")
        return request, dataclasses.replace(restored(ExtractionOptions, record), request=request)
    except FileNotFoundError:
        raise StoreError(f"{path} is missing, so {otherwise}") from None
    except (OSError, ValueError, KeyError, TypeError, TvrError) as error:
        raise StoreError(f"{path} cannot be used ({error}), so {otherwise}") from error


@dataclass(frozen=True, slots=True)
class Named:
    """What a person names, in place of what a request names; None and nothing: it is not named."""

    root: Path | None = None
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    model: str | None = None
    pretrained: str | None = None
    device: str | None = None

    def apply(self, request: Request) -> Request:
        """The request with what is named."""
        return dataclasses.replace(
            request,
            root=self.root or request.root,
            settings={**request.settings, **self.settings},
            encoder=self.apply_to_encoder(request.encoder),
        )

    def apply_to_encoder(self, encoder: EncoderSpec) -> EncoderSpec:
        """The encoder with what is named."""
        named = {"model": self.model, "pretrained": self.pretrained, "device": self.device}
        return dataclasses.replace(
            encoder, **{name: value for name, value in named.items() if value is not None}
        )

    def left_open(self, request: Request) -> list[str]:
        """Options that would name where the data set lies, as the request has it."""
        options = [] if self.root else ["--root", str(request.root)]
        for key, value in request.settings.items():
            if key not in self.settings:
                options += ["--data", f"{key}={value}"]
        return options

    def left_open_of_encoder(self, encoder: EncoderSpec) -> list[str]:
        """Options that would name an encoder which is not published under its name: a file, a repository."""
        options = ["--model", encoder.model] if is_own_model(encoder.model) and not self.model else []
        if encoder.pretrained and not self.pretrained and is_own_file(encoder.model, encoder.pretrained):
            options += ["--pretrained", encoder.pretrained]
        return options


NOTHING_NAMED = Named()


def request_to_repair(folder: Path, named: Named) -> tuple[Request, ExtractionOptions]:
    """What is asked for again, with the names that a person gives.

    Raises:
        StoreError: the store does not know how it was made.
        UsageError: this user did not ask for it here, and not everything is named that has to be.
    """
    request, options = load_request(folder)
    if not was_asked_here(folder):
        left_open = named.left_open(request) + named.left_open_of_encoder(request.encoder)
        _refuse(folder, left_open, "verify --repair")
    return named.apply(request), options


def request_for_files(
    folder: Path, named: Named, otherwise: str, command: str
) -> tuple[Request, ExtractionOptions]:
    """The same where a command looks at the files of the data set alone, without an encoder."""
    request, options = load_request(folder, otherwise)
    if not was_asked_here(folder):
        _refuse(folder, named.left_open(request), command)
    return named.apply(request), options


def videos_of_store(folder: Path, named: Named, command: str) -> Mapping[str, Video]:
    """The videos of a store's data set by id, with the files in which they lie now.

    Raises:
        StoreError: the store does not know how it was made.
        UsageError: this user did not ask for it here, and not everything is named that has to be.
        DataError: they lie there no more, or a file breaks its format.
    """
    otherwise = "nobody knows where its videos lie"
    request, _ = request_for_files(folder, named, otherwise, command)
    if not request.root.exists():  # what is generated would be made again
        raise DataError(f"{request.root} is not there any more; name where the videos are now with --root")
    return requested_dataset(request).videos


def encoder_of_store(folder: Path, identity: Mapping[str, Any], named: Named) -> EncoderSpec:
    """The encoder that made a store, on this machine's best device, with the names that a person gives.

    Args:
        folder: the store.
        identity: of the encoder, from its manifest.
        named: by the person.

    Raises:
        UsageError: this user did not make the store here, and it names a file or a repository.
    """
    made = EncoderSpec(identity["model"], identity["pretrained"])
    if was_asked_here(folder):
        made = load_request(folder)[0].encoder
    else:
        _refuse(folder, named.left_open_of_encoder(made), "search")
    return dataclasses.replace(
        named.apply_to_encoder(made), device="auto", precision=identity["precision"], compiled=False
    )


def _says(path: Path, record: Mapping[str, Any]) -> bool:
    """Whether the file holds this record already: a run with nothing to do writes nothing."""
    try:
        return as_json(read_checksummed(path)) == as_json(record)
    except (OSError, ValueError):
        return False


def root_of(folder: Path) -> Path | None:
    """Where the videos of a store lay when it was last extracted into; None where it does not say."""
    try:
        return load_request(folder)[0].root
    except StoreError:
        return None


def requested_dataset(request: Request, report: Callable[[int, int], None] | None = None) -> Dataset:
    """The data set as it is now.

    Raises:
        DataError: a file is missing or breaks its format.
    """
    return load_dataset(request.dataset, request.root, request.settings, report)


def _as_record(request: Request) -> dict[str, Any]:
    """As the file has it: the encoder's settings stand among the others."""
    record = dataclasses.asdict(request.for_any_folder())
    spec = record.pop("encoder")
    return record | {"root": str(record["root"])} | spec


def _as_options(options: ExtractionOptions, request: Request) -> str:
    """What repeats the extraction, as ``--config`` reads it. The batch is part of a store's identity."""
    sampling, encoder = options.sampling, request.encoder
    return toml_of(
        {
            "dataset": request.dataset,
            "root": request.root,
            "limit": options.limit,
            "videos-per-shard": options.videos_per_shard,
            "model": encoder.model,
            "pretrained": encoder.pretrained,
            "text-policy": options.text_policy,
            "patches": options.patches_dtype and True,
            "patches-dtype": options.patches_dtype,
            "sampling": sampling.policy,
            "num-frames": sampling.num_frames,
            "fps": sampling.fps,
            "max-seconds": options.max_seconds,
            "pixels": options.pixels,
            "resize": options.resize,
            "precision": encoder.precision,
            "compile": encoder.compiled or None,
            "batch-size": options.frames_per_batch,
            "decoder": options.decoder,
            "file-digest": options.file_digest,
            "data": request.settings,
        },
        f"Extracts the same features again: tvr extract --config {OPTIONS_NAME}",
    )


def _with_encoder_apart(record: Any) -> dict[str, Any]:
    """As ``Request`` has it."""
    values: dict[str, Any] = dict(record)
    of_encoder = [field.name for field in dataclasses.fields(EncoderSpec) if field.name in values]
    return values | {"encoder": {name: values.pop(name) for name in of_encoder}}


def repair_command(folder: Path) -> str:
    """What mends a store, to be typed: with the places that a store of somebody else names, for the person to judge."""
    try:
        request, _ = load_request(folder)
    except StoreError:  # the command itself says what is to be done then
        return _typed("verify --repair", folder, [])
    if was_asked_here(folder):
        return _typed("verify --repair", folder, [])
    left_open = NOTHING_NAMED.left_open(request) + NOTHING_NAMED.left_open_of_encoder(request.encoder)
    return _typed("verify --repair", folder, left_open)


def extract_command(folder: Path, *options: str) -> str | None:
    """What goes on with a store as it was begun, to be typed: with the file of its options. None where it has none, or
    where this user did not ask for it here, so that nobody opens what a stranger's file names by pasting a line.

    Args:
        folder: of the store.
        options: what else is asked for, such as ``--retry`` and its value.
    """
    if not (folder / OPTIONS_NAME).is_file() or not was_asked_here(folder):
        return None
    words = ["tvr", "extract", "--config", folder / OPTIONS_NAME, "--store", folder, *options]
    return " ".join(map(pasteable, words))


def _refuse(folder: Path, left_open: Sequence[str], command: str) -> None:
    if left_open:
        raise NotAskedHereError(folder, tuple(left_open), _typed(command, folder, left_open))


def _typed(command: str, folder: Path, options: Sequence[str]) -> str:
    return " ".join(map(pasteable, ["tvr", *command.split(), "--store", folder, *options]))


def _asked_here() -> Path:
    """The folder of an empty file for each request of this user on this machine, named by the digest of its bytes."""
    return Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser() / "tvr" / "asked"


def remember(path: Path) -> None:
    """Keep in mind that this user wrote it; who has no home, or one that cannot be written, names it later."""
    with suppress(OSError, RuntimeError):
        folder = _asked_here()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / sha256(path.read_bytes()).hexdigest()).touch()


def was_asked_here(folder: Path, name: str = REQUEST_NAME) -> bool:
    """Whether the names in a store's request, or in another file that was remembered, are this user's own."""
    try:
        return (_asked_here() / sha256((folder / name).read_bytes()).hexdigest()).is_file()
    except (OSError, RuntimeError):
        return False
