"""A store that is written in a layout and read again is the store it was, as far as the layout can hold it."""

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from tvr.data.contracts.errors import DataError, StoreError, UsageError
from tvr.pipeline.exchange.content import content_of
from tvr.pipeline.exchange.exporting import ExportRequest, ExportSummary, export_store, plan_export
from tvr.pipeline.exchange.imported import ImportRequest
from tvr.pipeline.exchange.importing import ImportSummary, import_store, plan_import
from tvr.pipeline.exchange.layouts.base import ReadOptions
from tvr.pipeline.exchange.sidecar import load_sidecar
from tvr.pipeline.store.manifest import SplitRecord, ids_digest
from tvr.pipeline.store.reader import FeatureStore
from tvr.pipeline.store.shards import write_text_shard, write_video_shard
from tvr.pipeline.store.verification import verify

from ...fixtures.stores import DIM, manifest, text_row, video_row, write_store

WAYS: dict[str, dict[str, Any]] = {
    "univtg": {},
    "npy": {},
    "clip-video-encode": {},
    "clip-video-encode tar": {"packed": True},
    "clip-retrieval": {},
    "clip-retrieval video": {"rows": "video"},
    "parquet": {},
}
WITHOUT_TEXT_FEATURES = ("npy", "clip-video-encode")
NAMES = ["a/b c.d", "città", "../up", "x" * 300, ".hidden", "a\nb", "UPPER", "upper", "%2e", "v,1 \"q\" 'r'"]


def exported(store: Path, out: Path, way: str) -> ExportSummary:
    request = ExportRequest(way.partition(" ")[0], out, **WAYS[way])
    return export_store(plan_export(request, FeatureStore.open(store)))


def imported(out: Path, folder: Path, way: str, **said: Any) -> ImportSummary:
    layout = way.partition(" ")[0]
    read = ReadOptions(without_captions=layout in WITHOUT_TEXT_FEATURES, **said)
    return import_store(plan_import(ImportRequest(layout, out, read, videos_per_shard=2)), folder)


