import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from tvr.data.contracts.errors import UsageError
from tvr.data.contracts.plug_ins import load_plug_in, plug_in_names
from tvr.data.contracts.records import configured, restored


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


@dataclass(frozen=True)
class Inner:
    name: str
    pair: tuple[float, float] = (0.0, 1.0)


@dataclass(frozen=True)
class Outer:
    """A field of every type that a record has."""

    count: int
    share: float
    path: Path
    inner: Inner
    by_name: Mapping[str, Inner]
    kind: Literal["a", "b"] = "a"
    is_on: bool = False
    limit: int | None = None
    sizes: tuple[int, ...] = ()
    ids: Sequence[str] = ()
    places: list[list[int]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    anything: Mapping[str, Any] = field(default_factory=dict)


NEEDED = {"count": 3, "share": 1, "path": "x/y", "inner": {"name": "n"}, "by_name": {}}


def test_restored_gives_back_what_json_was_made_of() -> None:
    record = Outer(
        count=3,
        share=0.5,
        path=Path("x/y"),
        inner=Inner("n", (1.0, 2.0)),
        by_name={"first": Inner("m")},
        kind="b",
        is_on=True,
        limit=4,
        sizes=(1, 2),
        ids=["a"],
        places=[[1, 2], []],
        seconds={"decode": 1.5, "write": 2},
        anything={"deep": [None, {"x": 1}]},
    )
    assert restored(Outer, json.loads(json.dumps(dataclasses.asdict(record), default=str))) == record


def test_restored_takes_defaults_for_what_is_absent() -> None:
    assert restored(Outer, NEEDED) == Outer(3, 1, Path("x/y"), Inner("n"), {})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"count": "3"}, "^count is '3'$"),
        ({"count": True}, "^count is True$"),
        ({"count": 3.0}, "^count is 3.0$"),
        ({"share": "1"}, "^share is '1'$"),
        ({"share": False}, "^share is False$"),
        ({"path": 1}, "^path is 1$"),
        ({"kind": "c"}, "^kind is 'c'$"),
        ({"kind": []}, r"^kind is \[\]$"),
        ({"is_on": 1}, "^is_on is 1$"),
        ({"limit": "none"}, "^limit is 'none'$"),
        ({"inner": None}, "^inner is None$"),
        ({"inner": {"name": 1}}, "^inner.name is 1$"),
        ({"inner": {}}, "^it has no inner.name$"),
        ({"inner": {"name": "n", "pair": [1]}}, r"^inner.pair is \[1\]$"),
        ({"inner": {"name": "n", "nam": "n"}}, "^it has the unknown field 'inner.nam'$"),
        ({"by_name": {"first": 1}}, "^by_name.first is 1$"),
        ({"by_name": []}, r"^by_name is \[\]$"),
        ({"sizes": 1}, "^sizes is 1$"),
        ({"sizes": [1, "2"]}, "^sizes.1 is '2'$"),
        ({"ids": "abc"}, "^ids is 'abc'$"),
        ({"places": [[1], 2]}, "^places.1 is 2$"),
        ({"seconds": {"decode": None}}, "^seconds.decode is None$"),
        ({"more": 1}, "^it has the unknown field 'more'$"),
        ({"count": "x" * 1000}, r"^count is .{191}$"),
    ],
)
def test_restored_fails(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        restored(Outer, NEEDED | changes)


@pytest.mark.parametrize("values", [None, [], "x", 1])
def test_restored_fails_where_there_is_no_object(values: object) -> None:
    with pytest.raises(ValueError, match=r"^it is (None|\[\]|'x'|1)$"):
        restored(Outer, values)


def test_restored_fails_where_a_field_is_missing() -> None:
    with pytest.raises(ValueError, match=r"^it has no path$"):
        restored(Outer, {name: value for name, value in NEEDED.items() if name != "path"})


@pytest.mark.parametrize("head", plug_in_names("tvr.heads"))
def test_the_config_of_every_head_comes_back_from_json(head: str) -> None:
    config = load_plug_in("tvr.heads", head).Config()
    assert restored(type(config), json.loads(json.dumps(dataclasses.asdict(config)))) == config
