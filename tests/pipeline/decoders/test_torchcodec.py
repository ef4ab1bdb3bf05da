"""What is only torchcodec's. ``test_every_decoder.py`` holds it to the contract wherever it works."""

import sys
from pathlib import Path
from types import ModuleType

import pytest
from tvr.data.contracts.errors import DecodeError, UsageError
from tvr.pipeline.decoders import torchcodec
from tvr.pipeline.decoding.pool import DecoderPool, DecodeTask
from tvr.pipeline.preprocessing import Preprocessing
from tvr.pipeline.sampling import Sampling

from ...fixtures.mp4 import Movie, damage, write_movie

SIZE = Preprocessing(32, 32, "squash", "bilinear", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def test_a_library_that_imports_and_cannot_decode_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As where no FFmpeg library is found: torchcodec is there, and its first use raises."""

    class VideoDecoder:
        def __init__(self, *_: object, **__: object) -> None:
            raise RuntimeError("Could not load libtorchcodec. Likely causes: ...")

    package, decoders = ModuleType("torchcodec"), ModuleType("torchcodec.decoders")
    decoders.VideoDecoder = VideoDecoder  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchcodec", package)
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", decoders)
    monkeypatch.setattr(torchcodec, "installed", lambda: True)
    assert "Could not load libtorchcodec" in torchcodec.available()
    with pytest.raises(DecodeError, match=r"torchcodec: cannot be used here .* Could not load libtorchcodec"):
        torchcodec.Decoder().probe(write_movie(tmp_path / "movie.mp4", Movie(num_frames=5)))


def test_asking_for_it_where_it_does_not_work_fails() -> None:
    if not torchcodec.available():
        pytest.skip("torchcodec works here")
    with pytest.raises(UsageError, match=r"decoder torchcodec: .*Leave the option out"):
        DecoderPool(1, "torchcodec")


@pytest.mark.skipif(bool(torchcodec.available()), reason="torchcodec does not work here")
def test_a_damaged_file_is_left_to_pyav(tmp_path: Path) -> None:
    clean = write_movie(tmp_path / "clean.mp4")
    broken = damage(write_movie(tmp_path / "broken.mp4"), 0.5, 200)
    with DecoderPool(1, "torchcodec") as pool:
        tasks = [DecodeTask(path.stem, path, Sampling("uniform", 12), SIZE) for path in (clean, broken)]
        first, second = pool.decode(tasks)
    assert (first.status, first.decoder) == ("ok", "torchcodec")
    assert second.decoder in ("pyav", "")
    assert second.status in ("partial", "failed")
