"""What is said of the settings of a plug-in: from the fields of its Config and the strings below them."""

from dataclasses import dataclass
from typing import Literal

import pytest
from tvr.data.contracts.numbers import Count
from tvr.data.contracts.plug_ins import load_plug_in, plug_in_names
from tvr.data.contracts.settings import Setting, settings_of


@dataclass(frozen=True)
class Base:
    """What others have too."""

    validation: Literal["hold-out", "none"] = "hold-out"
    """Hold out
    some."""


@dataclass(frozen=True)
class Config(Base):
    """Some of everything."""

    files: tuple[str, ...] = ("a", "b")
    """Which."""
    deep: bool = False
    layers: Count | None = None
    """How many."""
    even: int = 4
    """Pixels."""


def test_every_field_is_described() -> None:
    assert settings_of(Config, {"even": range(2, 9, 2)}) == (
        Setting("validation", "hold-out", "hold-out or none", "Hold out some."),
        Setting("files", "a,b", "text, several set apart by commas", "Which."),
        Setting("deep", "false", "true or false", ""),
        Setting("layers", "none", "a whole number, from 1 to 1,000,000 or none", "How many."),
        Setting("even", "4", "an even number from 2 to 8", "Pixels."),
    )


@pytest.mark.parametrize("name", plug_in_names("tvr.data"))
def test_no_data_set_has_a_setting_that_nobody_explains(name: str) -> None:
    for setting in settings_of(load_plug_in("tvr.data", name).Config):
        assert setting.description.endswith(".")
        assert setting.allowed