def named_store(folder: Path) -> Path:
    """A store whose ids no file can be called by, with paragraphs and float32 beside float16."""
    folder.mkdir()
    splits = {"train": NAMES[:7], "test": NAMES[5:]}  # two videos are in both
    records = {name: SplitRecord(len(ids), 9, "own", ids_digest(ids)) for name, ids in splits.items()}
    counts = {
        "num_videos": len(NAMES),
        "num_texts": len(NAMES),
        "videos_per_shard": 99,
        "texts_per_shard": 99,
    }
    manifest(protocol="paragraph", splits=records, **counts).save(folder, splits)
    rng = np.random.default_rng(0)
    videos, texts = [], []
    for place, name in enumerate(NAMES):
        frames = rng.standard_normal((place + 1, DIM)).astype(np.float32) * (1e6 if place == 3 else 1)
        row = video_row(1 if place in (2, 4) else place)
        seconds = np.sort(rng.random(place + 1)).astype(np.float32)
        numbers = np.arange(place + 1, dtype=np.int32) * 7
        row = replace(
            row, id=name, frames=frames, frame_seconds=seconds, frame_index=numbers, status="ok", reason=""
        )
        videos.append(row)
        parts = rng.standard_normal((2, DIM)).astype(np.float32)
        texts.append(
            replace(text_row(place), id=f"{name}#0", video_id=name, text=f'[{name}] "says"', parts=parts)
        )
    write_video_shard(folder / "video-00000-of-00001.h5", videos, DIM, {})
    write_text_shard(folder / "text-00000-of-00001.h5", texts, DIM, {})
    return folder


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five videos, of which two have no frames, and six captions."""
    return write_store(tmp_path_factory.mktemp("toy") / "store")


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return named_store(tmp_path_factory.mktemp("named") / "store")


@pytest.mark.parametrize("way", WAYS)
def test_a_store_comes_back(toy: Path, tmp_path: Path, way: str) -> None:
    written = exported(toy, tmp_path / "out", way)
    back = imported(tmp_path / "out", tmp_path / "back", way)
    assert back.differs == ()
    assert not verify(tmp_path / "back").damages
    before, after = FeatureStore.open(toy), FeatureStore.open(tmp_path / "back")
    assert after.manifest.imported is not None
    assert after.manifest.imported["layout"] == way.partition(" ")[0]
    assert after.splits == before.splits
    assert after.manifest.features_digest == before.manifest.features_digest
    fared = {row.id: (row.status, row.reason, row.decoder) for row in before.statuses()}
    assert {row.id: (row.status, row.reason, row.decoder) for row in after.statuses()} == fared
    assert any("2 videos without frames" in loss for loss in written.losses) == (way != "parquet")


@pytest.mark.parametrize("way", ["parquet", "univtg"])
def test_what_can_hold_everything_holds_everything(named: Path, tmp_path: Path, way: str) -> None:
    exported(named, tmp_path / "out", way)
    imported(tmp_path / "out", tmp_path / "back", way)
    before, after = FeatureStore.open(named), FeatureStore.open(tmp_path / "back")
    assert content_of(after) == content_of(before)
    assert after.dtype("frames") == np.float32
    assert after.splits == before.splits
    first, second = before.texts(), after.texts()
    places = {i: place for place, i in enumerate(second.ids)}
    tokens = [second.token_ids[second.offsets[places[i]] : second.offsets[places[i] + 1]] for i in first.ids]
    assert np.array_equal(np.concatenate(tokens), first.token_ids)


@pytest.mark.parametrize("way", ["npy", "clip-video-encode", "clip-video-encode tar"])
def test_names_that_no_file_can_have_come_back(named: Path, tmp_path: Path, way: str) -> None:
    exported(named, tmp_path / "out", way)
    layout = way.partition(" ")[0]
    planned = plan_import(ImportRequest(layout, tmp_path / "out", ReadOptions(without_captions=True)))
    assert import_store(planned, tmp_path / "back").differs == ()
    outside = [path for path in tmp_path.iterdir() if path.name not in ("out", "back")]
    assert outside == []


def test_frames_keep_their_order_and_seconds(named: Path, tmp_path: Path) -> None:
    """By plain numpy and csv: row k of the file is frame k, shown at pts_time k."""
    exported(named, tmp_path / "out", "npy")
    store = FeatureStore.open(named)
    assert np.array_equal(np.load(tmp_path / "out/clip-features/a/b c.d.npy"), store.frames("a/b c.d"))
    table = np.loadtxt(tmp_path / "out/map-keyframes/città.csv", delimiter=",", skiprows=1, usecols=(0, 1, 3))
    assert np.array_equal(table[:, 1].astype(np.float32), store.frame_seconds("città"))
    assert table[:, 2].tolist() == [0, 7]


def test_parquet_is_read_by_duckdb(toy: Path, tmp_path: Path) -> None:
    exported(toy, tmp_path / "out", "parquet")
    videos, captions = (str(tmp_path / "out" / f"{kind}-*.parquet") for kind in ("videos", "captions"))
    rows = duckdb.read_parquet(videos).project("id, frames, seconds, status, splits").order("id").fetchall()
    assert rows[1] == ("v1", [[1.0] * DIM] * 2, [0.0, 0.5], "ok", ["train"])
    assert (rows[2][1], rows[2][3]) == ([], "failed")
    said = duckdb.read_parquet(captions).filter("id = 't3'").project("text, len(words)").fetchall()
    assert said == [("caption 3, città", 5)]


def test_frames_are_of_unit_length_for_clip_retrieval(named: Path, tmp_path: Path) -> None:
    exported(named, tmp_path / "out", "clip-retrieval")
    rows = np.load(tmp_path / "out/videos/img_emb/img_emb_00000.npy").astype(np.float32)
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-3)
    # What has that length is not rounded a second time.
    assert imported(tmp_path / "out", tmp_path / "back", "clip-retrieval").differs == ()
    exported(tmp_path / "back", tmp_path / "again", "clip-retrieval")
    again = np.load(tmp_path / "again/videos/img_emb/img_emb_00000.npy").astype(np.float32)
    assert np.array_equal(again, rows)


KILLED = """
import os, signal, sys
from pathlib import Path
from tvr.pipeline.exchange.exporting import *
from tvr.pipeline.exchange.imported import ImportRequest
from tvr.pipeline.exchange.importing import *
from tvr.pipeline.exchange.layouts.base import ReadOptions
import tvr.pipeline.exchange.exporting as exporting
exporting.ROWS_PER_PART = 1
step, source, target = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
def end(stage, done, total):
    if done >= 4:
        os.kill(os.getpid(), signal.SIGKILL)
