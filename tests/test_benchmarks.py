"""What benchmarks build by themselves is what they say it is."""

import runpy
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.mark.parametrize("name", ["ViT-B-32", "ViT-B-16", "ViT-L-14", "ViT-H-14"])
def test_towers_of_the_gpu_benchmark_have_the_shapes_of_clip(name: str) -> None:
    benchmark = runpy.run_path(str(BENCHMARKS / "gpu_extract.py"))
    config = open_clip.get_model_config(name)
    assert config is not None
    with torch.device("meta"):
        expected: Any = open_clip.model._build_vision_tower(config["embed_dim"], config["vision_cfg"])
        tower = benchmark["Tower"](benchmark["MODELS"][name])
    found, wanted = (
        sorted(p.numel() for p in model.parameters() if p.ndim > 1) for model in (tower, expected)
    )
    assert found == wanted, "the matrices, on which the time goes"


def test_the_gpu_benchmark_fails_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    monkeypatch.setattr("sys.argv", ["gpu_extract.py"])
    with pytest.raises(SystemExit, match="needs an NVIDIA GPU, and torch sees none: nothing was measured"):
        runpy.run_path(str(BENCHMARKS / "gpu_extract.py"), run_name="__main__")
