"""Decoding in child processes: in order, bounded, and whatever a file does to its decoder, it costs one video."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tvr.data.contracts.errors import DecodeError, UsageError
from tvr.pipeline.decoders.base import DEFAULT_DECODER
from tvr.pipeline.decoding import child_process
from tvr.pipeline.decoding import pool as pools
from tvr.pipeline.decoding.messages import time_limit
from tvr.pipeline.decoding.pool import DecodedVideo, DecoderPool, DecodeTask
from tvr.pipeline.preprocessing import Preprocessing, resize
from tvr.pipeline.sampling import Sampling

from ...fixtures.mp4 import HEIGHT, WIDTH, Movie, damage, number_of, numbered_frame, write_movie, write_sound

PREPROCESSING = Preprocessing(HEIGHT, WIDTH, "squash", "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
FAULTY = Path(__file__).parent / "faulty_child.py"


def task(path: Path, sampling: Sampling | None = None, **span: Any) -> DecodeTask:
    return DecodeTask(path.name, path, sampling or Sampling("uniform", 5), PREPROCESSING, **span)


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Children get a decoder that crashes, hangs and eats memory by the name of the file."""
    monkeypatch.setattr(child_process, "_PROGRAM", faulty_program(orphan_seconds=1.0))


def faulty_program(orphan_seconds: float) -> str:
    return (
        "import sys; sys.path[:] = {path!r}; import runpy; module = {module!r}; "
        f"runpy.run_path({str(FAULTY)!r})['main']({{decoder!r}}, {{memory!r}}, {orphan_seconds})"
    )


def children_of(pid: int) -> set[int]:
    found: set[int] = set()
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # the thread ended since it was listed
            found.update(map(int, (thread / "children").read_text().split()))
    return found


