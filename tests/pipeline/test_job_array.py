import pytest
from tvr.data.contracts.errors import UsageError
from tvr.pipeline.job_array import EVERYTHING, JobShare

SLURM = {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_MAX": "4"}


@pytest.mark.parametrize("count", [1, 2, 4, 9])
def test_shares_cover_everything_once(count: int) -> None:
    items = tuple("abcdefg")
    shares = [JobShare.parse(f"{i}/{count}").of(items) for i in range(1, count + 1)]
    assert sorted(item for share in shares for item in share) == list(items)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert EVERYTHING.of(items) == items


@pytest.mark.parametrize(
    ("text", "environment", "share"),
    [
        ("auto", SLURM, "3/4"),
        ("auto", SLURM | {"SLURM_ARRAY_TASK_MIN": "0", "SLURM_ARRAY_TASK_MAX": "3"}, "4/4"),
        ("auto/8", SLURM, "3/8"),
        ("auto/8", {"PBS_ARRAY_INDEX": "8"}, "8/8"),
    ],
)
def test_auto_asks_the_job_array(text: str, environment: dict[str, str], share: str) -> None:
    assert str(JobShare.parse(text, environment)) == share


@pytest.mark.parametrize("text", ["0/4", "5/4", "x", "4", "1/0", "-1/4", "1/4/4", "a/b", "1/", ""])
def test_share_fails(text: str) -> None:
    with pytest.raises(UsageError, match=rf"i from 1 to n .*got '{text}'"):
        JobShare.parse(text, {})


@pytest.mark.parametrize(
    ("text", "environment", "message"),
    [
        ("auto", {}, "neither SLURM_ARRAY_TASK_ID nor PBS_ARRAY_INDEX"),
        ("auto/4", {}, "neither SLURM_ARRAY_TASK_ID nor PBS_ARRAY_INDEX"),
        ("auto", {"PBS_ARRAY_INDEX": "2"}, "write auto/N"),
        ("auto", SLURM | {"SLURM_ARRAY_TASK_MIN": "2"}, "begins at 0 or 1, got one that begins at 2"),
        ("auto/2", SLURM, "got 'auto/2' in job 3 of an array"),
    ],
)
def test_auto_fails(text: str, environment: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        JobShare.parse(text, environment)
