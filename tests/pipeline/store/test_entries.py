import os
from pathlib import Path

from tvr.pipeline.store.entries import store_entry
from tvr.pipeline.store.manifest import REQUEST_NAME

from ...fixtures.stores import write_store


def test_a_store_is_as_old_as_its_features(tmp_path: Path) -> None:
    """What it was asked for in is written anew when somebody asks in other words for what is there."""
    store = write_store(tmp_path / "store")
    for file in store.iterdir():
        os.utime(file, (1000, 1000))
    (store / REQUEST_NAME).write_text("{}")
    assert store_entry(store).written == 1000
    os.utime(next(store.glob("video-*.json")), (2000, 2000))
    assert store_entry(store).written == 2000
