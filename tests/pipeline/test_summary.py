"""Where the time of an extraction went, and how many failures it may have."""

import pytest
from tvr.data.contracts.errors import UsageError
from tvr.pipeline.summary import FailureBudget, bottleneck, shares

IDLE = {"decode": 0.0, "resize": 0.0, "encode": 0.0, "write": 0.0, "wait": 0.0, "wall": 100.0}


def test_shares_of_children_are_of_all_children() -> None:
    seconds = IDLE | {"decode": 150.0, "resize": 30.0, "encode": 60.0, "wait": 40.0, "write": 5.0}
    assert shares(seconds, num_children=2) == {
        "decode": 0.75,
        "resize": 0.15,
        "encode": 0.6,
        "write": 0.05,
        "wait": 0.4,
    }


def test_nothing_done_is_no_share() -> None:
    assert set(shares({}, num_children=4).values()) == {0.0}


@pytest.mark.parametrize(
    ("seconds", "stage", "advice"),
    [
        ({"encode": 90.0, "wait": 5.0}, "encoding", "--precision bf16"),
        (
            {"encode": 5.0, "wait": 90.0, "decode": 190.0},
            "decoding",
            "more --decoding-processes: 2 of 8 cores",
        ),
        ({"encode": 5.0, "wait": 90.0, "decode": 60.0, "resize": 130.0}, "resizing", "--decoding-processes"),
        ({"encode": 5.0, "wait": 90.0, "decode": 20.0}, "reading", "faster disk"),
        ({"encode": 30.0, "wait": 30.0, "write": 95.0}, "writing", "--store"),
    ],
)
def test_the_bottleneck_is_named(seconds: dict[str, float], stage: str, advice: str) -> None:
    found = bottleneck(IDLE | seconds, num_children=2, num_cores=8, precision="fp32")
    assert found.stage == stage
    assert advice in found.advice


def test_the_advice_is_not_what_is_done_already() -> None:
    waiting = IDLE | {"encode": 5.0, "wait": 90.0, "decode": 750.0}
    assert (
        "--decoding-processes"
        not in bottleneck(waiting, num_children=8, num_cores=8, precision="bf16").advice
    )
    encoding = IDLE | {"encode": 90.0}
    assert "bf16" not in bottleneck(encoding, num_children=8, num_cores=8, precision="bf16").advice


@pytest.mark.parametrize(
    ("budget", "within"), [("2", True), ("1", False), ("20%", True), ("19%", False), ("0", False)]
)
def test_two_of_ten(budget: str, within: bool) -> None:
    assert FailureBudget.parse(budget).admits(2, 10) is within


@pytest.mark.parametrize("text", ["few", "", "%", "-1", "nan", "inf", "101%", "5 per cent"])
def test_parse_fails(text: str) -> None:
    with pytest.raises(UsageError, match=r"number such as 12 or a share such as 5%, got '"):
        FailureBudget.parse(text)
