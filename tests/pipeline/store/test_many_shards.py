"""A store of more shards than a process is started with files that it may open."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tvr.pipeline.store.shards import write_video_shard

from ...fixtures.stores import DIM, SPLITS, manifest, video_row

pytest.importorskip("resource", reason="this system has no such limit")

SHARDS = 60
READ = """
import resource, sys
from pathlib import Path
from tvr.data.contracts.errors import StoreError
from tvr.pipeline.store.reader import FeatureStore
begun_with = len(list(Path("/proc/self/fd").iterdir())) + 20
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1] if sys.argv[2] == "soft" else begun_with
resource.setrlimit(resource.RLIMIT_NOFILE, (begun_with, most))
try:
    print(len(FeatureStore.open(Path(sys.argv[1])).video_ids), "videos")
except StoreError as error:
    print(error)
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    manifest(num_videos=SHARDS, videos_per_shard=1, num_texts=0).save(folder, SPLITS)
    for index in range(SHARDS):
        row = replace(video_row(1), id=f"v{index}")
        write_video_shard(folder / f"video-{index:05d}-of-{SHARDS:05d}.h5", [row], DIM, {})
    return folder


def read(store: Path, limit: str) -> str:
    """What a process says that begins with few files, by its own choice (soft) or the system's (hard)."""
    command = [sys.executable, "-c", READ, str(store), limit]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files as Linux does")
def test_a_process_takes_what_the_system_allows(store: Path) -> None:
    assert read(store, "soft") == f"{SHARDS} videos\n"


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files as Linux does")
def test_more_shards_than_the_system_allows_fail(store: Path) -> None:
    said = read(store, "hard")
    assert "is one of more shards than this process may have files open" in said
    assert "`ulimit -n`" in said
    assert "damaged" not in said
