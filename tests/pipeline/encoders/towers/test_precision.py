"""Which number format is chosen where, and what it touches."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.profiler import ProfilerActivity, profile
from tvr.data.contracts.errors import UsageError
from tvr.pipeline.encoders import clip
from tvr.pipeline.encoders.towers.precision import arithmetic, cpu_multiplies_bfloat16

from ..conftest import Loader


def processor_flags() -> set[str]:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    found = [line.partition(":")[2].split() for line in lines if line.startswith("flags")]
    return set(found[0]) if found else set()


@pytest.mark.skipif(not processor_flags(), reason="the system does not list the processor's abilities")
def test_bfloat16_is_chosen_on_processors_that_multiply_it() -> None:
    expected = bool(processor_flags() & {"avx512_bf16", "amx_bf16"})
    assert cpu_multiplies_bfloat16() == expected
    assert arithmetic("cpu", "auto").precision == ("bf16" if expected else "fp32")


def test_float32_is_chosen_on_other_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False, raising=False)
    assert arithmetic("cpu", "auto").precision == "fp32"


def test_only_matrices_change_their_format(small: Loader) -> None:
    model = small("ViT-B-32", "bf16").texts.model
    formats = {name: parameter.dtype for name, parameter in model.named_parameters()}
    assert formats["visual.conv1.weight"] == torch.bfloat16
    assert formats["transformer.resblocks.0.attn.in_proj_weight"] == torch.bfloat16
    assert formats["transformer.resblocks.0.mlp.c_fc.weight"] == torch.bfloat16
    for name in ("token_embedding.weight", "ln_final.weight", "visual.ln_pre.weight", "positional_embedding"):
        assert formats[name] == torch.float32


def test_an_attention_layer_is_one_matrix_product_for_the_whole_batch(small: Loader) -> None:
    """Else torch multiplies position by position with a copy of the weight for each, slower than in float32."""
    encoder = small("ViT-B-32", "bf16")
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        encoder.encode_frames(np.zeros((2, 224, 224, 3), np.uint8))
        encoder.encode_texts(["a dog"])
    operations = {event.key for event in profiled.key_averages()}
    assert "aten::addmm" in operations
    assert "aten::bmm" not in operations


def test_auto_takes_the_gpu_where_there_is_one() -> None:
    assert arithmetic("auto", "fp32").device.type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_gpu_that_is_not_there_fails() -> None:
    with pytest.raises(UsageError, match="sees no CUDA device; use --device cpu"):
        arithmetic("cuda", "auto")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize(
    "family", ["small-ViT-B-32", "small-RN50-quickgelu", "small-coca_ViT-B-32", "small-EVA02-B-16"]
)
def test_a_gpu_gives_the_same_directions(family: str, precision: str) -> None:
    texts = ["a dog", "two men are slicing tomatoes on a board"]
    exact = clip.load(f"small-{family}", "random", device="cpu", precision="fp32")
    fast = clip.load(f"small-{family}", "random", device="cuda", precision=precision)
    assert fast.identity.weights_digest == exact.identity.weights_digest
    frames = np.random.default_rng(0).integers(0, 256, (3, 224, 224, 3), np.uint8)
    pairs = [(fast.encode_frames(frames), exact.encode_frames(frames))]
    pairs += [
        (a.words, b.words) for a, b in zip(fast.encode_texts(texts), exact.encode_texts(texts), strict=True)
    ]
    for found, expected in pairs:
        cosine = torch.cosine_similarity(torch.from_numpy(found), torch.from_numpy(expected))
        assert cosine.min() >= 0.999
    assert np.array_equal(fast.encode_frames(frames[:1]), fast.encode_frames(frames)[:1])


@pytest.mark.parametrize(
    "device",
    [
        "cpu",
        pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")),
    ],
)
def test_batches_under_way_at_the_same_time_do_not_mix(device: str) -> None:
    encoder = clip.load("small-ViT-B-32", "random", device=device, precision="fp32")
    encoder.frames.frames_per_pass = 2
    batches = [np.full((3, 224, 224, 3), shade, np.uint8) for shade in range(0, 250, 50)]
    begun = [encoder.begin_frames(batch, batch_size=2) for batch in batches]
    found = [finish().frames for finish in begun]
    for batch, features in zip(batches, found, strict=True):
        assert np.array_equal(features, encoder.encode_frames(batch))
    assert len({features.tobytes() for features in found}) == len(batches)
