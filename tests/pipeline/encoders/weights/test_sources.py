"""What ``--model`` and ``--pretrained`` are taken to mean, and what is said where they mean nothing."""

import json
import os
import socket
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file
from tvr.data.contracts.errors import UsageError, WeightsError
from tvr.pipeline.encoders import clip
from tvr.pipeline.encoders.clip import known_models
from tvr.pipeline.encoders.towers.frozen import weights_digest
from tvr.pipeline.encoders.weights import downloads
from tvr.pipeline.encoders.weights.build import build_network
from tvr.pipeline.encoders.weights.sources import find_source
from tvr.pipeline.encoders.weights.tags import training_of
from tvr.pipeline.options import EncoderSpec

from ..conftest import Loader

OPENAI = "timm/vit_base_patch32_clip_224.openai"
MAX_SECONDS = 30
"""Of what ends at once, on a machine however busy."""


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub is a port at which nobody listens."""
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Something that is a file."""
    path = tmp_path / "weights.safetensors"
    save_file({"weight": torch.zeros(1)}, path)
    return path


def test_every_pair_of_open_clip_is_known() -> None:
    models = known_models()
    assert all(tag in models[model] for model, tag in open_clip.list_pretrained())
    assert models["tvr-storyboard"] == ("storyboard",)


@pytest.mark.parametrize(("model", "tag"), open_clip.list_pretrained())
def test_a_tags_file_runs_as_the_tag_was_trained(model: str, tag: str, file: Path) -> None:
    record: dict[str, Any] = open_clip.get_pretrained_cfg(model, tag)
    config: dict[str, Any] = open_clip.get_model_config(model) or {}
    training = find_source(model, f"{tag}={file}", None).training
    assert training is not None
    assert training.quick_gelu == (record.get("quick_gelu", False) or config.get("quick_gelu", False))
    assert training.preprocessing == {
        key: record[key] for key in ("mean", "std", "interpolation", "resize_mode")
    }


def test_openai_weights_run_with_quick_gelu_under_either_name(tmp_path: Path, small: Loader) -> None:
    path = tmp_path / "openai.safetensors"
    model = open_clip.create_model("RN50", load_weights=False)
    save_file(model.state_dict(), path)
    encoder = clip.load("RN50", f"openai={path}", device="cpu", precision="fp32")
    assert encoder.identity.activation == "quick_gelu"
    assert encoder.identity.pretrained == "openai.safetensors"
    named = clip.load("RN50-quickgelu", str(path), device="cpu", precision="fp32")
    assert replace(named.identity, model="RN50") == encoder.identity
    (one,), (other,) = (e.encode_texts(["a dog"]) for e in (encoder, named))
    assert np.array_equal(one.words, other.words)


def test_a_file_of_the_hubs_cache_is_recognised_as_its_tags(tmp_path: Path) -> None:
    for folder in (
        "models--timm--vit_base_patch32_clip_224.openai/snapshots/1",
        "vit_base_patch32_clip_224.openai",
    ):
        path = tmp_path / folder / "open_clip_model.safetensors"
        path.parent.mkdir(parents=True)
        save_file({"weight": torch.zeros(1)}, path)
        assert find_source("ViT-B-32", str(path), None).training == training_of("ViT-B-32", "openai")


def test_a_file_whose_training_is_unknown_warns(file: Path) -> None:
    with pytest.warns(UserWarning, match=r"is run with GELU .*--pretrained openai=weights.safetensors"):
        source = find_source("ViT-B-32", str(file), None)
    assert source.training is not None
    assert not source.training.quick_gelu


