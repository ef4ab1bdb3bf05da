"""``store.json``: what made a feature store, and whether another run would make the same one."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from ...data.base import Protocol
from ...data.contracts.cautions import UNPROJECTED, Caution, caution_of
from ...data.contracts.errors import StoreError, counted, pasteable
from ...data.contracts.identity import Difference, differing_settings
from ...data.contracts.numbers import as_option
from ...data.contracts.records import restored, restored_value
from ...data.contracts.strict_json import read_json
from .atomic_files import as_json, write_json
from .checksummed_json import create_checksummed, read_checksummed, write_checksummed

FORMAT_VERSION = 1

MANIFEST_NAME = "store.json"
SPLITS_NAME = "splits.json"
REQUEST_NAME = "request.json"

CAPTION_BY_CAPTION = ("single", "multi")
"""Protocols in which each caption is encoded by itself, so that one more changes the protocol and no feature."""


@dataclass(frozen=True, slots=True)
class SplitRecord:
    """One split as the store knows it. The ids themselves are in ``splits.json``."""

    found: int
    expected: int
    source: str
    digest: str
    """sha256 of the ids in their order, one a line."""


@dataclass(frozen=True)
class Manifest:
    """Everything that decides what the features are, and the versions that computed them."""

    dataset: str
    protocol: str
    annotation_digests: Mapping[str, str]
    normalisation: Sequence[str]
    preset: Mapping[str, Any]
    splits: Mapping[str, SplitRecord]
    encoder: Mapping[str, Any]
    """The encoder's identity: model, weights digest, activation, preprocessing, dim, precision."""
    sampling: Mapping[str, Any]
    max_seconds: float | None
    num_videos: int
    videos_per_shard: int
    num_texts: int
    texts_per_shard: int
    frames_per_batch: int
    limit: int | None
    decoder: str
    text_policy: str = "truncate"
    """What was done with texts longer than the encoder's context."""
    patches_dtype: str | None = None
    """Number format of the patches of each frame, or None without patches."""
    pixels: str = "stored"
    """square: frames have the proportions in which a player shows them. stored: those of their rows and columns, as
    in every store from before there was a choice."""
    resize: str = "exact"
    """How frames were resampled: exact as by PIL, as in every store from before there was a choice, or fast."""
    notes: Sequence[str] = ()
    probe: Mapping[str, Any] | None = None
    """How many pairs of rendered stills the encoder told apart before the first shard; None: nobody looked."""
    imported: Mapping[str, Any] | None = None
    """Of features that others made, from which layout and files they were read, and what is unknown; else None."""
    versions: Mapping[str, str] = dataclasses.field(default_factory=lambda: versions())
    format_version: int = FORMAT_VERSION
    generation: int = 0
    """How often videos or captions have come, changed or gone since: counts, splits and what is said of annotations are
    those of this generation. Not in ``store.json``."""

    @property
    def features_digest(self) -> str:
        """sha256 of what decides how a feature is made: the same for every archive and every version of the packages.

        A setting that is as it was before there was a choice is left out, so that new ones change no digest.
        """
        usual = {field.name: field.default for field in dataclasses.fields(self)}
        settings = {name: value for name in _OF_FEATURES if (value := getattr(self, name)) != usual[name]}
        return hashlib.sha256(as_json(_of_features(settings)).encode()).hexdigest()

    @cached_property
    def features_digests(self) -> frozenset[str]:
        """That, and what it is with one caption a video, or with several: features are the same."""
        protocols = CAPTION_BY_CAPTION if self.protocol in CAPTION_BY_CAPTION else (self.protocol,)
        return frozenset(dataclasses.replace(self, protocol=each).features_digest for each in protocols)

    @property
    def model(self) -> str:
        """Name of the encoder as open_clip knows it."""
        return str(self.encoder["model"])

    @property
    def pretrained(self) -> str:
        """Tag of the weights, the checkpoint's file name, or ``random``."""
        return str(self.encoder["pretrained"])

    @property
    def random_weights(self) -> bool:
        """Whether the encoder was never trained, so that figures built on it say nothing of retrieval."""
        return bool(self.encoder["random_weights"])

    @property
    def caution(self) -> Caution | None:
        """What a reader of any figure built on these features must know first; None where there is nothing."""
        if (self.imported or {}).get("text_features") == "hidden":
            return UNPROJECTED
        return caution_of(self.model, self.dataset, random_weights=self.random_weights)

    @property
    def dim(self) -> int:
        """Width of a feature."""
        return int(self.encoder["dim"])

    @property
    def attention_heads(self) -> int | None:
        """Of the encoder's text tower; None where it is of another width, and in stores from before it was asked."""
        return self.encoder.get("attention_heads")

    @property
    def patch_kind(self) -> Literal["projected", "raw", ""]:
        """What its patches are, as ``EncoderIdentity.patch_kind`` says; empty where it keeps none."""
        if self.patches_dtype is None:
            return ""
        return "raw" if self.encoder.get("raw_patches") else "projected"

    @property
    def patch_dim(self) -> int:
        """Width of a patch; 0 where it keeps none."""
        if not self.patch_kind:
            return 0
        return self.dim if self.patch_kind == "projected" else int(self.encoder["raw_patches"]["dim"])

    @property
    def logit_scale(self) -> float:
        """The encoder's own scale of cosines, at most 100."""
        return float(self.encoder["logit_scale"])

    def claim(self, folder: Path) -> None:
        """Write ``store.json`` unless there is one: of jobs that start together, the first decides."""
        create_checksummed(folder / MANIFEST_NAME, self.as_record())

    def save(self, folder: Path, split_ids: Mapping[str, Sequence[str]] | None = None) -> None:
        """Write ``splits.json``, if ids are given, then ``store.json``: it never names ids that are not there."""
        if split_ids is not None:
            write_json(folder / SPLITS_NAME, {name: list(ids) for name, ids in split_ids.items()})
        write_checksummed(folder / MANIFEST_NAME, self.as_record())

    def as_record(self) -> dict[str, Any]:
        """As ``store.json`` has it."""
        record = dataclasses.asdict(self)
        del record["generation"]
        return record


