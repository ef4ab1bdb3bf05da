"""Where a trial is trained: every configuration of head, training and features has a folder of its own."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

from ...data.contracts.errors import TvrError
from ..runs.identity import Settings, in_one_line, run_differences, settings_digest
from ..runs.run_folder import load_record
from .grid import Trial

READABLE_BYTES = 120
"""Of a folder's name, before the digest; a file system allows 255, an encrypted one 143."""
DIGEST_CHARACTERS = 12
_MARK = ",id="


def trial_settings(trial: Trial, store: Settings) -> Settings:
    """Everything that decides what a trial comes to, as ``config.json`` has it.

    Args:
        trial: the head and how it is trained.
        store: ``identity_of`` the store it is trained on.
    """
    parts = {
        "head": trial.head,
        "head_config": dataclasses.asdict(trial.head_config),
        "training": dataclasses.asdict(trial.training),
        "store": dict(store),
    }
    return json.loads(json.dumps(parts))


def trial_folders(trials: Path) -> dict[str, list[Path]]:
    """The folders of a sweep's trials, by what is readable of their names."""
    found: dict[str, list[Path]] = {}
    for folder in sorted(trials.iterdir()) if trials.is_dir() else ():
        found.setdefault(folder.name.rpartition(_MARK)[0] or folder.name, []).append(folder)
    return found


def folder_of(trial: Trial, settings: Settings, trials: Path, there: Mapping[str, list[Path]]) -> Path:
    """The folder that holds this very trial, also under the name that an earlier version gave it; else a new one.

    A new one is named for what was varied, as far as that fits, and for the digest of all settings: two trials share no
    folder, and two sweeps that want the same trial choose the same one.
    """
    new = trials / f"{_readable(trial)}{_MARK}{settings_digest(settings)[:DIGEST_CHARACTERS]}"
    others = [*there.get(_readable(trial), ()), *there.get(_plain(trial), ())]
    return next((folder for folder in (new, *others) if holds(folder, settings)), new)


def holds(folder: Path, settings: Settings) -> bool:
    """Whether the run in a folder has these settings."""
    return folder_differences(folder, settings) == []


def folder_differences(folder: Path, settings: Settings) -> list[str] | None:
    """What of the run in a folder is not as in these settings; None where no run can be read there."""
    try:
        record = load_record(folder).completed
    except TvrError:
        return None
    stored = {name: getattr(record, name) for name in settings}
    return run_differences(json.loads(json.dumps(stored)), settings)


def other_settings(trial: Trial, folder: Path, settings: Settings) -> str | None:
    """By what another trial of the same name differs; None where there is none beside the folder of this one."""
    there = trial_folders(folder.parent)
    for other in dict.fromkeys([*there.get(_readable(trial), ()), *there.get(_plain(trial), ())]):
        if other != folder and (found := folder_differences(other, settings)):
            return in_one_line(found)
    return None


def _readable(trial: Trial) -> str:
    """The beginning of the trial's name, cut between two characters."""
    return _plain(trial).encode()[:READABLE_BYTES].decode(errors="ignore")


def _plain(trial: Trial) -> str:
    """The whole name as a file may have it, which was that of the folder before there were digests."""
    return trial.name.replace("/", "-")
