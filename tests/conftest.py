"""What every room's tests use, and how the tests share the machine."""

import gc
import os
import random
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from beartype import BeartypeConf
from beartype.claw import beartype_package, beartype_packages
from jaxtyping import install_import_hook

from benchmarks.decoding_truth.scheduling import usual_scheduling

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler import LoadScopeScheduling

MAX_WORKERS = 4
"""Each imports torch and holds half a gigabyte, and the longest module sets the pace from here on."""
TOGETHER = {
    "tests/pipeline/cluster/": "clusters",  # start schedulers and workers, which a second set would starve
    "tests/test_cluster_docs.py": "clusters",
    "tests/cli/test_local_cluster.py": "clusters",
    "tests/heads/sweep/": "clusters",
    "tests/benchmarks/storyboard/": "storyboard",  # share one set of videos
    "tests/cli/page/test_browser": "browser",  # share an archive, its server and a browser
}
"""Tests that one worker runs one after another, by the start of their path; others go by their module."""

# Before anything is imported: workers and the commands that they start read bytecode rather than compile it again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

TYPED = ("pipeline", "heads")


def with_shapes() -> list[str]:
    """The modules whose annotations have shapes of arrays."""
    root = Path(__file__).resolve().parents[1]
    paths = [path for folder in (*TYPED, "data/rendering") for path in (root / folder).rglob("*.py")]
    return [
        ".".join(("tvr", *path.relative_to(root).with_suffix("").parts))
        for path in paths
        if "from jaxtyping import" in path.read_text(encoding="utf-8")
    ]


# Before anything imports them. Checking each call as jaxtyping does, twice, took 95 of 100 seconds of reading
# annotations and a fifth of extracting small archives: only where there are shapes, and in cli, whose coroutines
# uvicorn no longer knows as such where beartype alone has wrapped them.
install_import_hook(["tvr.cli", *with_shapes()], "beartype.beartype")
beartype_package("tvr.data")
beartype_packages([f"tvr.{folder}" for folder in TYPED], conf=BeartypeConf(violation_type=TypeError))

# Before anything imports torch: its threads would spin at barriers on cores that tests' children are using.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if "PYTEST_XDIST_WORKER_COUNT" in os.environ:
    # Over all workers as many threads as cores. The tests' children find it too.
    cores_each = len(os.sched_getaffinity(0)) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores_each)))


@pytest.fixture(scope="session", autouse=True)
def asked_here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What the tests ask for is remembered apart from what the user did; their children find it as well."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(autouse=True)
def takes_turns() -> Iterator[None]:
    """No test leaves its process before all others of the machine."""
    with usual_scheduling():
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real clips, annotation files and oracles beside the repository."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        if os.environ.get("CI"):
            pytest.fail("../shared must be there in CI")
        pytest.skip("needs ../shared, which is not beside this repository")
    return folder


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """``-n auto``: one worker a core for folders; tests named by their files run in pytest's own process.

    None leaves the question to pytest-xdist, which reads PYTEST_XDIST_AUTO_NUM_WORKERS.
    """
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    named = [Path(argument.split("::")[0]) for argument in config.option.file_or_dir]
    if named and all(path.is_file() for path in named):
        return 0
    return min(len(os.sched_getaffinity(0)), MAX_WORKERS)


def pytest_xdist_make_scheduler(config: pytest.Config, log: "Producer") -> "LoadScopeScheduling":
    """Send whole modules to workers, in the order of collection: fixtures of a module are made once."""
    from xdist.scheduler import LoadScopeScheduling

    class ModuleScheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            together = (group for start, group in TOGETHER.items() if nodeid.startswith(start))
            return next(together, nodeid.split("::")[0])

    return ModuleScheduling(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Modules with slow tests first, so that no worker begins one at the end; TVR_SHUFFLE=seed: in random order."""
    modules = [list(group) for _, group in groupby(items, lambda item: item.path)]
    modules.sort(key=lambda module: not any(item.get_closest_marker("slow") for item in module))
    seed = os.environ.get("TVR_SHUFFLE")
    if seed:
        generator = random.Random(seed)
        for module in [modules, *modules]:
            generator.shuffle(module)
    items[:] = [item for module in modules for item in module]


def pytest_collection_finish() -> None:
    """What imports and collection made stays until the end: the collector need not look through it at every turn."""
    gc.collect()
    gc.freeze()