def children() -> set[int]:
    """Live children of this process, without those that only wait to be reaped."""
    return {pid for pid in children_of(os.getpid()) if not is_gone(pid)}


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def wait_for(condition: object, seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():  # pyright: ignore
            return True
        time.sleep(0.05)
    return False


def test_gives_the_sampled_frames_in_the_order_of_the_tasks(tmp_path: Path) -> None:
    paths = [
        write_movie(tmp_path / f"{count}.mp4", Movie(num_frames=count))
        for count in (60, 3, 30, 45, 12, 60, 7)
    ]
    with DecoderPool(2) as pool:
        videos = list(pool.decode(task(path) for path in paths))
    assert [video.id for video in videos] == [path.name for path in paths]
    for path, video in zip(paths, videos, strict=True):
        count = int(path.stem)
        expected = list(range(count)) if count <= 5 else [int((k + 0.5) * count / 5) for k in range(5)]
        assert (video.status, video.reason, video.decoder) == ("ok", "", DEFAULT_DECODER)
        assert [number_of(frame) for frame in video.frames] == video.frame_index.tolist()
        assert np.abs(video.frame_index - np.array(expected)).max() <= 1
        assert np.allclose(video.frame_seconds, video.frame_index / 25, atol=1e-3)
        assert video.frames.flags.writeable


@pytest.mark.parametrize("decoder", ["decord", "pyav"])
def test_frames_are_resized_as_the_model_wants_them(tmp_path: Path, decoder: str) -> None:
    path = write_movie(tmp_path / "movie.mp4")
    preprocessing = Preprocessing(32, 24, "shortest", "bilinear", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    with DecoderPool(1, decoder) as pool:
        (video,) = pool.decode([DecodeTask("a", path, Sampling("uniform", 3), preprocessing)])
    assert video.frames.shape == (3, 32, 24, 3)
    for frame, number in zip(video.frames, video.frame_index, strict=True):
        assert np.abs(frame.astype(int) - resize(numbered_frame(int(number)), preprocessing)).mean() < 12


def test_a_span_gives_its_own_frames(tmp_path: Path) -> None:
    path = write_movie(tmp_path / "movie.mp4", Movie(num_frames=100))
    with DecoderPool(1) as pool:
        whole, span, beyond = pool.decode(
            [
                task(path),
                task(path, start_seconds=1.0, end_seconds=2.0),
                task(path, start_seconds=60.0, end_seconds=70.0),
            ]
        )
    assert whole.frame_index[0] < 25
    assert ((span.frame_seconds >= 1.0) & (span.frame_seconds < 2.0)).all()
    assert [number_of(frame) for frame in span.frames] == span.frame_index.tolist()
    assert beyond.status == "failed"
    assert "no frame between 60 s and 70 s; its last is at 3.96 s" in beyond.reason


@pytest.mark.parametrize("decoder", ["decord", "pyav"])
def test_a_span_between_two_frames_gives_the_one_on_display(tmp_path: Path, decoder: str) -> None:
    times = [*range(0, 1000, 40), *range(5000, 6000, 40)]  # a screen that does not change for four seconds
    path = write_movie(tmp_path / "screen.mp4", Movie(num_frames=len(times), times=times))
    spans = [(2.0, 3.0), (2.5, 5.1), (7.0, 8.0)]
    with DecoderPool(1, decoder) as pool:
        between, still, behind = pool.decode(
            [task(path, start_seconds=start, end_seconds=end) for start, end in spans]
        )
    assert (between.status, between.frame_index.tolist()) == ("ok", [24])
    assert between.frame_seconds.tolist() == [np.float32(0.96)]
    assert [number_of(frame) for frame in between.frames] == [24]
    assert [number_of(frame) for frame in still.frames] == still.frame_index.tolist() == [24, 25, 26, 27]
    assert behind.status == "failed"
    assert behind.reason == "shows no frame between 7 s and 8 s; its last is at 5.96 s"


def test_bad_files_are_records_with_reasons(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("This is not a video.\n" * 100)
    (tmp_path / "folder.mp4").mkdir()
    write_sound(tmp_path / "sound.mp4")
    cut = write_movie(tmp_path / "cut.mp4")
    cut.write_bytes(cut.read_bytes()[:2000])
    locked = write_movie(tmp_path / "locked.mp4")
    locked.chmod(0)
    expected = {
        "absent.mp4": "file not found",
        "empty.mp4": "file is empty (0 bytes)",
        "text.mp4": "not a readable video file",
        "folder.mp4": "is a folder",
        "sound.mp4": "no video stream (only audio)",
        "cut.mp4": "not a readable video file (moov atom not found)",
    }
    if os.geteuid() != 0:
        expected["locked.mp4"] = "cannot be read (Permission denied)"
    with DecoderPool(2) as pool:
        videos = list(pool.decode(task(tmp_path / name) for name in expected))
    for video in videos:
        assert video.status == "failed"
        assert expected[video.id] in video.reason
        assert video.frames.shape == (0, HEIGHT, WIDTH, 3)
        assert video.decoder == ""


def test_files_of_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["-dash.mp4", "new\nline.mp4", "ä 漢字 🎬.mp4", os.fsdecode(b"latin-\xe9.mp4"), "concat:a|b.mp4"]
    for name in names:
        write_movie(tmp_path / "movie.mp4", Movie(num_frames=5)).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    with DecoderPool(1) as pool:
        videos = list(pool.decode(task(Path(name)) for name in names))
    assert [(video.id, video.status, video.reason) for video in videos] == [
        (name, "ok", "") for name in names
    ]


@pytest.mark.parametrize("decoder", ["decord", "pyav"])
def test_only_sound_frames_of_a_damaged_video_are_given(tmp_path: Path, decoder: str) -> None:
    path = damage(write_movie(tmp_path / "movie.mp4", Movie(num_frames=200)), position=0.5, length=200)
    with DecoderPool(1, decoder) as pool:
        (video,) = pool.decode([task(path, Sampling("all"))])
    assert video.status == "partial"
    assert f"{len(video.frames)} of 200 frames are sound" in video.reason
    assert 100 < len(video.frames) < 200
    assert [number_of(frame) for frame in video.frames] == video.frame_index.tolist()
    assert video.decoder == "pyav"


def test_a_file_that_breaks_off_is_partial(tmp_path: Path) -> None:
    path = write_movie(tmp_path / "movie.mkv", Movie(num_frames=100))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.6)])
    with DecoderPool(1) as pool:
        (video,) = pool.decode([task(path)])
    assert video.status == "partial"
    assert "breaks off" in video.reason
    assert [number_of(frame) for frame in video.frames] == video.frame_index.tolist()


def test_answers_do_not_depend_on_what_was_decoded_before(tmp_path: Path) -> None:
    names = [f"{number}.mp4" for number in range(8)]
    for number, name in enumerate(names):
        movie = write_movie(tmp_path / name, Movie(num_frames=60 + number))
        damage(movie, position=0.1 * number, length=40 if number % 3 else 0, seed=number)

    def answers(num_children: int, order: int) -> dict[str, tuple[object, ...]]:
        with DecoderPool(num_children) as pool:
            videos = list(pool.decode(task(tmp_path / name) for name in names[::order]))
        return {
            video.id: (
                video.status,
                video.reason,
                video.decoder,
                video.frames.tobytes(),
                *video.frame_seconds,
            )
            for video in videos
        }

    assert answers(1, 1) == answers(1, -1) == answers(3, 1)