if step == "export":
    export_store(plan_export(ExportRequest("univtg", target), FeatureStore.open(source)), end)
else:
    import_store(plan_import(ImportRequest("univtg", source, ReadOptions(), videos_per_shard=2)), target, end)
"""


def killed(step: str, source: Path, target: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, step, source, target], check=False)
    assert done.returncode == -signal.SIGKILL


def test_a_killed_export_goes_on_and_so_does_a_killed_import(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tvr.pipeline.exchange.exporting.ROWS_PER_PART", 1)
    killed("export", toy, tmp_path / "out")
    with pytest.raises(DataError, match="an export that has not ended"):
        imported(tmp_path / "out", tmp_path / "back", "univtg")
    written = exported(toy, tmp_path / "out", "univtg")
    assert written.parts_skipped == 2
    assert exported(toy, tmp_path / "out", "univtg").parts_written == 0
    killed("import", tmp_path / "out", tmp_path / "back")
    back = imported(tmp_path / "out", tmp_path / "back", "univtg")
    assert (back.shards_skipped, back.differs) == (2, ())
    assert not [path for path in (tmp_path / "out").rglob("*.tmp")]


def test_an_export_does_not_go_where_something_else_is_fails(toy: Path, named: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "a").touch()
    with pytest.raises(UsageError, match="is there and holds something else"):
        exported(toy, tmp_path / "taken", "npy")
    exported(toy, tmp_path / "out", "npy")
    with pytest.raises(UsageError, match="holds another export"):
        exported(named, tmp_path / "out", "npy")


def test_a_changed_export_fails(toy: Path, tmp_path: Path) -> None:
    exported(toy, tmp_path / "out", "univtg")
    arrays = dict(np.load(tmp_path / "out/vid_clip/v1.npz"))
    np.savez(tmp_path / "out/vid_clip/v1.npz", **{**arrays, "features": arrays["features"] + 1})
    assert imported(tmp_path / "out", tmp_path / "back", "univtg").differs == ("videos",)


def test_a_changed_record_of_an_export_fails(toy: Path, tmp_path: Path) -> None:
    exported(toy, tmp_path / "out", "npy")
    record = tmp_path / "out" / "tvr.json"
    record.write_text(record.read_text().replace('"ended": true', '"ended":  true'))
    with pytest.raises(DataError, match=r"tvr.json is not what `tvr export` wrote"):
        load_sidecar(tmp_path / "out")


def test_another_import_into_the_same_folder_fails(toy: Path, tmp_path: Path) -> None:
    exported(toy, tmp_path / "out", "parquet")
    imported(tmp_path / "out", tmp_path / "back", "parquet")
    with pytest.raises(StoreError, match="will not be extended"):
        imported(tmp_path / "out", tmp_path / "back", "parquet", fps=2.0)


def test_digests_do_not_depend_on_shards(toy: Path, tmp_path: Path) -> None:
    exported(toy, tmp_path / "out", "parquet")
    planned = plan_import(ImportRequest("parquet", tmp_path / "out", ReadOptions(), videos_per_shard=5))
    import_store(planned, tmp_path / "one")
    assert content_of(FeatureStore.open(tmp_path / "one")) == content_of(FeatureStore.open(toy))
    assert json.loads((tmp_path / "one/store.json").read_text())["videos_per_shard"] == 5
    assert (tmp_path / "one/video-00000-of-00001.h5").is_file()
