"""The small models, known to open_clip for the whole run; and encoders of them, each made once."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import pytest
from tvr.pipeline.encoders import clip
from tvr.pipeline.encoders.towers.frozen import FrozenEncoder

from ...fixtures.model_families import register_families, small_name

Loader = Callable[..., FrozenEncoder]


@pytest.fixture(scope="session", autouse=True)
def families(tmp_path_factory: pytest.TempPathFactory) -> None:
    register_families(tmp_path_factory.mktemp("model_configs"))


@pytest.fixture(scope="session")
def small(families: None) -> Loader:
    """A small model with random weights, in passes of two frames."""

    @lru_cache(maxsize=4)
    def load(family: str, precision: str = "fp32") -> FrozenEncoder:
        encoder = clip.load(small_name(family), "random", device="cpu", precision=precision)  # type: ignore[arg-type]
        encoder.frames.frames_per_pass = 2
        return encoder

    return load


@pytest.fixture
def checkpoint(tmp_path: Path, small: Loader) -> Path:
    """A safetensors file with the weights of the small ViT-B-32."""
    from safetensors.torch import save_file

    path = tmp_path / "trained.safetensors"
    save_file(small("ViT-B-32").texts.model.state_dict(), path)
    return path
