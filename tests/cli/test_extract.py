"""``tvr extract`` as typed: what it says of time, patches and long captions."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from tvr.pipeline.video.sample_clip import write_sample

from ..fixtures.shell import tvr

LONG = "a grey picture of number three. " * 30


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    captions = ["a grey picture", LONG, "a grey picture"]
    for name in "abc":
        write_sample(folder / f"{name}.mp4")
    rows = [f'{name}.mp4,"{caption}"' for name, caption in zip("abc", captions, strict=True)]
    (folder / "captions.csv").write_text("\n".join(["path,caption", *rows]) + "\n")
    return folder


def command(archive: Path, *more: str) -> list[str]:
    return [
        "extract",
        *("--dataset", "folder", "--root", str(archive)),
        *("--model", "tvr-storyboard", "--decoding-processes", "1", "--store", "store", *more),
    ]


def test_says_where_the_time_went_and_what_was_cut(archive: Path, tmp_path: Path) -> None:
    said = tvr(*command(archive), cwd=tmp_path)
    assert said.code == 0
    assert "knows drawings only: tvr-storyboard was trained on the generated shapes" in said.err
    assert (said.out + said.err).count("knows drawings only") == 1, "once is enough"
    assert "% encoding, " in said.out
    assert "Faster:" not in said.out, "a second of work tells nothing of hours"
    assert "cut, as longer than the model reads: 1 caption; --text-policy sentences" in said.out
    assert "3 videos (3 ok) and 3 captions in store" in said.out
    again = json.loads(tvr(*command(archive, "--json"), cwd=tmp_path).out)
    assert again["bottleneck"] is None, "nothing was done"
    assert again["texts_truncated"] == 1
    assert again["caution"] == "knows drawings only"
    inspected = tvr("inspect", "--store", "store", cwd=tmp_path)
    assert "caution    knows drawings only: " in inspected.out
    as_json = json.loads(tvr("inspect", "--store", "store", "--json", cwd=tmp_path).out)
    assert as_json["caution"] == "knows drawings only"


def test_json_holds_stages_shares_and_bottleneck(archive: Path, tmp_path: Path) -> None:
    said = json.loads(tvr(*command(archive, "--json", "--text-policy", "sentences"), cwd=tmp_path).out)
    assert said["texts_truncated"] == 0
    assert said["stages"].keys() == {"decode", "resize", "encode", "write", "wait", "wall"}
    assert said["shares"].keys() == {"decode", "resize", "encode", "write", "wait"}
    assert said["bottleneck"] is None, "too short to tell"
    receipt = json.loads(next((tmp_path / "store").glob("video-*.json")).read_text())
    assert receipt["seconds"] == said["stages"]
    assert 0 < said["shares"]["encode"] + said["shares"]["wait"] <= 1.01


def test_dry_run_counts_patches(archive: Path, tmp_path: Path) -> None:
    plain, patches = (
        json.loads(tvr(*command(archive, "--dry-run", "--json", *more), cwd=tmp_path).out)
        for more in ((), ("--patches",))
    )
    assert not (tmp_path / "store").exists()
    assert plain["caution"] == "knows drawings only"
    assert (plain["videos_found"], plain["texts"], plain["sampled_videos"]) == (3, 3, 3)
    assert (plain["video_shards"], plain["text_shards"]) == (1, 1)
    assert plain["hours"] > 0
    assert plain["patch_gigabytes"] == 0
    assert patches["patch_gigabytes"] == pytest.approx(patches["gigabytes"] - plain["gigabytes"])
    assert patches["patch_gigabytes"] * 1e9 == plain["frames"] * 16 * 128 * 2


def test_patches_are_announced(archive: Path, tmp_path: Path) -> None:
    said = tvr(*command(archive, "--patches", "--patches-dtype", "int8"), cwd=tmp_path)
    assert said.code == 0
    assert re.search(r"patches take about .* frames: 16 projected a frame, 128 wide", said.err), said.err
    assert said.err.count("knows drawings only") == 1
    shown = tvr("inspect", "--store", "store", cwd=tmp_path).out
    assert "patches    16 of each frame, projected, 128 wide, int8" in shown
    assert "tokens: truncate" in shown
    refused = tvr(*command(archive), cwd=tmp_path)
    assert refused.code == 4
    assert "patches_dtype: the store has 'int8', this run would use None" in refused.err


def test_patches_fails_where_nobody_said_yes(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    from tvr.cli import extract
    from tvr.data.contracts.errors import UsageError
    from tvr.pipeline.estimate import Estimate

    large = Estimate(9, 0, 9, 1_000_000, 60.0, 50.2, 1.0, 1, 1, 9, 0)
    with pytest.raises(UsageError, match=r"would take 50 GB, more than 20\. Say --yes"):
        extract._check_size(large)
    monkeypatch.setattr(extract, "MAX_PATCH_GIGABYTES", 60)
    extract._check_size(large)


def test_patches_fails(archive: Path, tmp_path: Path) -> None:
    words = ["RN50" if word == "tvr-storyboard" else word for word in command(archive, "--patches")]
    said = tvr(*words, "--pretrained", "random", cwd=tmp_path)
    assert said.code == 2
    assert "RN50 has no patch features: its image tower, ModifiedResNet, has no patch tokens" in said.err
    assert not (tmp_path / "store").exists()
    assert tvr(*command(archive, "--patches", "--patches-dtype", "int4"), cwd=tmp_path).code == 2
    assert tvr(*command(archive, "--text-policy", "cut"), cwd=tmp_path).code == 2


@pytest.fixture(scope="module")
def stored_pixels(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store of stored pixels, as asked for."""
    folder = tmp_path_factory.mktemp("pixels")
    said = tvr(*command(archive, "--pixels", "stored"), cwd=folder)
    assert said.code == 0, said.err
    assert "pixels" not in said.err
    return folder


