"""Numbers of every Config: finite and in range, or a sentence."""

import dataclasses
import math
from typing import Any

import pytest
from tvr.data.contracts.errors import TvrError, UsageError
from tvr.data.contracts.numbers import Count, Positive, Range, Share, as_option, check_number, check_numbers
from tvr.data.contracts.plug_ins import load_plug_in, plug_in_names
from tvr.data.contracts.records import configured
from tvr.heads.base import FeatureShape, build_head
from tvr.heads.runs.training_config import TrainingConfig
from tvr.pipeline.cluster.config import ClusterConfig
from tvr.pipeline.options import ExtractionOptions
from tvr.pipeline.sampling import Sampling

NO_NUMBERS = ("nan", "inf", "-inf", "1e400", "1e999999", "9" * 5_000, "-" + "9" * 400)
"""What float() or int() takes, or takes badly, and no setting can be."""

CONFIGS: dict[str, Any] = {
    **{f"head {name}": load_plug_in("tvr.heads", name).Config for name in plug_in_names("tvr.heads")},
    **{f"data {name}": load_plug_in("tvr.data", name).Config for name in plug_in_names("tvr.data")},
    "training": TrainingConfig,
    "sampling": Sampling,
    "cluster": ClusterConfig,
}


@dataclasses.dataclass(frozen=True)
class Config:
    rate: float = 0.5
    share: Share = 0.5
    count: Count | None = None
    scales: tuple[Positive, ...] = (1.0,)
    is_on: bool = True


def test_numbers_in_range() -> None:
    check_numbers(Config(-1e9, 0.0, 1, (1e-9, 1e6), False))
    check_numbers(Config(share=1, count=None, scales=()))
    check_number("x", None, Range(0, 1))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rate": math.nan}, "^rate must be a finite number, got nan$"),
        ({"rate": -math.inf}, "^rate must be a finite number, got -inf$"),
        ({"share": math.nan}, "^share must be from 0 to 1, got nan$"),
        ({"share": 1.01}, "^share must be from 0 to 1, got 1.01$"),
        ({"count": 0}, "^count must be from 1 to 1,000,000, got 0$"),
        ({"count": 10**300}, "^count must be from 1 to 1,000,000, got 1(0{39})...$"),
        ({"scales": (1.0, 0.0)}, "^scales must be above 0 and at most 1,000,000, got 0.0$"),
        ({"scales": (math.inf,)}, "^scales must be above 0"),
    ],
)
def test_numbers_fail(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_numbers(Config(**changes))


@pytest.mark.parametrize("name", CONFIGS)
def test_no_setting_takes_what_is_no_number(name: str) -> None:
    for field in dataclasses.fields(CONFIGS[name]):
        if "int" not in str(field.type) and "float" not in str(field.type):
            continue
        for text in NO_NUMBERS:
            with pytest.raises(UsageError, match=field.name) as refused:
                configured(CONFIGS[name], {field.name: text}, "toy")
            assert len(str(refused.value)) < 400


@pytest.mark.parametrize("name", plug_in_names("tvr.heads"))
def test_a_head_is_built_or_says_which_number_is_wrong(name: str) -> None:
    """What the settings of a head may be is known before a layer is made."""
    kind = load_plug_in("tvr.heads", name).Config
    for field in dataclasses.fields(kind):
        default: Any = field.default
        if "Literal" in str(field.type) or field.type is bool:
            continue
        for number in (-1, 0, 2**62, -1.0, 0.0, 1e300, math.nan, math.inf):
            whole = isinstance(default, int) or default is None
            if whole != isinstance(number, int):
                continue
            value = (number,) * len(default) if isinstance(default, tuple) else number
            try:
                build_head(name, kind(**{field.name: value}), FeatureShape(16, 4, 8))
            except TvrError as error:
                assert field.name in str(error) or "clusters" in str(error) or "trained" in str(error)


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -math.inf, -1.0, 0.0])
def test_max_seconds_fails(seconds: float) -> None:
    """A store made with nan could never be extended: it differs from itself."""
    with pytest.raises(UsageError, match=r"^--max-seconds must be "):
        ExtractionOptions(Sampling(), max_seconds=seconds)


@pytest.mark.parametrize(
    "changes",
    [
        {"fps": math.nan},
        {"fps": math.inf},
        {"fps": 1e300},
        {"num_frames": 2**40},
        {"num_frames": 0},
        {"seed": -1},
    ],
)
def test_sampling_fails(changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=rf"^{as_option(next(iter(changes)))} must "):
        Sampling(**changes)


@pytest.mark.parametrize("seconds", [math.nan, math.inf, 0.0])
def test_waiting_for_workers_fails(seconds: float) -> None:
    with pytest.raises(UsageError, match=r"^--wait-seconds must be "):
        ClusterConfig(wait_seconds=seconds)


@pytest.mark.parametrize(
    "changes",
    [{"logit_scale": math.inf}, {"clip_norm": math.inf}, {"weight_decay": math.nan}, {"num_words": 2**40}],
)
def test_training_fails(changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"^{next(iter(changes))} must be "):
        TrainingConfig(**changes)
