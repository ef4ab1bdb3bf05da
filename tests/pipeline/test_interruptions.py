"""What ends a run before its end, done to real processes: afterwards the same command ends with the same bytes."""

import random
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tvr.data.base import load_dataset
from tvr.pipeline.extract import extract, run_extraction
from tvr.pipeline.options import EncoderSpec, ExtractionOptions, Request
from tvr.pipeline.progress import Progress
from tvr.pipeline.sampling import Sampling
from tvr.pipeline.shard_worker import ShardWorker
from tvr.pipeline.store.verification import verify
from tvr.pipeline.summary import ExtractionInterrupted, Summary
from tvr.pipeline.video.sample_clip import write_sample

from ..fixtures.archive import built_in_encoder, bytes_of, extracted, options_for, write_archive
from ..fixtures.fuzz import cases
from ..fixtures.warm_shell import Running, WarmShell, warm_shell

LINE = "extract --dataset folder --model tvr-storyboard --num-frames 4 --decoding-processes 1 --videos-per-shard 3"
EXTRACT = [*LINE.split(), "--device", "cpu", "--precision", "fp32"]
CLIPS = 12
"""Four shards of videos and one of captions."""
ASKED = ExtractionOptions(Sampling(num_frames=4), videos_per_shard=3, num_children=1)
"""What the command asks for."""
KILLS = cases(40)


@pytest.fixture(scope="module")
def shell() -> WarmShell:
    return warm_shell()