def test_pixels_are_said(archive: Path, stored_pixels: Path) -> None:
    assert "frames, stored pixels" in tvr("inspect", "--store", "store", cwd=stored_pixels).out
    again = tvr(*command(archive), cwd=stored_pixels)
    assert again.code == 0
    assert "in which they are stored" in again.err


def test_pixels_fails_with_a_store_of_others(archive: Path, stored_pixels: Path) -> None:
    refused = tvr(*command(archive, "--pixels", "square"), cwd=stored_pixels)
    assert refused.code == 4
    assert "pixels: the store has 'stored', this run would use 'square'" in refused.err


def test_a_store_that_was_renamed_is_named_before_a_second_one_is_begun(tmp_path: Path) -> None:
    """The command that made it makes another one of the same archive; the note stands before hours are spent."""
    (tmp_path / "cap").mkdir()
    write_sample(tmp_path / "cap" / "a.mp4")
    line = (
        "extract",
        "--dataset",
        "folder",
        "--root",
        "cap",
        "--model",
        "tvr-storyboard",
        "--num-frames",
        "2",
    )
    assert tvr(*line, cwd=tmp_path).code == 0
    usual = Path("tvr-workspace/features/folder-cap/tvr-storyboard-storyboard")
    before = tvr(*line, "--dry-run", cwd=tmp_path)
    assert f"\nfolder    {usual}\n" in before.out
    assert "note: folder-cap/" not in before.err
    assert tvr("stores", "folder-cap", "--rename", "mycap", cwd=tmp_path).code == 0
    write_sample(tmp_path / "cap" / "b.mp4")
    renamed = usual.with_name("mycap")
    note = (
        "note: folder-cap/mycap holds the same archive, made in the same way; to go on with it: "
        f"tvr extract --config {renamed}/extract.toml --store {renamed}\n"
    )
    dry = tvr(*line, "--dry-run", "--json", cwd=tmp_path)
    assert (json.loads(dry.out)["folder"], note in dry.err) == (str(usual), True)
    again = tvr(*shlex.split(note)[shlex.split(note).index("tvr") + 1 :], cwd=tmp_path)
    assert (again.code, "note: folder-cap/" in again.err) == (0, False), again.err
    assert "2 videos (2 ok)" in again.out
    for other in (("--num-frames", "3"), ("--limit", "1")):
        assert "note: folder-cap/" not in tvr(*line, *other, "--dry-run", cwd=tmp_path).err
    second = tvr(*line, cwd=tmp_path)
    assert note in second.err
    assert (tmp_path / usual).is_dir()


