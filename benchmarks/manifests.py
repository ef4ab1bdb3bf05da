"""Seconds and memory to read a million rows of a manifest: ``python -m benchmarks.manifests``.

Each format is read in a process of its own, once with a video for every row and once with twenty captions a video.
"""

import csv
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from .record import keep

ROWS = 1_000_000
LIMIT_SECONDS, LIMIT_GIB = 10.0, 1.5

READ = """
import json, resource, sys, time
from pathlib import Path
from tvr.data import folder
wall, cpu = time.perf_counter(), time.process_time()
dataset = folder.load(Path(sys.argv[1]), folder.Config())
seconds = {"wall_seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(json.dumps(seconds | {"peak_gib": peak, "videos": len(dataset.videos), "captions": len(dataset.captions)}))
"""

Rows = Iterator[tuple[str, str]]


def main() -> None:
    """Write the manifests, read each in a child process, and keep what it took."""
    figures: dict[str, Any] = {"rows": ROWS, "limit_seconds": LIMIT_SECONDS, "limit_gib": LIMIT_GIB}
    writers: dict[str, Callable[[Path, Rows], None]] = {
        "csv": _write_csv,
        "jsonl": _write_jsonl,
        "parquet": _write_parquet,
    }
    for captions_per_video in (1, 20):
        for kind, write in writers.items():
            with tempfile.TemporaryDirectory() as scratch:
                path = Path(scratch) / f"manifest.{kind}"
                write(path, (_row(number, captions_per_video) for number in range(ROWS)))
                done = subprocess.run(
                    [sys.executable, "-c", READ, path], capture_output=True, text=True, check=True
                )
            figures[f"{kind}, {captions_per_video} captions a video"] = json.loads(done.stdout)
    keep("manifests", figures)


def _row(number: int, captions_per_video: int) -> tuple[str, str]:
    video = number // captions_per_video
    return (
        f"clips/{video % 1000:03d}/video_{video:07d}.mp4",
        f"person number {number} opens the kitchen door, slowly",
    )


def _write_csv(path: Path, rows: Rows) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "caption"])
        writer.writerows(rows)


def _write_jsonl(path: Path, rows: Rows) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps({"path": video, "caption": text}) + "\n" for video, text in rows)


def _write_parquet(path: Path, rows: Rows) -> None:
    # In pieces: what this process holds would count as the child's peak.
    schema = pa.schema([("path", pa.string()), ("caption", pa.string())])
    with parquet.ParquetWriter(path, schema) as writer:
        while piece := list(islice(rows, 50_000)):
            writer.write_table(pa.table(list(zip(*piece, strict=True)), schema=schema))


if __name__ == "__main__":
    main()