def load_first_manifest(folder: Path) -> Manifest:
    """Read ``store.json``: what the store was begun as.

    Raises:
        StoreError: there is none, or it is not the manifest of a store this version can read.
    """
    path = folder / MANIFEST_NAME
    if not path.is_file():
        raise StoreError(f"no feature store at {folder} (no {MANIFEST_NAME}). Make one with `tvr extract`.")
    try:
        values = read_checksummed(path)
        if values["format_version"] != FORMAT_VERSION:
            raise StoreError(
                f"{path} has format version {values['format_version']}, this tvr reads {FORMAT_VERSION}; "
                "extract again, or use the tvr version named in the file"
            )
        return _checked(restored(Manifest, values))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{path} is not the manifest of a store ({error}). "
            f"`tvr verify --store {pasteable(folder)} --repair` writes it anew"
        ) from error


_MAX_SHARDS = 1_000_000
"""More than any store has; a manifest that claims more would make its reader list names for hours."""

_COUNTS = ("num_videos", "num_texts", "videos_per_shard", "texts_per_shard", "frames_per_batch")

_READ: Mapping[str, Mapping[str, Any]] = {
    "encoder": {
        "model": str,
        "pretrained": str,
        "weights_digest": str,
        "precision": str,
        "random_weights": bool,
        "dim": int,
        "logit_scale": float,
    },
    "sampling": {"policy": str, "num_frames": int},
    "preset": {"num_frames": int, "max_words": int},
}
"""What readers take from the parts of a manifest that may hold more."""


def _checked(manifest: Manifest) -> Manifest:
    """The manifest, if its values can be those of a store; ValueError otherwise."""
    restored_value(manifest.protocol, Protocol, "protocol")
    for part, hints in _READ.items():
        for name, hint in hints.items():
            restored_value(getattr(manifest, part).get(name), hint, f"{part}.{name}")
    own = restored_value(manifest.encoder.get("attention_heads"), int | None, "encoder.attention_heads")
    counts = {name: getattr(manifest, name) for name in _COUNTS} | {"dim": manifest.dim}
    counts |= {} if own is None else {"encoder.attention_heads": own}
    if (raw := manifest.encoder.get("raw_patches")) is not None:
        raw_counts = {f"encoder.raw_patches.{name}": raw.get(name) for name in ("per_frame", "dim")}
        counts |= {name: restored_value(value, int, name) for name, value in raw_counts.items()}
        for name, hint in (("prefix", int), ("pooling", Sequence[str]), ("pooling_digest", str)):
            restored_value(raw.get(name), hint, f"encoder.raw_patches.{name}")
    counts |= {f"preset.{name}": manifest.preset[name] for name in _READ["preset"]}
    for name, count in counts.items():
        if count < (0 if name.startswith("num_") else 1):
            raise ValueError(f"{name} is {count}")
    shards = manifest.num_videos / manifest.videos_per_shard + manifest.num_texts / manifest.texts_per_shard
    if shards > _MAX_SHARDS:
        raise ValueError(f"it names {counted(round(shards), 'shard')}")
    return manifest