def two_models(archive: Path, *more: str) -> list[str]:
    """The shipped encoder, with its weights and with random ones."""
    where = ("--dataset", "folder", "--root", str(archive), "--decoding-processes", "1")
    return ["extract", *where, "--model", "tvr-storyboard", "--model", "tvr-storyboard", *more]


def test_several_models_make_a_store_each(archive: Path, tmp_path: Path) -> None:
    weights = ("--pretrained", "storyboard", "--pretrained", "random")
    said = tvr(*two_models(archive, *weights), cwd=tmp_path)
    assert said.code == 0, said.err
    assert "1 of 2: tvr-storyboard" in said.err and "2 of 2: tvr-storyboard" in said.err
    stores = sorted((tmp_path / "tvr-workspace" / "features").glob("*/*"))
    assert [store.name for store in stores] == ["tvr-storyboard-random", "tvr-storyboard-storyboard"]
    alone = tmp_path / "alone"
    alone.mkdir()
    one = [*two_models(archive)[:-2], *weights[:2]]
    assert tvr(*one, cwd=alone).code == 0
    (store,) = (alone / "tvr-workspace" / "features").glob("*/*")
    for file in store.glob("*.h5"):
        assert file.read_bytes() == (stores[1] / file.name).read_bytes(), "as if typed alone"
    (tmp_path / "models.toml").write_text(
        'model = ["tvr-storyboard", "tvr-storyboard"]\npretrained = ["storyboard", "random"]\n'
    )
    again = tvr(*two_models(archive)[:-4], "--config", "models.toml", "--max-failed", "0", cwd=tmp_path)
    assert (again.code, again.err.count(" of 2: ")) == (0, 2), again.err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ((), "--model names one encoder twice"),
        (("--pretrained", "random"), "as often as --model, or not at all: got 1 for 2 models"),
        (
            ("--pretrained", "random", "--pretrained", "storyboard", "--store", "s"),
            "--store names one store, and several --model make one each",
        ),
        (("--pretrained", "random", "--pretrained", "storyboard", "--watch"), "--watch never ends"),
    ],
)
def test_several_models_fail(archive: Path, tmp_path: Path, more: tuple[str, ...], said: str) -> None:
    answer = tvr(*two_models(archive, *more), cwd=tmp_path)
    assert answer.code == 2
    assert said in answer.err
    assert not (tmp_path / "tvr-workspace").exists(), "nothing is done then"
    alone = tvr(*command(archive, "--pretrained", "a", "--pretrained", "b"), cwd=tmp_path)
    assert "--pretrained goes with a --model of its own: got 2 for one model" in alone.err


def test_a_model_that_fails_is_told_by_the_exit_code(archive: Path, tmp_path: Path) -> None:
    """That of the first whose extraction did not end well; the others are made all the same."""
    (tmp_path / "clips").mkdir()
    shutil.copy(archive / "a.mp4", tmp_path / "clips")
    (tmp_path / "clips" / "broken.mp4").write_bytes(b"no video")
    weights = ("--pretrained", "storyboard", "--pretrained", "random", "--max-failed", "0")
    answer = tvr(*two_models(tmp_path / "clips", *weights), cwd=tmp_path)
    assert answer.code == 8, answer.err
    assert len(list((tmp_path / "tvr-workspace" / "features").glob("*/*/store.json"))) == 2
