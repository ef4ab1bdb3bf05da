from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from tvr.data.contracts.errors import UsageError
from tvr.data.contracts.plug_ins import configured, load_plug_in, plug_in_names


@dataclass(frozen=True)
class Config:
    layers: int = 4
    rate: float = 0.5
    masked: bool = True
    kind: Literal["a", "b"] = "a"
    weights: tuple[float, ...] = (1.0,)
    limit: int | None = None
    folder: Path | None = None


def test_configured_parses_each_type() -> None:
    settings = {
        "layers": "2",
        "rate": "1e-3",
        "masked": "false",
        "kind": "b",
        "weights": "1,2.5",
        "limit": "none",
    }
    assert configured(Config, settings, "toy") == Config(2, 1e-3, False, "b", (1.0, 2.5), None)
    assert configured(Config, {"limit": "3", "folder": "x/y"}, "toy") == Config(limit=3, folder=Path("x/y"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layer": "2"}, "Did you mean 'layers'"),
        ({"layers": "two"}, "layers must be of type int"),
        ({"masked": "perhaps"}, "masked must be true or false"),
        ({"kind": "c"}, "one of a, b"),
        ({"weights": "1,x"}, "weights must be of type float"),
    ],
)
def test_configured_fails(settings: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        configured(Config, settings, "toy")


def test_plug_ins_are_files() -> None:
    names = plug_in_names("tvr.heads")
    folder = Path(__file__).parents[3] / "heads"
    assert names == sorted(p.stem for p in folder.glob("*.py") if p.stem not in ("__init__", "base"))
    assert load_plug_in("tvr.heads", "mean_pool").Head.__name__ == "Head"


def test_load_plug_in_fails() -> None:
    with pytest.raises(
        UsageError, match=r"unknown head 'mean_pol'. Did you mean 'mean_pool'\? Known: .*mean_pool"
    ):
        load_plug_in("tvr.heads", "mean_pol")