def test_a_file_of_a_model_whose_tags_agree_does_not_warn(file: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        source = find_source("PE-Core-B-16", str(file), None)
    assert source.training == training_of("PE-Core-B-16", "meta")


def test_an_unknown_model_fails() -> None:
    with pytest.raises(
        UsageError,
        match=r"unknown model 'ViTB32'. Did you mean 'ViT-B-32'\? Nearest of \d+: ViT-B-32, ViT-S-32,",
    ):
        clip.load("ViTB32", "openai")


def test_an_unknown_tag_fails() -> None:
    with pytest.raises(
        UsageError, match=r"unknown pretrained tag of RN50 'opnai'. Did you mean 'openai'\?.*yfcc15m"
    ):
        clip.load("RN50", "opnai")


def test_an_unknown_tag_of_the_embedded_model_fails() -> None:
    with pytest.raises(
        UsageError, match=r"unknown pretrained tag of tvr-storyboard 'openai'. Known: storyboard\."
    ):
        clip.load("tvr-storyboard", "openai")


def test_a_tag_of_the_other_activation_fails() -> None:
    with pytest.raises(UsageError, match=r"trained without QuickGELU: use --model ViT-B-32\."):
        clip.load("ViT-B-32-quickgelu", "laion2b_s34b_b79k")


def test_a_model_without_published_weights_fails() -> None:
    with pytest.raises(UsageError, match="coca_base has no published weights"):
        clip.load("coca_base")


def test_a_missing_checkpoint_fails() -> None:
    with pytest.raises(WeightsError, match=r"--pretrained no/such/file.pt: there is no such file"):
        clip.load("ViT-B-32", "no/such/file.pt")


def test_an_unknown_device_or_precision_fails() -> None:
    with pytest.raises(UsageError, match="device must be"):
        clip.load("ViT-B-32", "random", device="gpu")
    with pytest.raises(UsageError, match="--precision must be one of auto, fp32, bf16, fp16, got 'int8'"):
        clip.load("ViT-B-32", "random", precision="int8")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="fp16 needs a GPU"):
        clip.load("ViT-B-32", "random", device="cpu", precision="fp16")


