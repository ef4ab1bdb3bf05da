"""Which frames share a batch: decided by the videos alone, never by which of them was decoded first."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tvr.pipeline.decoding.messages import Chunk, DecodedVideo
from tvr.pipeline.encode_videos import FrameBatches
from tvr.pipeline.encoders.base import EncodedFrames, EncodedText
from tvr.pipeline.store.patches import PatchLayout, PatchSpool

ROOT = Path(__file__).parents[2]
SIZE = 4
DIM = 3


class Recording:
    """An encoder whose feature of a frame is its first byte, and the batches that it was given."""

    frames_per_batch = SIZE

    def __init__(self) -> None:
        self.identity: Any = SimpleNamespace(dim=DIM)
        self.begun: list[tuple[int, ...]] = []
        self.unfinished = 0

    def encode_frames(self, frames: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def encode_texts(self, texts: Sequence[str], *, repeatable: bool = False) -> list[EncodedText]:
        raise NotImplementedError

    def begin_frames(
        self, frames: np.ndarray, *, batch_size: int | None = None, patches: bool = False
    ) -> Callable[[], EncodedFrames]:
        assert batch_size == SIZE
        assert self.unfinished <= 1, "a batch is begun before the one before it is waited for, but no earlier"
        self.unfinished += 1
        numbers = frames[:, 0, 0, 0].copy()
        self.begun.append(tuple(numbers.tolist()))

        def finish() -> EncodedFrames:
            self.unfinished -= 1
            features = np.repeat(numbers[:, None], DIM, axis=1).astype(np.float32)
            return EncodedFrames(features, features[:, None] if patches else None)

        return finish


def frames(numbers: range) -> np.ndarray:
    return np.broadcast_to(np.array(numbers, np.uint8)[:, None, None, None], (len(numbers), 2, 2, 3)).copy()


def video(name: str, numbers: range, *, failed: bool = False) -> tuple[list[Chunk], DecodedVideo]:
    """What the pool gives of a video whose frames bear these numbers."""
    full = len(numbers) // SIZE
    chunks = [Chunk(name, i, frames(numbers[i * SIZE : (i + 1) * SIZE])) for i in range(full)]
    kept = numbers[:0] if failed else numbers
    rest = DecodedVideo(
        id=name,
        frames=frames(kept[full * SIZE :]),
        num_chunks=0 if failed else full,
        frame_seconds=np.zeros(len(kept), np.float32),
        frame_index=np.zeros(len(kept), np.int32),
        status="failed" if failed else "ok",
        reason="broken" if failed else "",
        decoder="",
        decode_seconds=0.0,
    )
    return chunks, rest


def numbers_of(batches: FrameBatches) -> dict[str, list[int]]:
    return {name: one.frames[:, 0].astype(int).tolist() for name, one in batches.finished().items()}


@settings(deadline=None)
@given(
    lengths=st.lists(st.integers(0, 14), min_size=1, max_size=6),
    failing=st.integers(0, 5),
    order=st.randoms(use_true_random=False),
)
def test_batches_depend_on_the_videos_alone(lengths: list[int], failing: int, order: object) -> None:
    starts = np.cumsum([0, *lengths]).tolist()
    videos = [
        video(f"v{i}", range(starts[i], starts[i + 1]), failed=i == failing) for i in range(len(lengths))
    ]
    recorded: list[set[tuple[int, ...]]] = []
    for is_early in (True, False):
        encoder = Recording()
        batches = FrameBatches(encoder, SIZE)
        if is_early:  # every chunk before the first video, those of videos among each other
            chunks = [chunk for chunks, _ in videos for chunk in chunks]
            order.shuffle(chunks)  # type: ignore[attr-defined]
            for chunk in sorted(chunks, key=lambda chunk: chunk.number):
                batches.add_chunk(chunk)
        for chunks, rest in videos:
            for chunk in [] if is_early else chunks:
                batches.add_chunk(chunk)
            batches.add(rest)
        found = numbers_of(batches)
        assert found == {
            f"v{i}": [] if i == failing else list(range(starts[i], starts[i + 1]))
            for i in range(len(lengths))
        }
        assert all(len(batch) == SIZE for batch in encoder.begun[:-1])
        recorded.append(set(encoder.begun))
    assert recorded[0] == recorded[1]


@settings(deadline=None)
@given(
    lengths=st.lists(st.integers(0, 14), min_size=1, max_size=6),
    shard_size=st.integers(1, 3),
    ahead=st.integers(0, 4),
)
def test_patches_find_their_frames_in_the_spool_of_a_shard(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], shard_size: int, ahead: int
) -> None:
    """Chunks come up to ``ahead`` videos early, across shards; a shard's patches are read once it is finished."""
    folder, starts = tmp_path_factory.mktemp("spool"), np.cumsum([0, *lengths]).tolist()
    videos = [video(f"v{i}", range(starts[i], starts[i + 1])) for i in range(len(lengths))]
    made: list[PatchSpool] = []

    def new_spool() -> PatchSpool:
        made.append(PatchSpool(folder, PatchLayout(1, DIM, "float16")))
        return made[-1]

    batches = FrameBatches(Recording(), SIZE, new_spool)
    pending = [(i, chunk) for i, (chunks, _) in enumerate(videos) for chunk in chunks]
    for i, (_, rest) in enumerate(videos):
        while pending and pending[0][0] <= i + ahead:
            batches.add_chunk(pending.pop(0)[1])
        batches.add(rest)
        if (i + 1) % shard_size == 0 or i + 1 == len(videos):
            for name, one in batches.finished().items():
                place = int(name[1:])
                pieces = list(one.patches.pieces()) if one.patches else []
                found = [
                    number for piece in pieces for number in piece["patches"][:, 0, 0].astype(int).tolist()
                ]
                assert found == list(range(starts[place], starts[place + 1]))
    assert len(made) == -(-len(videos) // shard_size) + 1


FEW_FILES = """
import resource, sys
from pathlib import Path
from tests.pipeline.test_encode_videos import SIZE, FrameBatches, PatchLayout, PatchSpool, Recording, video
open_now = len(list(Path("/proc/self/fd").iterdir()))
resource.setrlimit(resource.RLIMIT_NOFILE, (open_now + 10, open_now + 10))
batches = FrameBatches(Recording(), SIZE, lambda: PatchSpool(Path(sys.argv[1]), PatchLayout(1, 3, "int8")))
for i in range(250):
    chunks, rest = video(f"v{i}", range(9))
    for chunk in chunks:
        batches.add_chunk(chunk)
    batches.add(rest)
print(sum(len(piece) for one in batches.finished().values() for piece in one.patches.pieces()))
"""


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files as Linux does")
def test_a_shard_of_many_long_videos_opens_few_files(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FEW_FILES, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{250 * 9}\n"


def test_a_decoder_that_starts_over_replaces_its_chunks() -> None:
    batches = FrameBatches(Recording(), SIZE)
    (wrong, *_), _ = video("v", range(100, 109))
    chunks, rest = video("v", range(9))
    for chunk in (wrong, *chunks):
        batches.add_chunk(chunk)
    batches.add(rest)
    assert numbers_of(batches) == {"v": list(range(9))}


def test_chunks_of_a_later_shard_wait_for_it() -> None:
    encoder = Recording()
    batches = FrameBatches(encoder, SIZE)
    (chunk,), later = video("later", range(10, 16))
    batches.add_chunk(chunk)
    batches.add(video("now", range(3))[1])
    assert numbers_of(batches) == {"now": [0, 1, 2]}
    batches.add(later)
    assert numbers_of(batches) == {"later": list(range(10, 16))}
    assert encoder.begun == [(10, 11, 12, 13), (0, 1, 2), (14, 15)]
