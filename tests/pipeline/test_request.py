"""``request.json``: whatever a version of tvr wrote is read, and the same keys in the same order are written."""

import json
import os
import re
from pathlib import Path

import pytest
from tvr.data.contracts.errors import StoreError, UsageError
from tvr.pipeline.options import EncoderSpec, ExtractionOptions, Request
from tvr.pipeline.request import (
    NOTHING_NAMED,
    Named,
    encoder_of_store,
    load_request,
    request_for_files,
    request_to_repair,
    save_request,
)
from tvr.pipeline.sampling import Sampling
from tvr.pipeline.store.checksummed_json import read_checksummed, write_checksummed

KEYS = ["dataset", "root", "settings", "model", "pretrained", "device", "precision", "compiled"]


def options_for(root: Path, encoder: EncoderSpec) -> ExtractionOptions:
    request = Request("folder", root, {"captions": "all.csv"}, encoder)
    return ExtractionOptions(Sampling(num_frames=4), num_children=3, on_error="fail", request=request)


def test_what_was_asked_for_is_read_back(tmp_path: Path) -> None:
    encoder = EncoderSpec("ViT-B-32", "openai", "cuda:1", "bf16", compiled=True)
    options = options_for(tmp_path / "videos", encoder)
    save_request(tmp_path, options)
    request, read = load_request(tmp_path)
    assert request == read.request == options.request
    assert (read.sampling, read.num_children, read.on_error) == (options.sampling, None, "skip")


def test_a_root_that_is_not_utf8_is_read_back(tmp_path: Path) -> None:
    root = tmp_path / os.fsdecode(b"vid\xe9os")
    save_request(tmp_path, options_for(root, EncoderSpec("RN50")))
    assert load_request(tmp_path)[0].root == root


@pytest.mark.parametrize(
    ("encoder", "root", "is_kept"),
    [
        (EncoderSpec("RN50", "openai", "cpu", "fp32"), "videos", True),
        (EncoderSpec("RN50"), "elsewhere", False),
        (EncoderSpec("RN50", "openai=weights.pt"), "videos", False),
    ],
)
def test_of_a_finished_store_other_places_alone_are_written(
    encoder: EncoderSpec, root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_kept: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("weights.pt").touch()
    save_request(tmp_path, options_for(Path("videos"), EncoderSpec("RN50")))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.*")}
    save_request(tmp_path, options_for(Path(root), encoder), extends=False)
    assert (before == {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.*")}) is is_kept
    request_to_repair(tmp_path, NOTHING_NAMED)
    save_request(tmp_path, options_for(Path("videos"), EncoderSpec("RN50", device="cpu")))
    assert load_request(tmp_path)[0].encoder.device == "cpu", "what is extracted is always kept"


def test_who_takes_over_somebody_elses_finished_store_is_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "others"))
    save_request(tmp_path, options_for(tmp_path / "videos", EncoderSpec("RN50")))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "own"))
    save_request(tmp_path, options_for(tmp_path / "videos", EncoderSpec("RN50")), extends=False)
    request_to_repair(tmp_path, NOTHING_NAMED)


def test_the_encoder_stands_among_the_other_keys(tmp_path: Path) -> None:
    save_request(tmp_path, options_for(tmp_path, EncoderSpec("RN50", device="cpu")))
    record = json.loads((tmp_path / "request.json").read_text())["request"]
    assert list(record) == KEYS
    values = "folder", str(tmp_path), {"captions": "all.csv"}, "RN50", None, "cpu", "auto", False
    assert tuple(record.values()) == values


def test_paths_hold_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("weights.pt").touch()
    save_request(tmp_path, options_for(Path("videos"), EncoderSpec("ViT-B-32", "openai=weights.pt")))
    request, _ = load_request(tmp_path)
    assert request.root == tmp_path / "videos"
    assert request.encoder.pretrained == f"openai={tmp_path / 'weights.pt'}"
    assert EncoderSpec("ViT-B-32", "openai").for_any_folder().pretrained == "openai"
    model = EncoderSpec("transformers:owner/name")
    assert model.for_any_folder() == model
    Path("owner/name").mkdir(parents=True)
    assert model.for_any_folder().model == f"transformers:{tmp_path}/owner/name"
    assert EncoderSpec("hf-hub:owner/name").for_any_folder().model == "hf-hub:owner/name"


def test_a_request_from_before_towers_were_compiled(tmp_path: Path) -> None:
    save_request(tmp_path, options_for(tmp_path, EncoderSpec("RN50")))
    record = read_checksummed(tmp_path / "request.json")
    del record["request"]["compiled"]
    write_checksummed(tmp_path / "request.json", record)
    assert load_request(tmp_path)[0].encoder == EncoderSpec("RN50")


@pytest.mark.parametrize("missing", ["dataset", "root", "settings", "model"])
def test_load_fails_without_a_key(tmp_path: Path, missing: str) -> None:
    save_request(tmp_path, options_for(tmp_path, EncoderSpec("RN50")))
    record = read_checksummed(tmp_path / "request.json")
    del record["request"][missing]
    write_checksummed(tmp_path / "request.json", record)
    with pytest.raises(StoreError, match=f"cannot be used .*{missing}"):
        load_request(tmp_path)


