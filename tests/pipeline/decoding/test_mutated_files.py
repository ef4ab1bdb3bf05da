"""Hundreds of files with a few changed bytes each, most in their headers: every one ends as a record."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tvr.pipeline.decoding.pool import DecoderPool, DecodeTask
from tvr.pipeline.preprocessing import Preprocessing
from tvr.pipeline.sampling import Sampling

from ...fixtures.fuzz import cases

pytestmark = pytest.mark.slow

PREPROCESSING = Preprocessing(32, 32, "squash", "bilinear", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
COUNT = cases(300)


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """Up to a dozen bytes set to anything, in the head, in the tail, where indices are, or anywhere."""
    changed = bytearray(data)
    for _ in range(rng.integers(1, 12)):
        first, last = [(0, 2000), (len(data) - 3000, len(data)), (0, len(data))][rng.integers(3)]
        place = int(rng.integers(max(0, first), min(last, len(data))))
        changed[place] = int(rng.choice([0, 127, 128, 255, int(rng.integers(256))]))
    return bytes(changed)


def test_every_mutated_file_is_a_record(shared: Path, tmp_path: Path) -> None:
    zoo = shared / "data/codec_zoo"
    files = [path for path in sorted(zoo.glob("*/*")) if path.is_file() and path.stat().st_size < 400_000]

    def tasks() -> Iterator[DecodeTask]:
        for number in range(COUNT):
            rng = np.random.default_rng([6, number])
            original = files[rng.integers(len(files))]
            path = tmp_path / f"{number}{original.suffix}"
            path.write_bytes(mutated(original.read_bytes(), rng))
            yield DecodeTask(f"{number} {original.name}", path, Sampling("uniform", 4), PREPROCESSING)

    statuses: Counter[str] = Counter()
    with DecoderPool(2, time_limit_seconds=120.0) as pool:
        for video in pool.decode(tasks()):
            statuses[video.status] += 1
            assert (video.status == "ok") == (video.reason == ""), video
            assert (video.status == "failed") == (len(video.frames) == 0), video
            # Of a native crash the pool would know a signal; an exit code is an error of ours.
            assert "exit code" not in video.reason, video.reason
            assert np.isfinite(video.frame_seconds).all()
            assert (np.diff(video.frame_seconds) >= 0).all()
    assert statuses.total() == COUNT
    assert set(statuses) == {"ok", "partial", "failed"}
