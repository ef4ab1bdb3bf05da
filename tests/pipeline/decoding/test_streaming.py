"""Frames in chunks through shared memory: the same frames, bounded memory, and nothing left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import pytest
from tvr.pipeline.decoding import child_process
from tvr.pipeline.decoding import pool as decoder_pool
from tvr.pipeline.decoding.messages import Chunk, DecodedVideo
from tvr.pipeline.decoding.pool import DecoderPool, DecodeTask
from tvr.pipeline.decoding.shared_frames import SharedFrames
from tvr.pipeline.sampling import Sampling

from ...fixtures.mp4 import Movie, damage, number_of, write_movie
from .test_pool import PREPROCESSING, children, children_of, faulty_program, is_gone, wait_for


def task(path: Path, frames_per_chunk: int) -> DecodeTask:
    return DecodeTask(path.name, path, Sampling("all"), PREPROCESSING, frames_per_chunk=frames_per_chunk)


def numbers(given: Iterable[Chunk | DecodedVideo]) -> list[tuple[str, int | str, list[int]]]:
    """Of each thing given: the video, the number of the chunk or the status, the numbers in its pictures."""
    return [
        (one.video_id, one.number, list(map(number_of, one.frames)))
        if isinstance(one, Chunk)
        else (one.id, one.status, list(map(number_of, one.frames)))
        for one in given
    ]


def family(pid: int) -> set[int]:
    """A process and its children."""
    return {pid} | children_of(pid)


def frames_in_memory(processes: Iterable[int]) -> int:
    """How many memories for frames these processes hold open; those of others, such as an extraction, do not count."""
    count = 0
    for link in (link for pid in processes for link in Path(f"/proc/{pid}/fd").glob("*")):
        with suppress(OSError):
            count += "memfd:tvr-frames" in str(link.readlink())
    return count


@pytest.mark.parametrize("decoder", ["decord", "pyav"])
@pytest.mark.parametrize("frames_per_chunk", [1, 7, 20, 64])
def test_chunks_and_rest_are_the_video(tmp_path: Path, decoder: str, frames_per_chunk: int) -> None:
    path = write_movie(tmp_path / "a.mp4", Movie(num_frames=40))
    with DecoderPool(1, decoder) as pool:
        given = numbers(pool.stream([task(path, frames_per_chunk)]))
        (whole,) = pool.decode([task(path, frames_per_chunk)])
    *chunks, (_, status, rest) = given
    assert status == "ok"
    assert [number for _, number, _ in chunks] == list(range(40 // frames_per_chunk))
    assert all(len(chunk) == frames_per_chunk for _, _, chunk in chunks)
    assert [number for _, _, chunk in chunks for number in chunk] + rest == list(range(40))
    assert whole.num_chunks == 0
    assert list(map(number_of, whole.frames)) == whole.frame_index.tolist() == list(range(40))


def test_chunks_of_a_decoder_that_gave_up_are_void(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_process, "_PROGRAM", faulty_program(orphan_seconds=1.0))
    path = damage(write_movie(tmp_path / "whisper.mp4", Movie(num_frames=40, group_size=10)), 0.5, 200)
    with DecoderPool(1) as pool:
        given = numbers(pool.stream([task(path, 8)]))
        (whole,) = pool.decode([task(path, 8)])
    order = [number for _, number, _ in given[:-1]]
    assert order.count(0) == 3, "PyAV starts over, and once more where it has to tell damage from noise"
    assert whole.status == "partial"
    assert list(map(number_of, whole.frames)) == whole.frame_index.tolist()
    last_start = len(order) - 1 - order[::-1].index(0)
    valid = [number for _, _, chunk in given[last_start:] for number in chunk]
    assert valid == whole.frame_index.tolist()


def test_a_long_video_delays_no_other(tmp_path: Path) -> None:
    long, other = (
        write_movie(tmp_path / f"{name}.mp4", Movie(num_frames=count))
        for name, count in (("long", 400), ("other", 40))
    )
    given: list[tuple[str, int | str]] = []
    with DecoderPool(2) as pool:
        list(pool.decode([task(other, 16)] * 2))  # both children have started
        for one in pool.stream([task(long, 16), task(other, 16)]):
            given += [(name, what) for name, what, _ in numbers([one])]
            time.sleep(0.05)
    assert given.index(("other.mp4", 0)) < given.index(("long.mp4", 24))
    assert [one for one in given if isinstance(one[1], str)] == [("long.mp4", "ok"), ("other.mp4", "ok")]


def test_waiting_takes_nothing_of_the_time_limit(tmp_path: Path) -> None:
    path = write_movie(tmp_path / "a.mp4", Movie(num_frames=60))
    with DecoderPool(1, time_limit_seconds=3.0) as pool:
        given = []
        for one in pool.stream([task(path, 10)]):
            given.append(one)
            time.sleep(0.8)
    assert [status for _, status, _ in numbers(given)] == [0, 1, 2, 3, 4, 5, "ok"]


def test_children_wait_for_who_takes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [write_movie(tmp_path / f"{name}.mp4", Movie(num_frames=20)) for name in range(12)]
    taken: list[Path] = []

    def tasks() -> Iterable[DecodeTask]:
        for path in paths:
            taken.append(path)
            yield task(path, 64)

    monkeypatch.setattr(decoder_pool, "MAX_AHEAD_BYTES", 1)
    with DecoderPool(2) as pool:
        given = pool.stream(tasks())
        next(iter(given))
        assert wait_for(lambda: len(taken) >= 3)
        time.sleep(0.3)
        assert len(taken) == 3, "one that was given and two that are being decoded"
        assert [video.status for video in given if isinstance(video, DecodedVideo)] == ["ok"] * 11


def test_who_stops_early_leaves_a_pool_that_works(tmp_path: Path) -> None:
    path = write_movie(tmp_path / "a.mp4", Movie(num_frames=80))
    with DecoderPool(2) as pool:
        for _ in range(3):
            given = pool.stream([task(path, 4), DecodeTask("b", path, Sampling("all"), PREPROCESSING)])
            assert isinstance(next(given), Chunk)
            given.close()  # pyright: ignore
        (whole,) = pool.decode([task(path, 4)])
    assert whole.frame_index.tolist() == list(range(80))


def test_a_child_killed_between_chunks_fails(tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("looks at /proc")
    path = write_movie(tmp_path / "a.mp4", Movie(num_frames=80))
    me = os.getpid()
    before, memories = children(), frames_in_memory(family(me))
    with DecoderPool(1) as pool:
        given = []
        for one in pool.stream([task(path, 4)]):
            given.append(one)
            if len(given) == 1:
                (child,) = children() - before
                os.kill(child, signal.SIGKILL)
        assert given[-1].status == "failed"
        assert given[-1].reason == "decoder died (signal 9)"
        assert (len(given[-1].frames), given[-1].num_chunks) == (0, 0)
        (whole,) = pool.decode([task(path, 4)])
        assert whole.status == "ok"
        assert frames_in_memory(family(me)) > memories
    assert frames_in_memory(family(me)) == memories


PARENT = """
import sys, time
from pathlib import Path
from tvr.pipeline.decoding.pool import DecoderPool, DecodeTask
from tvr.pipeline.preprocessing import Preprocessing
from tvr.pipeline.sampling import Sampling
half = (0.5, 0.5, 0.5)
size = Preprocessing(64, 64, "squash", "bicubic", half, half)
with DecoderPool(2) as pool:
    for chunk in pool.stream([DecodeTask("a", Path({path!r}), Sampling("all"), size, frames_per_chunk=4)]):
        print(chunk.number, flush=True)
        time.sleep(1000)
