"""MP4 files: what decoders read back, and the same bytes every time."""

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import numpy as np
import pytest
from av.error import ExternalError
from tvr.data.rendering.film import Frames, film, mp4_bytes
from tvr.data.rendering.twins import entries


@pytest.fixture(scope="module")
def frames() -> Frames:
    return film(entries(0, "train", 1)[0].story, 96, 8)


def noise_db(decoded: np.ndarray, frames: Frames) -> float:
    """Peak signal to noise ratio in decibels."""
    return float(10 * np.log10(255**2 / np.mean((decoded.astype(float) - frames) ** 2)))


def test_pyav_reads_every_frame(frames: Frames) -> None:
    with av.open(io.BytesIO(mp4_bytes(frames, 8)), "r") as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.average_rate, stream.width, stream.height) == (
            "h264",
            8,
            96,
            96,
        )
        read = list(container.decode(stream))
    decoded = np.stack([frame.to_ndarray(format="rgb24") for frame in read])
    assert decoded.shape == frames.shape
    # Halved colour resolution at sharp edges is most of the noise.
    assert noise_db(decoded, frames) > 30
    assert [frame.time for frame in read] == [i / 8 for i in range(len(frames))]


def test_decord_reads_the_same(frames: Frames, tmp_path: Path) -> None:
    decord = pytest.importorskip("decord", reason="decord has no wheel for this machine")
    path = tmp_path / "video.mp4"
    path.write_bytes(mp4_bytes(frames, 8))
    reader = decord.VideoReader(str(path))
    assert reader.get_avg_fps() == 8
    assert noise_db(reader[:].asnumpy(), frames) > 30


def test_same_bytes_every_time_in_every_thread() -> None:
    """Slower presets of x264 fail this on processors with AVX-512 for one film in ten."""
    films = [film(entry.story, 96, 8) for entry in entries(5, "train", 24)]
    once = [mp4_bytes(frames, 8) for frames in films]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            assert list(pool.map(lambda frames: mp4_bytes(frames, 8), films)) == once


def test_mp4_fails_for_odd_sides(frames: Frames) -> None:
    with pytest.raises(ExternalError):
        mp4_bytes(frames[:, :95, :95], 8)