def read_split_ids(path: Path, manifest: Manifest) -> dict[str, tuple[str, ...]]:
    """Video ids by split.

    Raises:
        StoreError: the lists are missing or are not the ones the manifest was written with.
    """
    try:
        lists = read_json(path)
        ids = {str(name): tuple(str(i) for i in lists[name]) for name in manifest.splits}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path} cannot be read ({error}); re-run the `tvr extract` that made it") from error
    for name, record in manifest.splits.items():
        if ids_digest(ids[name]) != record.digest:
            raise StoreError(
                f"{path}: split {name!r} is not the one the store was made with (digest differs)"
            )
    return ids


def ids_digest(ids: Sequence[str]) -> str:
    """sha256 of ids in their order, one a line."""
    return hashlib.sha256("".join(f"{i}\n" for i in ids).encode()).hexdigest()


_OF_FEATURES = (
    "protocol",
    "encoder",
    "sampling",
    "max_seconds",
    "frames_per_batch",
    "decoder",
    "text_policy",
    "patches_dtype",
    "pixels",
    "resize",
)


def decides_no_feature(setting: str) -> bool:
    """Whether features are the same whatever a setting of a store says: the version of a package, how many attention
    heads a layer has that a trained head takes from the encoder, or what is known of raw patches, which the weights
    decide (``num_patches`` says whether there are projected ones instead)."""
    return setting.endswith("_version") or setting.rpartition(".")[2] in ("attention_heads", "raw_patches")


def _of_features(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings in the order of their names, at every depth, without those that are None."""
    return {
        name: _of_features(value) if isinstance(value, Mapping) else value
        for name, value in sorted(settings.items())
        if value is not None and not decides_no_feature(name)
    }


_MAY_DIFFER = {"versions", "notes", "splits", "preset", "probe", "generation"}
"""What may change between two runs that extend one store. Split sizes change as missing videos arrive; their
membership is held by the digests below."""


_CHOSEN = {
    "": (
        "max_seconds",
        "videos_per_shard",
        "frames_per_batch",
        "limit",
        "decoder",
        "text_policy",
        "patches_dtype",
        "pixels",
        "resize",
    ),
    "encoder": ("model", "pretrained", "precision"),
    "sampling": ("policy", "num_frames", "fps"),
}
"""Settings that are typed, by the part of the manifest they stand in."""
_STORE_SIDES = ("the store has", "this run would use")


def differences(stored: Manifest, wanted: Manifest) -> list[str]:
    """One line for each thing that would make the two runs' features differ."""
    lines: list[str] = []
    for field in dataclasses.fields(Manifest):
        if field.name not in _MAY_DIFFER:
            found = differing_settings(
                getattr(stored, field.name), getattr(wanted, field.name), decides_no_feature, field.name
            )
            lines += [_in_line(each, _STORE_SIDES) + _typed_with(each.name) for each in found]
    old = {name: record.digest for name, record in stored.splits.items()}
    new = {name: record.digest for name, record in wanted.splits.items()}
    return lines + differing("splits", old, new)


def differing(name: str, stored: Any, wanted: Any, sides: tuple[str, str] = _STORE_SIDES) -> list[str]:
    """One line for each value that differs and decides features."""
    found = differing_settings(stored, wanted, decides_no_feature, name)
    return [_in_line(each, sides) for each in found]


def _in_line(difference: Difference, sides: tuple[str, str]) -> str:
    stored, wanted = difference.shown
    return f"{difference.name}: {sides[0]} {stored}, {sides[1]} {wanted}"


def _typed_with(setting: str) -> str:
    """The option of ``tvr extract`` that chooses a setting of a store, for the end of its line, if there is one."""
    part, _, field = setting.rpartition(".")
    is_chosen = field in _CHOSEN.get(part, ())
    return f" ({as_option(field)})" if is_chosen else ""


@cache
def versions() -> dict[str, str]:
    """The packages that compute features, as installed here."""
    return {name: version(name) for name in ("tvr", "torch", "open_clip_torch", "h5py", "numpy", "av")}