@pytest.mark.usefixtures("faulty")
def test_what_a_decoder_writes_to_stderr_makes_a_video_suspect(tmp_path: Path) -> None:
    whisper, shout, quiet = (
        write_movie(tmp_path / f"{name}.mp4", Movie(num_frames=10)) for name in ("whisper", "shout", "quiet")
    )
    with DecoderPool(1) as pool:
        videos = list(pool.decode([task(whisper), task(shout), task(quiet)]))
    # What is written while frames are read counts; PyAV then found nothing wrong. What opening a file says does not.
    assert [(video.status, video.decoder) for video in videos] == [
        ("ok", "pyav"),
        ("ok", "faulty"),
        ("ok", "faulty"),
    ]


@pytest.mark.usefixtures("faulty")
def test_a_child_that_dies_costs_one_video(tmp_path: Path) -> None:
    names = ["a.mp4", "segfault.mp4", "b.mp4", "abort.mp4", "exit.mp4", "c.mp4", "segfault2.mp4", "d.mp4"]
    for name in names:
        write_movie(tmp_path / name, Movie(num_frames=8))
    with DecoderPool(2) as pool:
        videos = {video.id: video for video in pool.decode(task(tmp_path / name) for name in names)}
    reasons = {name: video.reason for name, video in videos.items()}
    assert reasons == {
        "a.mp4": "",
        "segfault.mp4": "decoder died (signal 11)",
        "b.mp4": "",
        "abort.mp4": "decoder died (signal 6)",
        "exit.mp4": "decoder died (exit code 3)",
        "c.mp4": "",
        "segfault2.mp4": "decoder died (signal 11)",
        "d.mp4": "",
    }
    assert all(videos[name].status == ("failed" if reason else "ok") for name, reason in reasons.items())


@pytest.mark.usefixtures("faulty")
def test_a_child_that_hangs_with_the_interpreter_lock_is_killed(tmp_path: Path) -> None:
    names = ["a.mp4", "hang.mp4", "b.mp4"]
    for name in names:
        write_movie(tmp_path / name, Movie(num_frames=8))
    started = time.monotonic()
    with DecoderPool(1, time_limit_seconds=3.0) as pool:
        videos = list(pool.decode(task(tmp_path / name) for name in names))
    assert [video.status for video in videos] == ["ok", "failed", "ok"]
    assert videos[1].reason == "decoder stopped: it took longer than its time limit of 3 s"
    assert time.monotonic() - started < 60


