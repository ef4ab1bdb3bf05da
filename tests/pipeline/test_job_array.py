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


def slurm_jobs(first: int, last: int, step: int = 1) -> list[dict[str, str]]:
    """The environments of the jobs that ``sbatch --array=first-last:step`` starts."""
    ids = range(first, last + 1, step)
    shared = {"MIN": first, "MAX": ids[-1], "STEP": step, "COUNT": len(ids)}
    return [{f"SLURM_ARRAY_TASK_{name}": str(v) for name, v in (shared | {"ID": id}).items()} for id in ids]


@pytest.mark.parametrize(
    ("first", "last", "step"), [(0, 9, 3), (1, 10, 3), (1, 20, 7), (0, 9, 1), (1, 1, 1), (0, 8, 5)]
)
def test_a_step_of_the_array_leaves_nothing_out(first: int, last: int, step: int) -> None:
    shards = range(20)
    done = [
        shard for job in slurm_jobs(first, last, step) for shard in JobShare.parse("auto", job).of(shards)
    ]
    assert sorted(done) == list(shards)


def test_jobs_of_a_list_may_be_repeated() -> None:
    """``--array=3,7``: two jobs of twenty, once more. Slurm cannot tell it from 3-7:4."""
    assert [str(JobShare.parse("auto/20", job)) for job in slurm_jobs(3, 7, 4)] == ["3/20", "7/20"]
    assert str(JobShare.parse("auto/20", slurm_jobs(1, 1)[0] | {"SLURM_ARRAY_TASK_STEP": "40"})) == "1/20"


@pytest.mark.parametrize(
    "text", ["0/4", "5/4", "x", "4", "1/0", "-1/4", "1/4/4", "a/b", "1/", "", "٣/٤", "²/4"]
)
def test_share_fails(text: str) -> None:
    with pytest.raises(UsageError, match=rf"i from 1 to n .*got '{text}'"):
        JobShare.parse(text, {})


@pytest.mark.parametrize(
    ("text", "environment", "message"),
    [
        ("auto", {}, "neither SLURM_ARRAY_TASK_ID nor PBS_ARRAY_INDEX"),
        ("auto/4", {}, "neither SLURM_ARRAY_TASK_ID nor PBS_ARRAY_INDEX"),
        ("auto", {"PBS_ARRAY_INDEX": "2"}, "write auto/N"),
        (
            "auto",
            SLURM | {"SLURM_ARRAY_TASK_MIN": "2"},
            "begins at 0 or 1, got one that begins at 2: write auto/N",
        ),
        ("auto/2", SLURM, "got 'auto/2' in job 3 of an array"),
        ("auto", SLURM | {"SLURM_ARRAY_TASK_COUNT": "3"}, "all numbers from 1 to 4, got one of 3 numbers"),
        ("auto", slurm_jobs(0, 9, 3)[1] | {"SLURM_ARRAY_TASK_ID": "4"}, "all numbers from 0 to 9"),
        ("auto/10", slurm_jobs(1, 10, 3)[0], "counts in steps of 3"),
    ],
)
def test_auto_fails(text: str, environment: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        JobShare.parse(text, environment)
