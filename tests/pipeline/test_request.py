"""``request.json``: whatever a version of tvr wrote is read, and the same keys in the same order are written."""

import json
import os
from pathlib import Path

import pytest
from tvr.data.contracts.errors import StoreError
from tvr.pipeline.options import EncoderSpec, ExtractionOptions, Request
from tvr.pipeline.request import load_request, save_request
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
