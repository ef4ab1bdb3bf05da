import pytest
from tvr.data.contracts.errors import UsageError
from tvr.pipeline.summary import FailureBudget


@pytest.mark.parametrize(
    ("budget", "within"), [("2", True), ("1", False), ("20%", True), ("19%", False), ("0", False)]
)
def test_two_of_ten(budget: str, within: bool) -> None:
    assert FailureBudget.parse(budget).admits(2, 10) is within


@pytest.mark.parametrize("text", ["few", "", "%", "-1", "nan", "inf", "101%", "5 per cent"])
def test_parse_fails(text: str) -> None:
    with pytest.raises(UsageError, match=r"number such as 12 or a share such as 5%, got '"):
        FailureBudget.parse(text)
