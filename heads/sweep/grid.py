"""The trials of a sweep: every combination of a grid, checked before the first one starts."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...data.contracts.errors import UsageError, unknown_name
from ...data.contracts.plug_ins import load_plug_in
from ...data.contracts.records import configured
from ...data.contracts.toml_text import toml_of
from ..base import check_trainable, configured_head
from ..runs.identity import STORE_DIGEST, Settings, store_digest
from ..runs.training_config import FORMER_NAMES, TrainingConfig, with_current_names

Grid = Mapping[str, Sequence[str]]
"""Values by setting: ``head``, fields of TrainingConfig, fields of heads' Configs, and ``preset``."""

OPTIONS = "sweep.toml"
"""Of a sweep's folder: what repeats the sweep that was started last."""
USUAL_HEAD = "seq_transformer"
"""Of a sweep that names none."""
TRAINING, HEAD = "training.", "head."
"""What is put before a setting that both Configs have, to say which one is meant."""


@dataclass(frozen=True)
class Trial:
    """One combination."""

    head: str
    varied: Mapping[str, str]
    """The settings of the grid that apply to this head, seed included; they name the trial."""
    head_config: Any
    training: TrainingConfig

    @property
    def name(self) -> str:
        """What was varied."""
        return ",".join([self.head, *(f"{key}={value}" for key, value in self.varied.items())])

    @property
    def group(self) -> str:
        """The name without the seed: what mean and deviation are taken over."""
        return ",".join([self.head, *(f"{k}={v}" for k, v in self.varied.items() if k != "seed")])


def plan_trials(grid: Grid, fixed: Mapping[str, str]) -> list[Trial]:
    """Every combination of the grid, in its order, each once.

    A setting that only some heads have is varied for those heads only.

    Args:
        grid: what is varied.
        fixed: settings that all trials share; the grid wins.

    Raises:
        UsageError: an unknown head or setting, a head with nothing to train, or a value that is not allowed. Nothing
            has been trained yet.
    """
    for key, values in grid.items():
        if not values:
            raise UsageError(f"the grid gives no value for {key}; write {key}=value1,value2")
    heads = heads_of(grid, fixed) or [USUAL_HEAD]
    for head in heads:
        check_trainable(head, "--grid head=NAME" if "head" in grid else "--set head=NAME")
    settings = {key: values for key, values in grid.items() if key != "head"}
    known = {head: _fields(head) for head in heads}
    _refuse_unknown([*settings, *(key for key in fixed if key != "head")], known)
    trials: dict[str, Trial] = {}
    for head in heads:
        own = {key: values for key, values in settings.items() if _current(key) in known[head]}
        shared = {key: value for key, value in fixed.items() if _current(key) in known[head]}
        for combination in itertools.product(*own.values()):
            trial = _trial(head, dict(zip(own, combination, strict=True)), shared)
            trials[trial.name] = trial
    return list(trials.values())


def options_of(trials: Sequence[Trial], fixed: Mapping[str, str], store: Settings) -> str:
    """What repeats a sweep, as ``--config`` reads it: its grid, and every training setting that the trials share.

    Args:
        trials: all of them.
        fixed: settings that all trials share, as they were typed.
        store: ``identity_of`` the one that they are trained on.
    """
    grid: dict[str, dict[str, None]] = {"head": dict.fromkeys(trial.head for trial in trials)}
    for trial in trials:
        for key, value in trial.varied.items():
            grid.setdefault(key, {})[value] = None
    told = {_current(key).removeprefix(TRAINING) for key in (*fixed, *grid) if not _is_head_setting(key)}
    usual = {k: v for k, v in dataclasses.asdict(trials[0].training).items() if k not in told}
    trained = {k.removeprefix(TRAINING): v for k, v in fixed.items() if not _is_head_setting(k)} | usual
    own = {"device", "wandb"}  # the machine's
    head = {key: value for key, value in fixed.items() if key != "head" and _is_head_setting(key)}
    options = {
        "store": store["path"],
        STORE_DIGEST: store_digest(store),
        "grid": {key: list(values) for key, values in grid.items()},
        "set": head,
        "train": {key: value for key, value in trained.items() if key not in own},
    }
    return toml_of(options, f"Sweeps the same grid again: tvr sweep --config {OPTIONS}")


def heads_of(grid: Grid, fixed: Mapping[str, str]) -> list[str]:
    """The heads that a sweep names; none where it leaves that to ``USUAL_HEAD``."""
    fixed_head = fixed.get("head")
    return list(grid.get("head", ())) or ([] if fixed_head is None else [fixed_head])


def foreign_settings(heads: Sequence[str], others: Sequence[str]) -> set[str]:
    """The settings of heads that none of some other heads has.

    Raises:
        UsageError: a head is not there.
    """
    own, known = ({key for head in some for key in _fields(head)} for some in (heads, others))
    return own - known


def _trial(head: str, varied: dict[str, str], fixed: dict[str, str]) -> Trial:
    settings = fixed | varied
    own = {key.removeprefix(HEAD): value for key, value in settings.items() if _is_head_setting(key)}
    training = {key.removeprefix(TRAINING): v for key, v in settings.items() if not _is_head_setting(key)}
    return Trial(
        head=head,
        varied=varied,
        head_config=configured_head(head, own),
        training=configured(TrainingConfig, with_current_names(training), "training"),
    )


def _is_head_setting(key: str) -> bool:
    return not key.startswith(TRAINING) and key not in {*_training_fields(), *FORMER_NAMES}


def _fields(head: str) -> set[str]:
    """Every setting that a trial of this head may have, with and without a prefix."""
    own = {"preset"} | {field.name for field in dataclasses.fields(load_plug_in("tvr.heads", head).Config)}
    training = _training_fields()
    prefixed = {HEAD + name for name in own} | {TRAINING + name for name in training}
    return (own ^ training) | prefixed


def _training_fields() -> set[str]:
    return {field.name for field in dataclasses.fields(TrainingConfig)}


def _current(key: str) -> str:
    """The setting under the name it has now. Trials keep the one that was written, so that their folders are found."""
    prefix = TRAINING if key.startswith(TRAINING) else ""
    return prefix + FORMER_NAMES.get(key.removeprefix(TRAINING), key.removeprefix(prefix))


def _refuse_unknown(keys: Sequence[str], known: Mapping[str, set[str]]) -> None:
    for key in keys:
        if any(_current(key) in fields for fields in known.values()):
            continue
        if any(HEAD + key in fields for fields in known.values()):
            raise UsageError(
                f"both training and a head have a setting {key!r}: write {TRAINING}{key} or {HEAD}{key}"
            )
        raise UsageError(unknown_name(f"setting of {', '.join(known)}", key, {"head"}.union(*known.values())))


def parse_grid(words: Sequence[str]) -> dict[str, list[str]]:
    """``["head=hcmi,wti", "seed=0,1"]`` as a grid. Values that hold a comma are set apart by ``;`` instead.

    Raises:
        UsageError: a word has no ``=``, or a setting comes twice.
    """
    grid: dict[str, list[str]] = {}
    for word in words:
        key, equals, values = word.partition("=")
        if not equals or not key:
            raise UsageError(f"a grid is written setting=value1,value2, got {word!r}")
        if key in grid:
            raise UsageError(f"the grid names {key} twice; write all its values after one {key}=")
        grid[key] = [value.strip() for value in values.split(";" if ";" in values else ",") if value.strip()]
    return grid
