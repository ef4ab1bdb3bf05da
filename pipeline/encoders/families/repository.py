"""The files of a model of the transformers library: a folder, or a repository of the hub, from its cache first.

Anybody may have made them. They are data: code of a repository is not run, and what its records say of other places,
of kernels to fetch or of libraries to call is refused or left out.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from ....data.contracts.errors import MissingWeightsError, WeightsError, counted, pasteable
from ..weights.downloads import MissingFileError, check_reachable, hub_cache

PREFIX = "transformers:"
"""Of the names of these models."""

WEIGHTS_NAMES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
"""In which file a repository keeps its weights, or the list of their files; the first that is there is read."""

_CONFIG = "config.json"
_RECORDS = (_CONFIG, "tokenizer_config.json", "preprocessor_config.json", "processor_config.json")
_FILES = ("*.json", "*.txt", "*.model", "*.safetensors")
"""What is downloaded; the older format of weights only where there is none of these."""

_REFUSED = {
    "auto_map": "is built by Python code of its own, which is not run: only models that transformers knows are",
    "quantization_config": "holds quantised weights, which are not read: name the model they were made from",
}
_LEFT_OUT = frozenset(
    (
        "attn_implementation",
        "_attn_implementation",
        "_attn_implementation_internal",
        "experts_implementation",
        "fusion_config",
        "transformers_weights",
        "output_attentions",
        "output_hidden_states",
        "return_dict",
        "use_return_dict",
    )
)
"""Settings of how a network is run, which are this package's: some name code of the hub."""


@dataclass(frozen=True)
class Repository:
    """The files of one model."""

    model: str
    """As the store records it: with the absolute path of a folder."""
    folder: Path

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """What ``config.json`` says of the network.

        Raises:
            WeightsError: it is damaged, or asks for what is not done.
        """
        return self._record(_CONFIG)

    def check(self) -> None:
        """See that no record asks for code or files of another place.

        Raises:
            WeightsError: one does, or is damaged.
        """
        for name in _RECORDS:
            if (self.folder / name).is_file():
                self._record(name)

    def weights(self) -> Path:
        """The file of the weights, or of the list of their files.

        Raises:
            MissingWeightsError: there is none.
        """
        for name in WEIGHTS_NAMES:
            if (self.folder / name).is_file():
                return self.folder / name
        raise MissingWeightsError(
            f"the weights of {self.model} are not on this machine: {self.folder} has none of "
            f"{', '.join(WEIGHTS_NAMES)}\nto bring them: copy one of these files there; or draw untrained ones: "
            "--pretrained random"
        )

    def weights_files(self) -> list[Path]:
        """The files of the weights themselves.

        Raises:
            WeightsError: a list of files that is damaged or names files of other folders, or files that are missing.
        """
        first = self.weights()
        if first.suffix != ".json":
            return [first]
        try:
            names = sorted(set(json.loads(first.read_bytes())["weight_map"].values()))
            paths = [self.folder / name for name in names]
            absent = [name for name, path in zip(names, paths, strict=True) if not path.is_file()]
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise WeightsError(f"{first} does not list files of weights: {error}") from error
        if elsewhere := [name for name in names if Path(name).name != name]:
            raise WeightsError(
                f"{first} names {elsewhere[0]!r}, which is in another folder, and is not followed"
            )
        if absent:
            raise MissingWeightsError(
                f"the weights of {self.model} are not on this machine: {self.folder} has no {absent[0]}\n"
                f"to bring them: copy it there; it is one of {counted(len(names), 'file')} that {first.name} lists"
            )
        return paths

    def _record(self, name: str) -> Mapping[str, Any]:
        path = self.folder / name
        try:
            record = json.loads(path.read_bytes())
            if not isinstance(record, dict):
                raise ValueError(f"it holds one {type(record).__name__}, not settings by name")
            found = _keys_within(record)
            kept = _without_settings_of_running(record)
        except (OSError, ValueError, RecursionError) as error:
            raise WeightsError(f"{path} cannot be read: {error}") from error
        for key, reason in _REFUSED.items():
            if key in found:
                raise WeightsError(f"{self.model} {reason} ({name} says {key})")
        self._check_files_named_in(record, name)
        return kept

    def _check_files_named_in(self, record: Mapping[str, Any], name: str) -> None:
        """A tokenizer's record may name its files; those of another folder nobody named."""
        for key, value in record.items():
            if key.endswith("_file") and isinstance(value, str) and Path(value).name != value:
                if not Path(value).exists():
                    continue  # a trace of the machine on which it was written, as published ones have
                raise WeightsError(
                    f"{name} of {self.model} sends to {value!r}, which is another place than {self.folder}, and is "
                    "not followed"
                )


