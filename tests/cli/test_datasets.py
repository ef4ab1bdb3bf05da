"""What a user sees of ``tvr datasets``."""

import json
import shutil
from pathlib import Path

import pytest
from tvr.data.base import Preset
from tvr.pipeline.options import sampling_of

from ..fixtures.shell import tree, tvr


def test_the_list_names_every_data_set_with_its_presets(tmp_path: Path) -> None:
    answer = tvr("datasets", cwd=tmp_path)
    assert answer.code == 0, answer.err
    lines = {line.split()[0]: line for line in answer.out.splitlines() if line.strip()}
    for name in ("activitynet", "didemo", "folder", "lsmdc", "msrvtt", "msvd", "vatex", "storyboard"):
        assert name in lines
    stored = str(sampling_of(Preset(num_frames=64), None, None, None).num_frames)
    for protocol in ("single: the", "multi: each", "paragraph: all"):
        assert protocol in lines["protocol:"]
    assert lines["didemo"].split()[-6:] == ["paragraph", "64", stored, "1", "64", "30"]
    assert json.loads(tvr("datasets", "--json", cwd=tmp_path).out)["msvd"]["preset"]["num_frames"] == 12


def test_one_data_set_says_which_files_it_needs_and_what_can_be_chosen(tmp_path: Path) -> None:
    answer = tvr("datasets", "msrvtt", cwd=tmp_path)
    assert answer.code == 0, answer.err
    for part in (
        "MSRVTT_JSFUSION_test.csv",
        "CLIP4Clip",
        "74 kB",
        "--data split=9k",
        "12 frames for heads, of 24 stored",
        "(9k or 7k or full): Train on 9,000 or 7,010 videos",
    ):
        assert part in answer.out
    described = json.loads(tvr("datasets", "msrvtt", "--json", cwd=tmp_path).out)
    assert described["settings"]["validation"] == "official"
    assert described["described"]["validation"]["allowed"] == "official or none"
    assert described["stored_frames"] == 24
    own = tvr("datasets", "folder", cwd=tmp_path).out
    assert "split, caption_id. Source: you write it\n" in own
    assert (
        "--data paragraphs=false (true or false): Join all captions of a video, in order, to one query.\n"
        in own
    )


def test_unknown_names_fail(tmp_path: Path) -> None:
    answer = tvr("datasets", "msrvt", cwd=tmp_path)
    assert answer.code == 2
    assert "Did you mean 'msrvtt'?" in answer.err


def test_a_check_says_what_was_found_and_what_is_missing(shared: Path, tmp_path: Path) -> None:
    for name in ("test_list.txt", "test_data.json"):
        shutil.copy(shared / "data" / "annotations" / "didemo" / name, tmp_path)
    (tmp_path / "[videos]").mkdir()
    (tmp_path / "[videos]" / "10015567@N08_3655084291_d8b58466fa.mp4").touch()
    before = tree(tmp_path)
    answer = tvr("datasets", "didemo", "--root", tmp_path, cwd=tmp_path)
    assert answer.code == 0, answer.err
    for part in (
        f"looked in {tmp_path} and below (3 files in 2 folders)",
        f"found    {tmp_path / 'test_list.txt'}",
        "missing  val_list.txt: 1,065 validation videos. Source: github.com/albanie",
        "1 of 1,004 videos (test_list.txt)",
        "no file for 1,003: 10052357@N03_7585070382_5762149bfc, ",
        "note     val: left out, val_data.json was not found",
        "needs no download (",
        f"next: tvr extract --dataset didemo --root {tmp_path} --model ",
    ):
        assert part in answer.out
    assert tree(tmp_path) == before


def test_a_check_as_json(shared: Path, tmp_path: Path) -> None:
    root = shared / "data" / "annotations" / "msvd"
    answer = tvr("datasets", "msvd", "--root", root, "--json", cwd=tmp_path)
    assert answer.code == 0, answer.err
    found = json.loads(answer.out)
    assert found["files"]["raw-captions.pkl"] == str(root / "raw-captions.pkl")
    assert found["dataset"]["splits"]["test"]["expected"] == 670
    assert len(found["dataset"]["splits"]["test"]["missing"]) == 670
    assert found["dataset"]["captions"] == 80_827
    assert found["error"] is None


@pytest.mark.parametrize("as_json", [False, True])
def test_a_check_of_a_folder_without_the_files_fails(tmp_path: Path, as_json: bool) -> None:
    answer = tvr("datasets", "vatex", "--root", tmp_path, *(["--json"] if as_json else []), cwd=tmp_path)
    assert answer.code == 3
    assert "vatex: no split is complete" in answer.err
    assert "Traceback" not in answer.err
    if as_json:
        assert "no split is complete" in json.loads(answer.out)["error"]
    else:
        assert "missing  vatex_training_v1.0.json or ref_captions.json" in answer.out


def test_settings_change_what_is_checked(shared: Path, tmp_path: Path) -> None:
    root = shared / "data" / "annotations" / "activitynet"
    answer = tvr("datasets", "activitynet", "--root", root, "--data", "validation=none", cwd=tmp_path)
    assert "0 of 10,009 videos (train.json)" in answer.out
    answer = tvr("datasets", "activitynet", "--root", root, "--data", "validations=none", cwd=tmp_path)
    assert answer.code == 2
    assert "Did you mean 'validation'?" in answer.err


def test_one_manifest_is_checked(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("path,caption\na.mp4,a cat\n")
    answer = tvr("datasets", "folder", "--root", "mine.csv", cwd=tmp_path)
    assert answer.code == 0, answer.err
    assert "0 of 1 video " in answer.out
    assert "1 of 1 video not found, the first is 'a'" in answer.out