@pytest.mark.usefixtures("nowhere")
def test_missing_weights_offline_fail_at_once_and_say_what_to_do(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(WeightsError) as caught:
        clip.load("ViT-B-32", "openai", cache_dir=tmp_path)
    assert time.monotonic() - started < MAX_SECONDS
    message = str(caught.value)
    for needed in (
        f"hf download {OPENAI}",
        str(tmp_path),
        "--pretrained openai=/path/to/open_clip_model.safetensors",
    ):
        assert needed in message
    wrong, to_bring = message.split("\n")
    assert wrong.startswith("the weights of ViT-B-32 (openai) are not on this machine: ")
    assert to_bring.startswith("to bring them: ")
    assert len(to_bring) - len(str(tmp_path)) < 160, "two lines of a terminal, and where the cache is"


@pytest.mark.usefixtures("nowhere")
def test_what_missing_weights_would_cost_is_measured_without_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    encoder, missing = EncoderSpec("RN50", "yfcc15m", device="cpu").load_or_stand_in()
    assert missing.startswith("the weights of RN50 (yfcc15m) are not on this machine: ")
    identity = encoder.identity
    assert (identity.pretrained, identity.random_weights, identity.dim) == ("yfcc15m", False, 1024)
    _, missing = EncoderSpec("tvr-storyboard", device="cpu").load_or_stand_in()
    assert missing == ""
    with pytest.raises(WeightsError, match="there is no such file"):
        EncoderSpec("RN50", "/nowhere/file.pt", device="cpu").load_or_stand_in()


@pytest.mark.usefixtures("nowhere")
def test_a_missing_repository_offline_fails(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="hf download timm/ViT-B-16-SigLIP"):
        clip.load("hf-hub:timm/ViT-B-16-SigLIP", cache_dir=tmp_path)


def test_a_hub_that_accepts_and_says_nothing_fails_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "PATIENCE_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        started = time.monotonic()
        with pytest.raises(WeightsError, match="does not answer"):
            clip.load("ViT-B-32", "openai", cache_dir=tmp_path)
    assert time.monotonic() - started < MAX_SECONDS


def test_offline_mode_asks_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match="HF_HUB_OFFLINE is set"):
        clip.load("ViT-B-32", "openai", cache_dir=tmp_path)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A hub on this machine that serves the files of a folder, as ``owner/name/file``."""
    folder = tmp_path / "hub"

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            self._answer()

        def _answer(self) -> None:
            path = folder / self.path.strip("/").replace("/resolve/main/", "/")
            self.send_response(200 if path.is_file() else 404)
            if not path.is_file():
                self.send_header("X-Error-Code", "EntryNotFound")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            content = path.read_bytes()
            self.send_header("ETag", f'"{len(content)}"')
            self.send_header("X-Repo-Commit", "c" * 40)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    template = f"{endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    yield folder
    server.shutdown()
    server.server_close()


def test_weights_are_downloaded_once(hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = hub / "timm/resnet50_clip.openai"
    folder.mkdir(parents=True)
    model = open_clip.create_model("RN50", load_weights=False)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    cache = tmp_path / "cache"
    first = clip.load("RN50", "openai", device="cpu", precision="fp32", cache_dir=cache)
    assert (first.identity.pretrained, first.identity.activation) == ("openai", "quick_gelu")
    assert first.identity.weights_digest == weights_digest(model.state_dict())
    assert not first.identity.random_weights
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    again = clip.load("RN50", "openai", device="cpu", precision="fp32", cache_dir=cache)
    assert again.identity == first.identity


def test_a_repository_is_built_as_its_configuration_says(hub: Path, tmp_path: Path, small: Loader) -> None:
    folder = hub / "someone/tiny-clip"
    folder.mkdir(parents=True)
    trained = small("ViT-B-32-quickgelu")
    config = open_clip.get_model_config("small-ViT-B-32-quickgelu")
    preprocessing = {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25], "resize_mode": "squash"}
    (folder / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": config, "preprocess_cfg": preprocessing})
    )
    torch.save(trained.texts.model.state_dict(), folder / "open_clip_pytorch_model.bin")
    encoder = clip.load(
        "hf-hub:someone/tiny-clip", device="cpu", precision="fp32", cache_dir=tmp_path / "cache"
    )
    identity = encoder.identity
    assert (identity.model, identity.pretrained) == (
        "hf-hub:someone/tiny-clip",
        "open_clip_pytorch_model.bin",
    )
    assert identity.weights_digest == trained.identity.weights_digest
    assert identity.activation == "quick_gelu"
    assert (identity.preprocessing.resize_mode, identity.preprocessing.mean) == ("squash", (0.5, 0.5, 0.5))
    assert str(tmp_path) not in repr(identity)
    reopened = clip.load(
        identity.model, identity.pretrained, device="cpu", precision="fp32", cache_dir=tmp_path / "cache"
    )
    assert reopened.identity == identity


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("{", "Expecting property name"),
        ("[" * 100_000, "maximum recursion depth"),
        ("[]", "no attribute"),
        ("{}", "it has no embed_dim"),
        ('{"model_cfg": {"embed_dim": "8", "vision_cfg": {}, "text_cfg": {}}}', "it has no embed_dim"),
        (
            '{"model_cfg": {"embed_dim": 8, "vision_cfg": {"layers": "many"}, "text_cfg": {}}}',
            "as an integer",
        ),
        ('{"model_cfg": {"embed_dim": 8, "vision_cfg": {}, "text_cfg": {}, "evil": 1}}', "argument 'evil'"),
    ],
)
def test_a_repository_whose_configuration_is_none_fails(
    hub: Path, tmp_path: Path, config: str, said: str
) -> None:
    folder = hub / "someone/odd"
    folder.mkdir(parents=True)
    (folder / "open_clip_config.json").write_text(config)
    with pytest.raises(
        WeightsError, match=f"of hf-hub:someone/odd does not describe a model of open_clip: .*{said}"
    ):
        clip.load("hf-hub:someone/odd", "random", device="cpu", cache_dir=tmp_path / "cache")


@pytest.mark.parametrize(
    ("preprocessing", "said"),
    [
        (
            {"resize_mode": "y"},
            "'?shortest'?, '?longest'?, '?squash",
        ),  # the checker of tests may say it first
        ({"std": [0.0, 0.0, 0.0]}, "std above 0 in each channel"),
    ],
)
def test_a_repository_whose_preprocessing_is_none_fails(
    hub: Path, tmp_path: Path, preprocessing: dict[str, object], said: str
) -> None:
    """It is told of the file that says it, not as an option that nobody typed."""
    folder = hub / "someone/odd"
    folder.mkdir(parents=True)
    config = open_clip.get_model_config("small-ViT-B-32")
    assert config is not None
    (folder / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": config, "preprocess_cfg": preprocessing})
    )
    with pytest.raises(
        WeightsError, match=f"(?s)open_clip_config.json of hf-hub:someone/odd does not .*{said}"
    ):
        clip.load("hf-hub:someone/odd", "random", device="cpu", cache_dir=tmp_path / "cache")


def test_a_repository_that_would_run_its_own_tokenizer_fails(hub: Path, tmp_path: Path) -> None:
    folder = hub / "someone/coded"
    folder.mkdir(parents=True)
    config = open_clip.get_model_config("small-ViT-B-32")
    assert config is not None
    config["text_cfg"] |= {
        "hf_tokenizer_name": "someone/coded",
        "tokenizer_kwargs": {"clean": "lower", "trust_remote_code": True},
    }
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}))
    with pytest.raises(
        WeightsError, match=r"hf-hub:someone/coded sets trust_remote_code of its tokenizer; only"
    ):
        clip.load("hf-hub:someone/coded", "random", device="cpu", cache_dir=tmp_path / "cache")


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("vision_cfg", {"timm_model_name": "local-dir:elsewhere"}),
        ("vision_cfg", {"timm_model_name": "hf-hub:another/one"}),
        ("text_cfg", {"hf_tokenizer_name": "./elsewhere"}),
        ("text_cfg", {"hf_model_name": "/elsewhere"}),
        ("text_cfg", {"hf_model_name": "tests"}),
    ],
)
def test_a_repository_that_sends_elsewhere_fails(
    hub: Path, tmp_path: Path, part: str, changes: dict[str, str]
) -> None:
    folder = hub / "someone/leading"
    folder.mkdir(parents=True)
    config = open_clip.get_model_config("small-ViT-B-32")
    assert config is not None
    config[part] |= changes
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}))
    with pytest.raises(
        WeightsError, match=r"hf-hub:someone/leading sends to '.*another place than that repo"
    ):
        clip.load("hf-hub:someone/leading", "random", device="cpu", cache_dir=tmp_path / "cache")


def test_a_checkpoint_gives_back_its_weights(checkpoint: Path, small: Loader) -> None:
    encoder = clip.load("small-ViT-B-32", str(checkpoint), device="cpu", precision="fp32")
    assert encoder.identity.weights_digest == small("ViT-B-32").identity.weights_digest
    assert not encoder.identity.random_weights
    assert encoder.identity.pretrained == "trained.safetensors"
    assert str(checkpoint.parent) not in repr(encoder.identity)


def test_a_training_checkpoint_is_read(tmp_path: Path, small: Loader) -> None:
    path = tmp_path / "epoch_3.pt"
    weights = small("ViT-B-32").texts.model.state_dict()
    torch.save(
        {"epoch": 3, "state_dict": {f"module.{name}": tensor for name, tensor in weights.items()}}, path
    )
    encoder = clip.load("small-ViT-B-32", str(path), device="cpu", precision="fp32")
    assert encoder.identity.weights_digest == small("ViT-B-32").identity.weights_digest


def test_a_checkpoint_of_another_model_fails(checkpoint: Path) -> None:
    with pytest.raises(WeightsError, match=r"trained.safetensors does not hold weights of RN50: .*--model"):
        clip.load("RN50", f"openai={checkpoint}")


def test_a_checkpoint_of_another_picture_size_fails(checkpoint: Path) -> None:
    weights = load_file(checkpoint)
    weights["visual.positional_embedding"] = torch.zeros(82, 768)
    larger = checkpoint.with_name("larger.safetensors")
    save_file(weights, larger)
    with pytest.raises(
        WeightsError, match=r"visual.positional_embedding has shape \[82, 768\] there and \[50, 768\]"
    ):
        clip.load("small-ViT-B-32", str(larger))
    torch.save(weights, larger.with_suffix(".pt"))
    with pytest.raises(
        WeightsError, match=r"visual.positional_embedding has shape \[82, 768\] there and \[50, 768\]"
    ):
        clip.load("small-ViT-B-32", str(larger.with_suffix(".pt")))


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pt", "weights.bin"])
@pytest.mark.parametrize(
    "content", [b"", b"not a checkpoint", os.urandom(4096)], ids=["empty", "text", "noise"]
)
def test_a_file_that_is_no_checkpoint_fails(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"does not hold weights of small-PE-Core-T-16-384"):
        clip.load("small-PE-Core-T-16-384", str(path))


def test_a_truncated_checkpoint_fails(checkpoint: Path) -> None:
    cut = checkpoint.with_name("cut.safetensors")
    cut.write_bytes(checkpoint.read_bytes()[:-1000])
    with pytest.raises(WeightsError, match="does not hold weights"):
        clip.load("small-ViT-B-32", str(cut))


def test_random_weights_are_the_same_for_the_same_seed() -> None:
    def digest(seed: int) -> str:
        source = find_source("small-PE-Core-T-16-384", "random", None)
        return weights_digest(build_network(source, seed, None).state_dict())

    torch.manual_seed(11)
    before = torch.rand(1)
    torch.manual_seed(11)
    first = digest(0)
    assert torch.equal(torch.rand(1), before), "building a model must not move the caller's random numbers"
    assert digest(0) == first
    assert digest(1) != first


def test_a_digest_names_weights_not_their_order() -> None:
    weights = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.zeros(2, dtype=torch.int64)}
    digest = weights_digest(weights)
    assert weights_digest(dict(reversed(weights.items()))) == digest
    assert weights_digest({**weights, "a": weights["a"].t().contiguous().t()}) == digest
    for other in (
        {**weights, "a": weights["a"].reshape(3, 2)},
        {**weights, "a": weights["a"] + 1e-6},
        {"a": weights["a"], "c": weights["b"]},
        {**weights, "b": torch.zeros(2, dtype=torch.int32)},
        {**weights, "a": weights["a"].bfloat16()},
    ):
        assert weights_digest(other) != digest