@pytest.mark.usefixtures("faulty")
def test_a_child_that_eats_memory_is_stopped(tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux enforces the memory limit")
    names = ["a.mp4", "eat.mp4", "b.mp4"]
    for name in names:
        write_movie(tmp_path / name, Movie(num_frames=8))
    with DecoderPool(1, memory_limit_bytes=300 << 20) as pool:
        videos = list(pool.decode(task(tmp_path / name) for name in names))
    assert [video.reason for video in videos] == ["", "decoding takes more memory than its limit", ""]


@pytest.mark.usefixtures("faulty")
def test_a_child_killed_from_outside_costs_one_video(tmp_path: Path) -> None:
    names = ["slow1.mp4", "slow2.mp4", "slow3.mp4"]
    for name in names:
        write_movie(tmp_path / name, Movie(num_frames=8))
    before = children()
    with DecoderPool(1) as pool:
        videos: list[DecodedVideo] = []
        for video in pool.decode(task(tmp_path / name) for name in names):
            videos.append(video)
            if len(videos) == 1:
                (child,) = children() - before
                time.sleep(0.1)
                os.kill(child, signal.SIGKILL)
    assert [video.reason for video in videos] == ["", "decoder died (signal 9)", ""]


@pytest.mark.usefixtures("faulty")
def test_a_pool_that_is_closed_while_a_child_starts_says_nothing_of_the_video(tmp_path: Path) -> None:
    write_movie(tmp_path / "slow.mp4", Movie(num_frames=8))
    before = children()
    pool = DecoderPool(1)
    closing = threading.Thread(target=lambda: (wait_for(lambda: bool(children() - before)), pool.close()))
    closing.start()
    with pytest.raises(DecodeError, match="the decoder pool was closed"):
        list(pool.decode([task(tmp_path / "slow.mp4")]))
    closing.join()


@pytest.mark.usefixtures("faulty")
def test_a_pool_that_is_closed_while_a_child_decodes_says_nothing_of_the_video(tmp_path: Path) -> None:
    write_movie(tmp_path / "a.mp4", Movie(num_frames=8))
    write_movie(tmp_path / "slow.mp4", Movie(num_frames=8))
    pool = DecoderPool(1)
    videos = pool.decode([task(tmp_path / "a.mp4"), task(tmp_path / "slow.mp4")])
    assert next(videos).status == "ok"
    pool.close()
    with pytest.raises(DecodeError, match="the decoder pool was closed"):
        next(videos)


@pytest.mark.usefixtures("faulty")
def test_what_ends_a_whole_job_leaves_the_children_to_their_parent(tmp_path: Path) -> None:
    write_movie(tmp_path / "slow.mp4", Movie(num_frames=8))
    write_movie(tmp_path / "a.mp4", Movie(num_frames=8))
    before = children()
    with DecoderPool(1) as pool:
        videos: list[DecodedVideo] = []
        for video in pool.decode([task(tmp_path / "a.mp4"), task(tmp_path / "slow.mp4")]):
            videos.append(video)
            for child in children() - before:
                os.kill(child, signal.SIGTERM)
                os.kill(child, signal.SIGINT)
    assert [video.status for video in videos] == ["ok", "ok"]


def test_what_ends_a_whole_job_leaves_children_that_still_import_to_their_parent(tmp_path: Path) -> None:
    statuses: list[str] = []
    path = write_movie(tmp_path / "movie.mp4", Movie(num_frames=8))
    before = children()
    with DecoderPool(1) as pool:
        videos = pool.decode([task(path)])
        reading = threading.Thread(target=lambda: statuses.extend(video.status for video in videos))
        reading.start()
        assert wait_for(lambda: bool(children() - before))
        for child in children() - before:  # started just now
            os.kill(child, signal.SIGTERM)
            os.kill(child, signal.SIGINT)
        reading.join()
    assert statuses == ["ok"]


def test_a_child_that_died_while_idle_costs_nothing(tmp_path: Path) -> None:
    path = write_movie(tmp_path / "movie.mp4", Movie(num_frames=8))
    before = children()
    with DecoderPool(1) as pool:
        assert [video.status for video in pool.decode([task(path)])] == ["ok"]
        (child,) = children() - before
        os.kill(child, signal.SIGKILL)
        assert wait_for(lambda: is_gone(child))
        assert [video.status for video in pool.decode([task(path)])] == ["ok"]


def test_children_let_others_go_first_where_that_is_asked_for(tmp_path: Path) -> None:
    before, path = children(), write_movie(tmp_path / "movie.mp4", Movie(num_frames=8))
    with DecoderPool(1, niceness=3) as pool:
        assert [video.status for video in pool.decode([task(path)])] == ["ok"]
        (child,) = children() - before
        assert os.getpriority(os.PRIO_PROCESS, child) == os.getpriority(os.PRIO_PROCESS, 0) + 3


def test_children_are_replaced_after_a_number_of_videos(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_movie(tmp_path / "movie.mp4", Movie(num_frames=8))
    before = children()
    begun: list[child_process.ChildProcess] = []

    class Noted(child_process.ChildProcess):
        def __init__(self, *settings: Any) -> None:
            super().__init__(*settings)
            begun.append(self)

    monkeypatch.setattr(pools, "ChildProcess", Noted)
    with DecoderPool(1, recycle_after=2) as pool:
        for _ in range(3):
            assert [video.status for video in pool.decode([task(path)] * 2)] == ["ok", "ok"]
    assert [child.videos for child in begun] == [2, 2, 2]
    assert children() == before


def test_nothing_is_left_when_the_consumer_stops_early(tmp_path: Path) -> None:
    path = write_movie(tmp_path / "movie.mp4", Movie(num_frames=8))
    before, files = children(), len(list(Path("/proc/self/fd").iterdir()))
    taken: list[int] = []

    def endless() -> Iterator[DecodeTask]:
        for number in range(10_000):
            taken.append(number)
            yield task(path)

    with DecoderPool(2) as pool:
        for video in pool.decode(endless()):
            assert video.status == "ok"
            break
    assert len(taken) <= 10
    assert children() == before
    assert len(list(Path("/proc/self/fd").iterdir())) == files


def test_an_error_in_the_tasks_reaches_the_caller(tmp_path: Path) -> None:
    path = write_movie(tmp_path / "movie.mp4", Movie(num_frames=8))

    def broken() -> Iterator[DecodeTask]:
        yield task(path)
        raise ZeroDivisionError

    before = children()
    with pytest.raises(ZeroDivisionError), DecoderPool(1) as pool:
        list(pool.decode(broken()))
    assert children() == before


PARENT = """
import sys, time
from pathlib import Path
from tvr.pipeline.decoding import child_process
from tvr.pipeline.decoding.pool import DecoderPool, DecodeTask
from tvr.pipeline.preprocessing import Preprocessing
from tvr.pipeline.sampling import Sampling
child_process._PROGRAM = {program!r}
half = (0.5, 0.5, 0.5)
tasks = [DecodeTask(n, Path(n), Sampling(), Preprocessing(8, 8, "squash", "bicubic", half, half)) for n in {names!r}]
with DecoderPool(2, time_limit_seconds=2.0) as pool:
    for video in pool.decode(tasks):
        print(video.status, flush=True)
    time.sleep(1000)
"""


def test_children_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("looks at /proc")
    good, hang = (write_movie(tmp_path / name, Movie(num_frames=8)) for name in ("good.mp4", "hang.mp4"))
    program = PARENT.format(program=faulty_program(orphan_seconds=1.0), names=[str(good), str(hang)])
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ok\n"
        born = children_of(parent.pid)
        parent.kill()
    # One child is idle and sees the end of its stdin; the other hangs in native code until its alarm ends it.
    assert len(born) == 2
    assert wait_for(lambda: all(is_gone(pid) for pid in born))


def test_a_child_holds_neither_torch_nor_a_head(tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("looks at /proc")
    path = write_movie(tmp_path / "movie.mp4", Movie(num_frames=8))
    before = children()
    with DecoderPool(1) as pool:
        assert [video.status for video in pool.decode([task(path)])] == ["ok"]
        (child,) = children() - before
        mapped = Path(f"/proc/{child}/maps").read_text()
    assert "libav" in mapped
    assert "torch" not in mapped
    program = (
        "import sys; from tvr.pipeline.decoding import child_main as child; child._decoders('decord'); "
        "print([name for name in sys.modules if name.split('.')[0] == 'torch' or name.startswith('tvr.heads')])"
    )
    assert subprocess.check_output([sys.executable, "-c", program]) == b"[]\n"


def decode_in_a_daemon(path: str) -> str:
    with DecoderPool(1) as pool:
        return next(iter(pool.decode([task(Path(path))]))).status


def test_works_in_a_daemonic_process(tmp_path: Path) -> None:
    # Such as a Dask worker under a nanny: multiprocessing refuses it children.
    path = write_movie(tmp_path / "movie.mp4", Movie(num_frames=8))
    with get_context("fork").Pool(1) as workers:
        assert workers.apply(decode_in_a_daemon, (str(path),)) == "ok"


def test_without_decord_pyav_takes_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_movie(tmp_path / "movie.mp4", Movie(num_frames=8))
    without = (
        "import sys; sys.path[:] = {path!r}; sys.modules['decord'] = None; "
        "from {module} import serve; serve({decoder!r}, {memory!r})"
    )
    monkeypatch.setattr(child_process, "_PROGRAM", without)
    with DecoderPool(1, "decord") as pool:
        (video,) = pool.decode([task(path)])
    assert (video.status, video.decoder) == ("ok", "pyav")


def test_a_child_that_cannot_start_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        child_process, "_PROGRAM", "{path};{module!r};{decoder!r};{memory};import no_such_module"
    )
    path = write_movie(tmp_path / "movie.mp4", Movie(num_frames=8))
    with DecoderPool(1) as pool, pytest.raises(DecodeError, match="no_such_module"):
        list(pool.decode([task(path)]))


@pytest.mark.parametrize(
    ("fixed", "duration", "limit"),
    [
        (None, 0.0, 30.0),
        (None, 14.0, 30.0),
        (None, 100.0, 200.0),
        (None, float("nan"), 30.0),
        (None, float("inf"), 30.0),
        (None, 1e12, 24 * 3600.0),
        (5.0, 100.0, 5.0),
    ],
)
def test_the_time_limit_follows_from_the_duration(fixed: float | None, duration: float, limit: float) -> None:
    assert time_limit(fixed, duration) == limit


def test_the_pool_fails() -> None:
    with pytest.raises(UsageError, match=r"unknown --decoder 'decrod'\. Did you mean 'decord'\?"):
        DecoderPool(1, "decrod")
    for settings in ({"num_children": 0}, {"num_children": 1, "time_limit_seconds": -1.0}):
        with pytest.raises(UsageError, match="must be positive"):
            DecoderPool(**settings)  # pyright: ignore