def test_nothing_is_written_of_an_extraction_that_was_not_asked_for_by_name(tmp_path: Path) -> None:
    save_request(tmp_path, ExtractionOptions(Sampling(num_frames=4)))
    with pytest.raises(StoreError, match=r"request\.json is missing"):
        load_request(tmp_path)


def saved_by_somebody_else(folder: Path, encoder: EncoderSpec, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store's folder whose request another user has made."""
    with monkeypatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder / "of another user"))
        save_request(folder, options_for(folder / "videos", encoder))
    return folder


def test_of_an_own_request_nothing_has_to_be_named(tmp_path: Path) -> None:
    (tmp_path / "weights.pt").touch()
    encoder = EncoderSpec("ViT-B-32", f"openai={tmp_path / 'weights.pt'}")
    save_request(tmp_path, options_for(tmp_path / "videos", encoder))
    assert request_to_repair(tmp_path, NOTHING_NAMED)[0].encoder == encoder
    identity = {"model": "ViT-B-32", "pretrained": "weights.pt", "precision": "bf16"}
    found = encoder_of_store(tmp_path, identity, NOTHING_NAMED)
    assert found == EncoderSpec("ViT-B-32", encoder.pretrained, precision="bf16")


@pytest.mark.parametrize(
    ("model", "pretrained", "left_open"),
    [
        ("RN50", None, ""),
        ("RN50", "random", ""),
        ("ViT-B/32", "laion2b_s34b_b79k", ""),
        ("ViT-B-32", "laion2b-s34b-b79k", ""),
        ("tvr-storyboard", "storyboard", ""),
        ("RN50", "evil.pt", " --pretrained evil.pt"),
        ("RN50", "openai=/tmp/it is; evil.pt", " --pretrained 'openai=/tmp/it is; evil.pt'"),
        ("hf-hub:some/one", None, " --model hf-hub:some/one"),
        ("hf-hub:some/one", "open_clip_pytorch_model.bin", " --model hf-hub:some/one"),
        ("hf-hub:some/one", "evil.bin", " --model hf-hub:some/one --pretrained evil.bin"),
        ("hf-hub:some/one", "random", " --model hf-hub:some/one"),
        ("transformers:some/one", "model.safetensors", " --model transformers:some/one"),
        ("transformers:/evil/folder", None, " --model transformers:/evil/folder"),
    ],
)
def test_of_another_users_request_only_published_names_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, pretrained: str | None, left_open: str
) -> None:
    encoder = EncoderSpec(model, pretrained)
    folder = saved_by_somebody_else(tmp_path, encoder, monkeypatch)
    place = f" --root {tmp_path / 'videos'} --data captions=all.csv"
    with pytest.raises(UsageError) as caught:
        request_to_repair(folder, NOTHING_NAMED)
    assert str(caught.value).endswith(f"type: tvr verify --repair --store {folder}{place}{left_open}")
    with pytest.raises(UsageError) as caught:
        request_for_files(folder, NOTHING_NAMED, "", "inspect --untrusted")
    assert str(caught.value).endswith(f"type: tvr inspect --untrusted --store {folder}{place}")
    identity = {"model": model, "pretrained": pretrained, "precision": "fp32"}
    if left_open:
        with pytest.raises(
            UsageError, match=f"type: tvr search --store {re.escape(str(folder) + left_open)}$"
        ):
            encoder_of_store(folder, identity, NOTHING_NAMED)
    else:
        assert encoder_of_store(folder, identity, NOTHING_NAMED).model == model


def test_of_another_users_request_what_is_named_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = saved_by_somebody_else(tmp_path, EncoderSpec("hf-hub:some/one", "evil.bin"), monkeypatch)
    own = Path("own")
    named = Named(own, {"captions": "mine.csv"}, "hf-hub:some/two", "good.bin", "cpu")
    request, options = request_to_repair(folder, named)
    assert request == Request(
        "folder", own, {"captions": "mine.csv"}, EncoderSpec("hf-hub:some/two", "good.bin", "cpu")
    )
    assert options.sampling == Sampling(num_frames=4)
    assert request_for_files(folder, Named(own, {"captions": "mine.csv"}), "", "inspect")[0].root == own
    identity = {"model": "hf-hub:some/one", "pretrained": "evil.bin", "precision": "fp32"}
    assert encoder_of_store(folder, identity, named).pretrained == "good.bin"


def test_a_changed_request_is_not_ones_own_any_more(tmp_path: Path) -> None:
    save_request(tmp_path, options_for(tmp_path / "videos", EncoderSpec("RN50")))
    record = read_checksummed(tmp_path / "request.json")
    record["request"]["pretrained"] = "evil.pt"
    write_checksummed(tmp_path / "request.json", record)
    with pytest.raises(UsageError, match=r"--pretrained evil\.pt"):
        request_to_repair(tmp_path, NOTHING_NAMED)


def test_a_home_that_cannot_be_written_forgets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    save_request(tmp_path, options_for(tmp_path / "videos", EncoderSpec("RN50")))
    with pytest.raises(UsageError, match="was not made by you on this machine"):
        request_to_repair(tmp_path, NOTHING_NAMED)
