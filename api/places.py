"""Where a program's stores and runs lie: folders, or names in a workspace, as the commands take them."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .data.contracts.errors import UsageError
from .data.contracts.file_names import folder_name
from .pipeline.store.manifest import MANIFEST_NAME
from .pipeline.workspace import RUN_CONFIG_NAME, Workspace

Place = str | os.PathLike[str]
"""A path, or a name in the workspace."""

WORKSPACE, WORKSPACE_VARIABLE = "tvr-workspace", "TVR_WORKSPACE"


def workspace_at(folder: Place | None) -> Workspace:
    """The workspace of that folder; None: that of the environment, or ``tvr-workspace`` here."""
    return Workspace(Path(folder or os.environ.get(WORKSPACE_VARIABLE) or WORKSPACE))


def store_folder_of(place: Workspace, store: Place) -> Path:
    """The folder of a store that is named by its folder or by its name in the workspace.

    Raises:
        UsageError: it is neither.
    """
    folder = Path(store)
    return folder if (folder / MANIFEST_NAME).is_file() else place.named_store(str(store))


def run_folder_of(place: Workspace, run: Place) -> Path:
    """The same of a run."""
    folder = Path(run)
    return folder if (folder / RUN_CONFIG_NAME).is_file() else place.named_run(str(run))


def see_that_it_is_of(dataset: str | None, folder: Path, found: str) -> None:
    """Refuse a store or a run of another data set than the one that is named beside it.

    Args:
        dataset: that is named; None: none.
        folder: of what was found.
        found: its data set.

    Raises:
        UsageError: it is of another one.
    """
    if dataset is not None and dataset != found and folder_name(dataset) != folder.parent.name:
        raise UsageError(f"{folder} is of {found}, and dataset says {dataset}: leave one of them out")


def typed_settings(settings: Mapping[str, Any] | None) -> dict[str, str]:
    """``key=value`` settings as a person types them: True is ``true``, members of a list stand between commas."""
    return {key: _in_words(value) for key, value in (settings or {}).items() if value is not None}


def names_in(names: str | Sequence[str] | None) -> tuple[str, ...]:
    """Names one by one, or in one text with commas between them."""
    given = names.split(",") if isinstance(names, str) else names or ()
    return tuple(name.strip() for name in given if name.strip())


def path_or_none(path: Place | None) -> Path | None:
    """A path, of which ``~`` is the home folder."""
    return None if path is None else Path(path).expanduser()


def _in_words(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ",".join(_in_words(one) for one in value)
    if isinstance(value, str | int | float | os.PathLike):
        return str(value)
    raise UsageError(f"a setting is a text, a number, True, False or a list of these, got {value!r}")
