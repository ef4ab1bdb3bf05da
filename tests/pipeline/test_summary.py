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
            "--decoding-processes 8: there were 2",
        ),
        ({"encode": 5.0, "wait": 90.0, "decode": 60.0, "resize": 130.0}, "resizing", "--decoding-processes"),
        ({"encode": 5.0, "wait": 90.0, "decode": 20.0}, "reading", "faster disk"),
        ({"encode": 30.0, "wait": 30.0, "write": 95.0}, "writing", "--store"),
    ],
)
def test_the_bottleneck_is_named(seconds: dict[str, float], stage: str, advice: str) -> None:
    found = bottleneck(IDLE | seconds, num_children=2, num_cores=8, precision="fp32")
    assert found is not None
    assert found.stage == stage
    assert advice in found.advice


def test_a_short_run_tells_nothing() -> None:
    """A stranger was told to buy a faster disk after four seconds, most of which were the start of processes."""
    seconds = {"encode": 1.0, "wait": 30.0, "decode": 2.0, "wall": 31.0}
    assert bottleneck(IDLE | seconds, num_children=2, num_cores=8, precision="fp32") is None


def test_the_advice_is_not_what_is_done_already() -> None:
    waiting, encoding = IDLE | {"encode": 5.0, "wait": 90.0, "decode": 750.0}, IDLE | {"encode": 90.0}
    for seconds, option in ((waiting, "--decoding-processes"), (encoding, "bf16")):
        found = bottleneck(seconds, num_children=8, num_cores=8, precision="bf16")
        assert found is not None
        assert option not in found.advice


@pytest.mark.parametrize(
    ("budget", "within"), [("2", True), ("1", False), ("20%", True), ("19%", False), ("0", False)]
)
def test_two_of_ten(budget: str, within: bool) -> None:
    assert FailureBudget.parse(budget).admits(2, 10) is within


@pytest.mark.parametrize("text", ["few", "", "%", "-1", "nan", "inf", "101%", "5 per cent"])
def test_parse_fails(text: str) -> None:
    with pytest.raises(UsageError, match=r"number such as 12 or a share such as 5%, got '"):
        FailureBudget.parse(text)
