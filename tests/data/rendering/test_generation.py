"""Generating a set: killed and resumed, asked for again, refused."""

import json
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from tvr.data.contracts.errors import DataError
from tvr.data.rendering.generation import Commission, generate

SMALL = Commission(seed=5, train_videos=20, val_videos=8, test_videos=8, side_pixels=32, fps=8)
TOTAL = 36


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("storyboard") / "whole"
    generate(root, SMALL)
    return root


def contents(root: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(root)): file.read_bytes()
        for file in sorted(root.rglob("*"))
        if file.is_file() and file.suffix != ".part"
    }


def test_everything_is_there(whole: Path) -> None:
    records = [json.loads(line) for line in (whole / "videos.jsonl").read_text().splitlines()]
    assert [r["split"] for r in records] == ["train"] * 20 + ["val"] * 8 + ["test"] * 8
    assert {r["file"] for r in records} == {name for name in contents(whole) if name.endswith(".mp4")}
    assert json.loads((whole / "storyboard.json").read_text()) == {"version": 1, **asdict(SMALL)}


def test_a_killed_run_goes_on_to_the_same_bytes(whole: Path, tmp_path: Path) -> None:
    code = (
        "import sys, pathlib\n"
        "from tvr.data.rendering.generation import Commission, generate\n"
        f"generate(pathlib.Path(sys.argv[1]), {SMALL!r}, lambda done, total: print(done, flush=True))\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "set")], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    child.kill()
    child.wait()
    child.stdout.close()
    left = sum(name.endswith(".mp4") for name in contents(tmp_path / "set"))
    assert 0 < left < TOTAL
    counts: list[tuple[int, int]] = []
    generate(tmp_path / "set", SMALL, lambda done, total: counts.append((done, total)))
    assert counts == [(done, TOTAL) for done in range(left + 1, TOTAL + 1)]
    assert contents(tmp_path / "set") == contents(whole)


def test_a_whole_set_is_left_alone(whole: Path) -> None:
    times = {file: file.stat().st_mtime_ns for file in whole.rglob("*")}
    time.sleep(0.02)
    generate(whole, SMALL, lambda *_: pytest.fail("nothing was missing"))
    assert {file: file.stat().st_mtime_ns for file in whole.rglob("*")} == times


def test_a_lost_video_comes_back(whole: Path) -> None:
    path = whole / "videos/val/val-00003.mp4"
    before = path.read_bytes()
    path.unlink()
    generate(whole, SMALL)
    assert path.read_bytes() == before


def test_more_videos_begin_with_the_same(whole: Path, tmp_path: Path) -> None:
    generate(tmp_path / "more", replace(SMALL, train_videos=26, val_videos=0))
    fewer, more = (
        {name: data for name, data in contents(root).items() if name.startswith("videos/train")}
        for root in (whole, tmp_path / "more")
    )
    assert fewer.items() <= more.items()
    assert len(more) == 26


@pytest.mark.parametrize("change", [{"seed": 6}, {"train_videos": 21}, {"side_pixels": 64}, {"fps": 10}])
def test_another_set_in_the_same_root_fails(whole: Path, change: dict[str, int]) -> None:
    before = contents(whole)
    (key, value), *_ = change.items()
    with pytest.raises(DataError, match=rf"{key} = {asdict(SMALL)[key]}, not {value}.*name another root"):
        generate(whole, replace(SMALL, **change))
    assert contents(whole) == before


@pytest.mark.parametrize(
    "text, message",
    [
        ('{"version": 0}', "version = 0, not 1"),
        ("[]", "version = unknown, not 1"),
        ("{", "is not JSON"),
        (json.dumps({"version": 1, **asdict(SMALL), "colour": 2}), "unknown settings"),
    ],
)
def test_another_manifest_fails(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "storyboard.json").write_text(text)
    with pytest.raises(DataError, match=message):
        generate(tmp_path, SMALL)
    assert list(contents(tmp_path)) == ["storyboard.json"]


def test_a_folder_of_other_videos_fails(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    with pytest.raises(DataError, match=r"holds videos but no storyboard\.json"):
        generate(tmp_path, SMALL)
    assert list(contents(tmp_path)) == []


def test_a_changed_annotation_file_fails(tmp_path: Path) -> None:
    few = replace(SMALL, train_videos=2, val_videos=0, test_videos=0)
    generate(tmp_path, few)
    path = tmp_path / "captions-single.jsonl"
    path.write_text(path.read_text().replace("then", "than"))
    with pytest.raises(DataError, match=r"captions-single\.jsonl is not what its seed and version give"):
        generate(tmp_path, few)


def test_a_place_that_is_a_file_fails(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        generate(tmp_path / "file", SMALL)