"""


def test_no_memory_is_left_when_the_parent_is_killed(tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("looks at /proc")
    path = write_movie(tmp_path / "a.mp4", Movie(num_frames=80))
    files = set(Path("/dev/shm").iterdir())
    with subprocess.Popen(
        [sys.executable, "-c", PARENT.format(path=str(path))], stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"0\n"
        holders = family(parent.pid)
        assert frames_in_memory(holders) > 0
        parent.kill()
    assert wait_for(lambda: is_gone(parent.pid) and frames_in_memory(holders) == 0)
    assert set(Path("/dev/shm").iterdir()) <= files


def test_a_memory_that_holds_less_than_was_said_fails() -> None:
    memory = SharedFrames()
    os.pwrite(memory.descriptor, bytes(100), 0)
    assert memory.read((1, 5, 5, 3)) is not None
    assert memory.read((2, 5, 5, 3)) is None
    memory.close()


MEASURED = """
import resource
from pathlib import Path
from tvr.pipeline.decoding.pool import DecoderPool, DecodeTask
from tvr.pipeline.preprocessing import Preprocessing
from tvr.pipeline.sampling import Sampling
half = (0.5, 0.5, 0.5)
size = Preprocessing(224, 224, "squash", "bilinear", half, half)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
before, frames = peak(), 0
with DecoderPool(2) as pool:
    sampling = Sampling("fps", num_frames=10_000, fps=1.0)
    for given in pool.stream([DecodeTask("a", Path({path!r}), sampling, size)]):
        frames += len(given.frames)
print(frames, peak() - before)
"""


@pytest.mark.slow
def test_two_hours_take_no_more_memory_than_a_few_chunks(tmp_path: Path) -> None:
    path = write_movie(tmp_path / "two_hours.mp4", Movie(num_frames=7200, fps=1, group_size=60))
    answer = subprocess.check_output([sys.executable, "-c", MEASURED.format(path=str(path))])
    frames, mebibytes = map(int, answer.split())
    assert frames == 7200
    held_whole = 7200 * 224 * 224 * 3 >> 20
    assert mebibytes < 120 < held_whole