def is_repository_of_transformers(model: str) -> bool:
    """Whether a name of a model means one of these: a folder or repository that anybody may have made."""
    return model.startswith(PREFIX)


def find_repository(model: str) -> Repository:
    """The files of a model; downloads them if they are not here.

    Args:
        model: ``transformers:owner/name``, or ``transformers:`` and a folder.

    Raises:
        WeightsError: there is no such folder, or no model in it.
        MissingWeightsError: the repository is neither in the cache nor within reach.
    """
    name = model.removeprefix(PREFIX)
    folder = Path(name).expanduser()
    if name and folder.is_dir():
        repository = Repository(f"{PREFIX}{folder.absolute()}", folder.absolute())
        if not (folder / _CONFIG).is_file():
            raise WeightsError(
                f"{folder} is no model of the transformers library: it has no {_CONFIG}. Name the folder that "
                "save_pretrained wrote, with the model, its tokenizer and its image processor"
            )
    elif name.count("/") != 1 or name[0] in "./~\\":
        raise WeightsError(
            f"--model {pasteable(model)}: there is no such folder. Name one that holds a model of the transformers "
            f"library, or a repository of the hub: {PREFIX}owner/name"
        )
    else:
        repository = Repository(model, _snapshot(model, name))
    repository.check()
    return repository


def _snapshot(model: str, name: str) -> Path:
    """The folder of a repository of the hub in its cache."""
    try:
        here = _downloaded(name, is_here=True)
        if here is not None and _is_whole(here):
            return here
        check_reachable()
        there = _downloaded(name, is_here=False)
        assert there is not None
    except (MissingFileError, HfHubHTTPError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise MissingWeightsError(
            f"the files of {model} are not on this machine: {reason}\n"
            f"to bring them: `hf download {pasteable(name)}` with a network, into {hub_cache(None)}; or --model "
            f"{PREFIX}/path/to/folder"
        ) from error
    return there


def _downloaded(name: str, *, is_here: bool) -> Path | None:
    """The repository's folder: as it is in the cache (None: it is not), or with what the hub has of it."""
    # Which revision is the newest is not asked: the store keeps the digest of the weights.
    try:
        folder = snapshot_download(  # nosec B615
            name, allow_patterns=list(_FILES), ignore_patterns=["*/*"], local_files_only=is_here
        )
    except LocalEntryNotFoundError:
        if is_here:
            return None
        raise
    if not is_here and not any(path.suffix == ".safetensors" for path in Path(folder).iterdir()):
        snapshot_download(name, allow_patterns=["pytorch_model*.bin*"])  # nosec B615
    return Path(folder)


def _is_whole(folder: Path) -> bool:
    """Whether a folder of the cache has a configuration and all weights: parts of it may have been fetched alone."""
    try:
        return (folder / _CONFIG).is_file() and bool(Repository("", folder).weights_files())
    except WeightsError:
        return False


def _keys_within(value: Any) -> set[str]:
    """Names of all settings that are set, at any depth."""
    if isinstance(value, dict):
        named = {key for key, one in value.items() if one is not None}
        return named.union(*map(_keys_within, value.values()))
    return set[str]().union(*map(_keys_within, value)) if isinstance(value, list) else set()


def _without_settings_of_running(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_settings_of_running(one) for key, one in value.items() if key not in _LEFT_OUT}
    return value