@pytest.fixture(scope="module")
def undisturbed(shell: WarmShell, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive and its store, made in peace."""
    place = tmp_path_factory.mktemp("undisturbed")
    (place / "archive").mkdir()
    for index in range(CLIPS):
        write_sample(place / "archive" / f"clip{index:02d}.mp4")
    rows = [f'clip{index:02d}.mp4,"a grey picture, number {index}"' for index in range(CLIPS)]
    (place / "archive" / "captions.csv").write_text("\n".join(["path,caption", *rows]) + "\n")
    code, said = shell.run(*EXTRACT, "--root", place / "archive", "--store", place / "store")
    assert code == 0, said
    return place


@pytest.fixture(scope="module")
def worker() -> Iterator[ShardWorker]:
    """Goes on with what was killed. It has the command's encoder, and nothing to start for each store."""
    with ShardWorker(built_in_encoder(), ASKED) as worker:
        yield worker


def goes_on(worker: ShardWorker, archive: Path, store: Path) -> None:
    """What the command does, in this process."""
    request = Request("folder", archive, {}, EncoderSpec("tvr-storyboard", device="cpu", precision="fp32"))
    run_extraction(worker, load_dataset("folder", archive, {}), replace(ASKED, request=request), store)


def command(archive: Path, store: Path) -> list[str]:
    return [*EXTRACT, "--root", str(archive), "--store", str(store)]


def ends_as(store: Path, undisturbed: Path) -> None:
    """The store is whole, equal byte for byte, and nothing else lies in it."""
    assert verify(store).damages == ()
    assert bytes_of(store) == bytes_of(undisturbed / "store")
    assert {path.name for path in store.iterdir()} == {
        path.name for path in (undisturbed / "store").iterdir()
    }


def keeps_what_was_finished(store: Path, undisturbed: Path) -> int:
    """The number of shards that have a receipt; each is equal byte for byte."""
    finished = [path for path in store.glob("*.h5") if path.with_suffix(".json").exists()]
    for path in finished:
        assert path.read_bytes() == (undisturbed / "store" / path.name).read_bytes()
    return len(finished)


def has_shards(run: Running, store: Path, more: int) -> bool:
    """Wait until so many more shards are whole than are now; False if the run ends before."""
    before = len(list(store.glob("*.h5")))
    while len(list(store.glob("*.h5"))) < before + more:
        if run.wait(0.01) is not None:
            return False
    return True


@pytest.mark.slow
def test_killed_at_random_moments(shell: WarmShell, undisturbed: Path, tmp_path: Path) -> None:
    rng = random.Random(6)
    started = time.monotonic()
    assert shell.run(*command(undisturbed / "archive", tmp_path / "timed"))[0] == 0
    seconds = time.monotonic() - started
    kills, rounds, finished = 0, 0, []
    while kills < KILLS:
        store = tmp_path / f"round-{rounds}"
        rounds += 1
        for _ in range(3):  # the second kill meets what the first one left
            run = shell.start(*command(undisturbed / "archive", store))
            # Shards are waited for rather than seconds: how fast they come is the machine's affair of the moment.
            has_begun = has_shards(run, store, more=rng.randrange(3))
            if has_begun and run.wait(rng.uniform(0, 0.2) * seconds) is None:
                run.kill()
                code = run.wait()
                assert code in (-9, 0), run.said  # 0: it ended in the moment between
                kills += code == -9
            finished.append(keeps_what_was_finished(store, undisturbed))
        code, said = shell.run(*command(undisturbed / "archive", store))
        assert code == 0, said
        ends_as(store, undisturbed)
    assert rounds < KILLS, "hardly any run was killed in time"
    assert len(set(finished)) >= 3, f"all kills met the same state: {finished}"


@pytest.mark.slow
def test_killed_before_each_change_of_the_folder(
    shell: WarmShell, worker: ShardWorker, undisturbed: Path, tmp_path: Path
) -> None:
    """Every step of every commit, of videos and of texts: lock, write, rename, receipt, unlock."""
    archive = tmp_path / "archive"
    shutil.copytree(undisturbed / "archive", archive)
    for path in sorted(archive.glob("*.mp4"))[2:]:
        path.unlink()
    rows = (archive / "captions.csv").read_text().splitlines()[:3]
    (archive / "captions.csv").write_text("\n".join(rows) + "\n")
    arguments = [*command(archive, tmp_path / "whole")]
    assert shell.run(*arguments)[0] == 0
    changes = 0
    while True:
        store = tmp_path / f"killed-{changes}"
        code, said = shell.run(*command(archive, store), kill_at_change=changes, folder=str(store))
        if code == 0:
            break
        assert code == -9, said
        goes_on(worker, archive, store)
        assert bytes_of(store) == bytes_of(tmp_path / "whole")
        assert {path.name for path in store.iterdir()} == {
            path.name for path in (tmp_path / "whole").iterdir()
        }
        changes += 1
    assert changes > 20


def test_the_first_failure_ends_the_run_where_that_is_asked_for(
    shell: WarmShell, undisturbed: Path, tmp_path: Path
) -> None:
    archive, store = tmp_path / "archive", tmp_path / "store"
    shutil.copytree(undisturbed / "archive", archive)
    (archive / "clip07.mp4").write_text("no video")
    code, said = shell.run(*command(archive, store), "--on-error", "fail")
    assert code == 5
    assert "video 'clip07' failed: not a readable video file" in said
    assert "--on-error fail; every finished shard is kept" in said
    assert "Traceback" not in said
    assert 1 <= keeps_what_was_finished(store, undisturbed) <= 2
    shutil.copy(undisturbed / "archive" / "clip07.mp4", archive)
    assert shell.run(*command(archive, store), "--on-error", "fail")[0] == 0
    ends_as(store, undisturbed)


def test_a_damaged_store_is_mended_by_one_command(
    shell: WarmShell, undisturbed: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    shutil.copytree(undisturbed / "store", store)
    code, said = shell.run("verify", "--store", store)
    assert (code, said.splitlines()[0]) == (0, f"8 of 8 files whole: {store}")
    (store / "video-00001-of-00004.h5").unlink()
    (store / "text-00000-of-00001.h5").write_bytes(b"short")
    code, said = shell.run("verify", "--store", store)
    assert code == 4
    assert "video-00001-of-00004.h5 is missing" in said
    assert "text-00000-of-00001.h5 is 5 bytes long, its receipt says" in said
    assert f"mend: tvr verify --repair --store {store}\n" in said
    code, said = shell.run("verify", "--store", store, "--repair")
    assert code == 0, said
    assert "mended: video-00001-of-00004.h5 (found that it is missing)" in said
    assert f"2 files mended; the whole store is as it should be: {store}\n" in said
    ends_as(store, undisturbed)


def test_two_extractors_share_the_shards(shell: WarmShell, undisturbed: Path, tmp_path: Path) -> None:
    runs = [shell.start(*command(undisturbed / "archive", tmp_path / "store")) for _ in range(2)]
    assert [run.wait() for run in runs] == [0, 0], [run.said for run in runs]
    written = [int(re.findall(r"(\d+) shards? written", run.said)[0]) for run in runs]
    assert sum(written) == 5, written
    ends_as(tmp_path / "store", undisturbed)


def test_of_two_extractors_one_is_killed(shell: WarmShell, undisturbed: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    first, second = (shell.start(*command(undisturbed / "archive", store)) for _ in range(2))
    assert appears(store, "*.h5")
    first.kill()
    assert second.wait() == 0, second.said
    keeps_what_was_finished(store, undisturbed)
    assert shell.run(*command(undisturbed / "archive", store))[0] == 0
    ends_as(store, undisturbed)


def test_a_file_that_cannot_grow_any_more(shell: WarmShell, undisturbed: Path, tmp_path: Path) -> None:
    """As on a full disk; for whoever may mount one, the next test has a real one."""
    store = tmp_path / "store"
    code, said = shell.run(*command(undisturbed / "archive", store), file_bytes=6_000)
    assert code == 4
    assert f"cannot write to {store}: File too large. Every shard that is there is whole" in said
    assert "Traceback" not in said
    assert shell.run(*command(undisturbed / "archive", store))[0] == 0
    ends_as(store, undisturbed)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    try:
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], check=True, capture_output=True
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("may not mount a tmpfs here; test_a_file_that_cannot_grow_any_more stands for it")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("free_kilobytes", [0, 4, 24, 60, 100, 140])
def test_a_full_disk(shell: WarmShell, undisturbed: Path, small_disk: Path, free_kilobytes: int) -> None:
    store = small_disk / "store"
    (small_disk / "other").write_bytes(bytes((256 - free_kilobytes) << 10))
    code, said = shell.run(*command(undisturbed / "archive", store))
    if code == 0 and free_kilobytes > 100:
        return  # the whole store fits
    assert code == 4, said
    assert f"cannot write to {store}: No space left on device" in said
    assert "Traceback" not in said
    if store.is_dir():
        keeps_what_was_finished(store, undisturbed)
        assert not list(store.glob("*.tmp"))
    (small_disk / "other").unlink()
    assert shell.run(*command(undisturbed / "archive", store))[0] == 0
    ends_as(store, undisturbed)


def test_a_folder_that_may_not_be_written(shell: WarmShell, undisturbed: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(undisturbed / "store", store)
    (store / "video-00001-of-00004.h5").unlink()
    before = {path.name: path.stat().st_mtime_ns for path in store.iterdir()}
    store.chmod(0o555)
    code, said = shell.run(*command(undisturbed / "archive", store), bound=True)
    store.chmod(0o755)
    assert code == 4
    assert f"cannot write to {store}: Permission denied" in said
    assert "Traceback" not in said
    assert before == {path.name: path.stat().st_mtime_ns for path in store.iterdir()}


def test_videos_that_may_not_be_read(shell: WarmShell, undisturbed: Path, tmp_path: Path) -> None:
    archive, store = tmp_path / "archive", tmp_path / "store"
    shutil.copytree(undisturbed / "archive", archive)
    (archive / "clip04.mp4").chmod(0)
    code, said = shell.run(*command(archive, store), bound=True)
    assert code == 0, said
    assert "1 failed, 11 ok" in said
    assert (
        "clip04\tfailed\tcannot be read (Permission denied)"
        in shell.run("inspect", "--failed", "--store", store)[1]
    )
    (archive / "clip04.mp4").chmod(0o644)
    code, said = shell.run(*command(archive, store), "--retry", "failed:Permission")
    assert code == 0, said
    assert "12 ok" in said
    ends_as(store, undisturbed)


def test_annotations_that_may_not_be_read(shell: WarmShell, undisturbed: Path, tmp_path: Path) -> None:
    shutil.copytree(undisturbed / "archive", tmp_path / "archive")
    (tmp_path / "archive" / "captions.csv").chmod(0)
    code, said = shell.run(*command(tmp_path / "archive", tmp_path / "store"), bound=True)
    assert code == 3
    assert "captions.csv" in said
    assert "Permission denied" in said
    assert "Traceback" not in said


def test_a_video_that_vanishes_while_others_are_decoded(
    shell: WarmShell, undisturbed: Path, tmp_path: Path
) -> None:
    archive, store = tmp_path / "archive", tmp_path / "store"
    shutil.copytree(undisturbed / "archive", archive)
    run = shell.start(*command(archive, store))
    assert appears(store, "*.lock")
    (archive / "clip11.mp4").unlink()
    assert run.wait() == 0, run.said
    assert "1 missing, 11 ok" in run.said
    shutil.copy(undisturbed / "archive" / "clip11.mp4", archive)
    assert shell.run(*command(archive, store))[0] == 0
    ends_as(store, undisturbed)


def test_what_was_extracted_stays_when_its_video_is_gone(
    shell: WarmShell, undisturbed: Path, tmp_path: Path
) -> None:
    """A shard is done again for one video, and another one of it cannot be read any more."""
    archive, store = tmp_path / "archive", tmp_path / "store"
    shutil.copytree(undisturbed / "archive", archive)
    (archive / "clip03.mp4").write_bytes(b"")
    assert shell.run(*command(archive, store))[0] == 0
    (archive / "clip04.mp4").unlink()
    (archive / "clip04.mp4").mkdir()
    (archive / "clip05.mp4").unlink()
    shutil.copy(undisturbed / "archive" / "clip03.mp4", archive)
    code, said = shell.run(*command(archive, store), "--retry", "failed")
    assert code == 0, said
    assert "12 ok" in said
    ends_as(store, undisturbed)


def appears(folder: Path, pattern: str, seconds: float = 60) -> bool:
    """Whether such a file comes to be, looked for every millisecond."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if folder.is_dir() and next(folder.glob(pattern), None):
            return True
        time.sleep(0.001)
    return False


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ("videos", r"kept: 0 of 5 shards \(0 of 5 videos\); lost at most: 1 shard in work with 2 videos"),
        ("texts", r"kept: 3 of 5 shards \(5 of 5 videos\); lost at most: 1 shard in work, 0 s of work$"),
        ("counting", r"kept: 5 of 5 shards \(5 of 5 videos\); nothing is lost$"),
    ],
)
def test_in_every_stage_it_says_what_is_kept(
    stage: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, encoder = write_archive(tmp_path / "archive"), built_in_encoder()
    dataset, options = load_dataset("folder", root, {}), options_for(root)

    def stop(progress: Progress) -> None:
        if progress.stage == stage:
            raise KeyboardInterrupt

    def counting(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(ExtractionInterrupted, match=said):
        if stage == "counting":
            patch.setattr(Summary, "count_store", counting)
        extract(dataset, encoder, options, tmp_path / "store", on_progress=stop)
    extract(dataset, encoder, options, tmp_path / "store")
    assert bytes_of(tmp_path / "store") == bytes_of(extracted(root, encoder, tmp_path / "whole"))
