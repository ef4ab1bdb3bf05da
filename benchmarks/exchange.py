"""Stores into the layouts of others and back: ``python -m benchmarks.exchange``.

A store of generated videos (12 frames of 512 numbers, a caption of four rows each) is written in each layout, and what
was written is read into a store of its own; with ``--store DIR`` a store of real clips instead. Each step runs in a
process of its own, whose peak of memory is kept. What a layout keeps must have the digests that it had; captions of
layouts without their features are left out.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from tvr.pipeline.exchange.content import content_of
from tvr.pipeline.exchange.exporting import ExportRequest, export_store, plan_export
from tvr.pipeline.exchange.imported import ImportRequest
from tvr.pipeline.exchange.importing import import_store, plan_import
from tvr.pipeline.exchange.layouts.base import ReadOptions
from tvr.pipeline.store.generations.record import shard_name
from tvr.pipeline.store.manifest import Manifest, SplitRecord, ids_digest
from tvr.pipeline.store.reader import FeatureStore
from tvr.pipeline.store.shards import TextRow, VideoRow, write_text_shard, write_video_shard
from tvr.pipeline.store.verification import verify

from .record import RESULTS, keep

VIDEOS, FRAMES, WORDS, DIM = 100_000, 12, 4, 512
PER_SHARD, TEXTS_PER_SHARD = 128, 1024
MAX_GIGABYTES = 1.0
WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "parquet": ("parquet", {}),
    "clip-retrieval, frames": ("clip-retrieval", {"rows": "frame"}),
    "clip-retrieval, videos": ("clip-retrieval", {"rows": "video"}),
    "clip-video-encode, tar": ("clip-video-encode", {"packed": True}),
    "clip-video-encode, files": ("clip-video-encode", {}),
    "npy": ("npy", {}),
    "univtg": ("univtg", {}),
}
WITHOUT_TEXT_FEATURES = ("npy", "clip-video-encode")


def main() -> None:
    """Generate the store, take it through each layout, keep the figures; 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, default=VIDEOS)
    parser.add_argument("--store", type=Path, help="Take this one in place of generated videos.")
    parser.add_argument("--folder", type=Path, help="Where files are written; default: a temporary one.")
    parser.add_argument("--only", nargs="+", choices=WAYS, help="Only these; the others keep their figures.")
    parser.add_argument("--step", nargs="+", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.step:
        print(json.dumps(_measured(*chosen.step)))
        return
    kept = "exchange" if chosen.store is None else "exchange_real_clips"
    layouts = json.loads((RESULTS / f"{kept}.json").read_text())["figures"]["layouts"] if chosen.only else {}
    with tempfile.TemporaryDirectory(dir=chosen.folder) as scratch:
        place = Path(scratch)
        store = chosen.store or place / "store"
        if chosen.store is None:
            _write_store(store, chosen.videos)
        held = FeatureStore.open(store).manifest
        for name in chosen.only or WAYS:
            out, back = place / "out", place / "back"
            written = _step("export", name, store, out)
            layouts[name] = {"export": written, "import": _step("import", name, out, back)}
            for folder in (out, back):
                shutil.rmtree(folder)
            print(name, layouts[name], file=sys.stderr)
    steps = [step for layout in layouts.values() for step in layout.values()]
    most = max(step["peak_gigabytes"] for step in steps)
    is_equal = all(layout["import"]["equal"] for layout in layouts.values())
    keep(
        kept,
        {
            "videos": held.num_videos,
            "captions": held.num_texts,
            "dim": held.dim,
            "peak_gigabytes": most,
            "wanted_peak_gigabytes": MAX_GIGABYTES,
            "all_equal": is_equal,
            "layouts": layouts,
        },
    )
    sys.exit(0 if is_equal and most < MAX_GIGABYTES else 1)


def _step(step: str, name: str, source: Path, target: Path) -> dict[str, Any]:
    """One step in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.exchange", "--step", step, name, str(source), str(target)]
    return json.loads(subprocess.check_output(command, text=True).splitlines()[-1])


def _measured(step: str, name: str, source: str, target: str) -> dict[str, Any]:
    before, started = _gigabytes("VmRSS"), time.perf_counter()
    found = STEPS[step](name, Path(source), Path(target))
    return {
        "seconds": round(time.perf_counter() - started, 1),
        "begun_with_gigabytes": before,
        "peak_gigabytes": _gigabytes("VmHWM"),
        **found,
    }


def _export(name: str, source: Path, target: Path) -> dict[str, Any]:
    layout, how = WAYS[name]
    summary = export_store(plan_export(ExportRequest(layout, target, **how), FeatureStore.open(source)))
    sizes = [path.stat().st_size for path in target.rglob("*") if path.is_file()]
    return {"files": len(sizes), "gigabytes": round(sum(sizes) / 1e9, 3), "losses": list(summary.losses)}


def _import(name: str, source: Path, target: Path) -> dict[str, Any]:
    layout, _ = WAYS[name]
    read = ReadOptions(without_captions=layout in WITHOUT_TEXT_FEATURES)
    planned = plan_import(ImportRequest(layout, source, read))
    summary = import_store(planned, target)
    assert planned.sidecar is not None and planned.sidecar.content is not None
    before, after = asdict(planned.sidecar.content), asdict(content_of(FeatureStore.open(target)))
    compared = [one for one in planned.sidecar.kept if one == "videos" or not read.without_captions]
    return {
        "shards": summary.shards_done,
        "compared": compared,
        "equal": all(before[one] == after[one] for one in compared) and not verify(target).damages,
    }


STEPS: dict[str, Callable[[str, Path, Path], dict[str, Any]]] = {"export": _export, "import": _import}


def _gigabytes(what: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return round(next(int(line.split()[1]) * 1024 / 1e9 for line in lines if line.startswith(what)), 3)


def _write_store(folder: Path, videos: int) -> None:
    """A store of random features, a caption a video."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    ids = [f"archive/video {i:07d}" for i in range(videos)]
    split = SplitRecord(videos, videos, "generated", ids_digest(ids))
    encoder = {"model": "none", "pretrained": "none", "weights_digest": "none", "precision": "fp32"}
    Manifest(
        dataset="generated",
        protocol="single",
        annotation_digests={},
        normalisation=[],
        preset={"num_frames": FRAMES, "max_words": 32},
        splits={"test": split},
        encoder=encoder | {"random_weights": True, "dim": DIM, "logit_scale": 100.0},
        sampling={"policy": "uniform", "num_frames": FRAMES},
        max_seconds=None,
        num_videos=videos,
        videos_per_shard=PER_SHARD,
        num_texts=videos,
        texts_per_shard=TEXTS_PER_SHARD,
        frames_per_batch=1,
        limit=None,
        decoder="none",
    ).save(folder, {"test": ids})
    times, numbers = np.arange(FRAMES, dtype=np.float32) * 1.7, np.arange(FRAMES, dtype=np.int32) * 50
    for name, cut in _cuts("video", ids, PER_SHARD):
        rows = [VideoRow(i, _features(rng, FRAMES), times, numbers, "ok", "", "none") for i in cut]
        write_video_shard(folder / name, rows, DIM, {})
    tokens = np.arange(WORDS, dtype=np.int32)
    for name, cut in _cuts("text", ids, TEXTS_PER_SHARD):
        texts = [
            TextRow(f"{i}#0", i, f"what {i} shows", _features(rng, WORDS), tokens, WORDS - 1, truncated=False)
            for i in cut
        ]
        write_text_shard(folder / name, texts, DIM, {})


def _cuts(kind: str, ids: list[str], size: int) -> list[tuple[str, list[str]]]:
    count = -(-len(ids) // size)
    return [(shard_name(kind, i, count), ids[i * size : (i + 1) * size]) for i in range(count)]


def _features(rng: np.random.Generator, rows: int) -> np.ndarray:
    return rng.standard_normal((rows, DIM), np.float32).astype(np.float16)


if __name__ == "__main__":
    main()
