"""123 small files that decoders stumble over: what PyAV decodes is decoded, the rest fails with a reason."""

import csv
import logging
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest
from tvr.pipeline.decoding.pool import DecodedVideo, DecoderPool, DecodeTask
from tvr.pipeline.preprocessing import Preprocessing, resize
from tvr.pipeline.sampling import Sampling

pytestmark = pytest.mark.slow

PREPROCESSING = Preprocessing(64, 64, "squash", "bilinear", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
REASONS = (
    "encrypted",
    "no decoder for the codec",
    "no sound frame",
    "no video stream",
    "not a readable video file",
    "holds no frames",
)
# One damaged unit near its end; PyAV alone stops there.
PARTIAL = "androidx/sample_with_invalid_nalu.mp4"
# PyAV gives eight frames of grey smear after having said of each that it is damaged.
SMEARED = "mp4parse/mp4parse_capi__no_timescale.mp4"


@dataclass(frozen=True)
class Expectation:
    path: Path
    name: str
    decodes: bool


@pytest.fixture(scope="module")
def zoo(shared: Path) -> list[Expectation]:
    folder = shared / "data/codec_zoo"
    with (folder / "expectations.csv").open() as table:
        rows = list(csv.DictReader(table))
    return [
        Expectation(
            folder / row["file"], row["file"], not row["pyav_error"] and int(row["pyav_frames"] or 0) > 0
        )
        for row in rows
    ]


@pytest.fixture(scope="module", params=["decord", "pyav"])
def decoded(zoo: list[Expectation], request: pytest.FixtureRequest) -> dict[str, DecodedVideo]:
    tasks = [DecodeTask(each.name, each.path, Sampling("uniform", 12), PREPROCESSING) for each in zoo]
    with DecoderPool(2, request.param) as pool:
        return {video.id: video for video in pool.decode(tasks)}


def shown_seconds(path: Path) -> np.ndarray:
    """The times of all frames by plain decoding; frames come in display order, their times sorted."""
    logging.getLogger("libav").setLevel(logging.CRITICAL)
    with av.open(str(path)) as container:
        stream = container.streams.best("video")
        assert isinstance(stream, av.VideoStream)
        frames = list(container.decode(stream))
    pts = np.array(sorted(frame.pts or 0 for frame in frames))
    assert frames[0].time_base is not None
    return (pts - pts[0]) * float(frames[0].time_base)


def test_every_status_is_as_expected(zoo: list[Expectation], decoded: dict[str, DecodedVideo]) -> None:
    assert len(zoo) == len(decoded) == 123
    for each in zoo:
        video = decoded[each.name]
        if each.name == PARTIAL:
            assert video.status == "partial", each.name
            assert video.reason.startswith("10 of 12 frames are sound")
        elif each.decodes:
            assert (video.status, video.reason) == ("ok", ""), each.name
        else:
            assert video.status == "failed", each.name
            assert video.reason.startswith(REASONS) or any(reason in video.reason for reason in REASONS), (
                each.name
            )
    assert not decoded[SMEARED].frames.size


def test_every_frame_has_its_time(zoo: list[Expectation], decoded: dict[str, DecodedVideo]) -> None:
    for each in zoo:
        video = decoded[each.name]
        if not each.decodes:
            continue
        seconds = shown_seconds(each.path)
        assert len(video.frames) == min(12, len(seconds)), each.name
        half_a_frame = np.diff(seconds).min() / 2 if len(seconds) > 1 else 0.0
        apart = np.abs(seconds[video.frame_index] - video.frame_seconds).max()
        assert apart <= max(half_a_frame, 1e-4), each.name


def test_decoders_give_the_same_pictures(zoo: list[Expectation], decoded: dict[str, DecodedVideo]) -> None:
    plain = {}
    for each in zoo:
        if each.decodes:
            plain[each.name] = decoded[each.name]
    with DecoderPool(2, "pyav") as pool:
        tasks = [DecodeTask(e.name, e.path, Sampling("uniform", 12), PREPROCESSING) for e in zoo if e.decodes]
        for video in pool.decode(tasks):
            assert (video.frame_index == plain[video.id].frame_index).all(), video.id
            # The odd-sized VP9 clip has its chroma rounded differently by the two FFmpegs.
            apart = np.abs(video.frames.astype(int) - plain[video.id].frames).max()
            assert apart <= (17 if "odd-dimensions" in video.id else 0), video.id


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_rotated_clips_come_out_upright(shared: Path, degrees: int) -> None:
    path = shared / f"data/codec_zoo/decord/video_{degrees}.mov"
    with av.open(str(path)) as container:
        stored = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    with DecoderPool(1) as pool:
        (video,) = pool.decode([DecodeTask("a", path, Sampling("all"), PREPROCESSING)])
    expected = [resize(np.rot90(frame, -degrees // 90).copy(), PREPROCESSING) for frame in stored]
    assert (video.frames == expected).all()
