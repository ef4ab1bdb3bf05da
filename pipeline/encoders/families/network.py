"""From the files of a model to its network, with its weights or with drawn ones, its tokenizer and image processor."""

import logging
import pickle
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ....data.contracts.errors import WeightsError
from ..weights.file_kinds import why_no_weights
from ..weights.sources import NOT_A_MODEL
from .repository import Repository

UNREADABLE = (
    *NOT_A_MODEL,
    ImportError,
    EOFError,
    StrictDataclassError,
    SafetensorError,
    pickle.UnpicklingError,
)
"""What the library raises on records that describe no model, and on files that hold none of its weights."""
_MAX_NAMED = 3


def network_of(repository: Repository, library_name: str, *, is_random: bool) -> Any:
    """The network on the CPU in float32, ready for inference.

    Args:
        repository: with its configuration and weights.
        library_name: of the family's classes in transformers, such as ``CLIP`` of ``CLIPConfig`` and ``CLIPModel``.
        is_random: whether weights are drawn, always the same ones; the caller's random numbers stay where they are.

    Raises:
        WeightsError: the configuration describes no model, or the weights are unreadable or another model's.
    """
    import transformers

    settings: dict[str, Any] = {"attn_implementation": "sdpa", "dtype": torch.float32}
    with _quiet_library(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            config = getattr(transformers, f"{library_name}Config").from_dict(dict(repository.config))
            kind = getattr(transformers, f"{library_name}Model")
            if is_random:
                return kind._from_config(config, **settings).eval()
        except UNREADABLE as error:
            raise WeightsError(
                f"{repository.model}: its configuration makes no model: {first_line(error)}"
            ) from error
        weights = _weights_of(repository)
        try:
            network, report = kind.from_pretrained(
                None,
                config=config,
                state_dict=weights,
                ignore_mismatched_sizes=True,  # so that they are reported, and refused below in words
                output_loading_info=True,
                **settings,
            )
        except UNREADABLE as error:
            raise WeightsError(
                f"{repository.model}: its weights do not fit it: {first_line(error)}"
            ) from error
    _refuse_other_weights(repository, report)
    return network.eval()


def tokenizer_of_repository(repository: Repository, config: Any) -> Any:
    """The library's tokenizer of the model.

    Args:
        repository: with its files.
        config: of the network, which the library would else read with all that it says of how to run it.

    Raises:
        WeightsError: there is none, or it needs a package that is not here.
    """
    import transformers

    return _read(repository, config, "tokenizer", transformers.AutoTokenizer.from_pretrained)


def image_processor_of(repository: Repository, config: Any) -> Any:
    """The library's image processor of the model.

    Args:
        repository: with its record.
        config: of the network.

    Raises:
        WeightsError: there is none.
    """
    import transformers

    return _read(repository, config, "image processor", transformers.AutoImageProcessor.from_pretrained)


def _read(repository: Repository, config: Any, part: str, from_pretrained: Callable[..., Any]) -> Any:
    """What the library makes of the files in the folder alone."""
    try:
        with _quiet_library():
            return from_pretrained(
                str(repository.folder), config=config, local_files_only=True, trust_remote_code=False
            )
    except UNREADABLE as error:
        raise WeightsError(
            f"{repository.model}: its {part} cannot be made from the files in {repository.folder}: {first_line(error)}"
        ) from error


def _weights_of(repository: Repository) -> dict[str, Tensor]:
    weights: dict[str, Tensor] = {}
    for path in repository.weights_files():
        try:
            weights |= _tensors(path)
        except UNREADABLE as error:
            reason = why_no_weights(path, error) or first_line(error)
            raise WeightsError(f"{path} does not hold weights of {repository.model}: {reason}") from error
    if packed := [name for name, tensor in weights.items() if tensor.dtype.itemsize == 1]:
        raise WeightsError(
            f"{repository.model} holds quantised weights ({packed[0]} is {weights[packed[0]].dtype}), which are not "
            "read: name the model they were made from"
        )
    return weights


def _tensors(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        return load_file(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of formats that torch reads or refuses all the same
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    return {name: tensor for name, tensor in content.items() if isinstance(tensor, Tensor)}


def _refuse_other_weights(repository: Repository, report: dict[str, Any]) -> None:
    """A part without weights would be drawn, and no figure made with it would mean anything."""
    missing, mismatched = sorted(report["missing_keys"]), sorted(report["mismatched_keys"])
    if missing or mismatched:
        names = [*missing, *(name for name, *_ in mismatched)]
        shown = ", ".join(names[:_MAX_NAMED]) + (", ..." if len(names) > _MAX_NAMED else "")
        raise WeightsError(
            f"{repository.weights()} holds weights of another model than {repository.folder / 'config.json'} "
            f"describes: {len(names)} of its tensors are not there, or of another shape ({shown})"
        )


@contextmanager
def _quiet_library() -> Generator[None]:
    """The library draws meters and reports on the terminal; what of it matters is said in errors here."""
    from transformers.utils import logging as library_logging

    verbosity, had_meters = library_logging.get_verbosity(), library_logging.is_progress_bar_enabled()
    library_logging.set_verbosity(logging.CRITICAL)
    library_logging.disable_progress_bar()
    try:
        yield
    finally:
        library_logging.set_verbosity(verbosity)
        if had_meters:
            library_logging.enable_progress_bar()


def first_line(error: BaseException) -> str:
    return " ".join(str(error).split())
