"""Small files of whose frames a decoder once gave others, or none: each comes out as its manifest says.

The truth is a plain decoding of the whole file; times that the file does not tell are written here.
"""

import csv
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from tvr.pipeline.decoding.pool import DecodedVideo, DecoderPool, DecodeTask
from tvr.pipeline.preprocessing import Preprocessing
from tvr.pipeline.sampling import Sampling, sample

from ...fixtures.plain_decoding import PlainDecoding, plainly_decoded

pytestmark = pytest.mark.slow

PREPROCESSING = Preprocessing(64, 64, "squash", "bilinear", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
SAMPLINGS = {
    **{str(number): Sampling("uniform", number) for number in (3, 5, 10, 12, 24)},
    "all": Sampling("all"),
}
SOUND = (
    "hevc_opengop_k12.mp4",
    "hevc_opengop_g3.mp4",
    "mpeg4_bframes.mp4",
    "mpeg2_bframes.mkv",
    "rotated90.mkv",
    "zero_hole_h264_clean.mkv",
    "opengop_h264.mp4",
    "mpeg2_cbr.ts",
    "truncated_sei.mp4",
    "paff_two_packets_a_frame.mp4",
    "negative_times.mkv",
    "four_edits.mp4",
    "concat_restarted_pts.ts",
    "vfr_screen.mp4",
)
DAMAGED, CLEAN = "zero_hole_h264.mkv", "zero_hole_h264_clean.mkv"
COVER = "audio_with_cover.mp4"
RATE = 25
FRAMES_WITHOUT_TIMES = {"negative_times.mkv": 100, "concat_restarted_pts.ts": 200}
"""Some of their frames have no time, or that of another one: they are shown at the rate of the others."""


@pytest.fixture(scope="module")
def folder(shared: Path) -> Path:
    return shared / "data/failing"


@pytest.fixture(scope="module")
def truths(folder: Path) -> Mapping[str, PlainDecoding]:
    decoded = {name: plainly_decoded(folder / name, PREPROCESSING) for name in SOUND}
    for name, count in FRAMES_WITHOUT_TIMES.items():
        assert len(decoded[name].pictures) == count
        decoded[name] = PlainDecoding(np.arange(count) / RATE, decoded[name].pictures)
    return decoded


@pytest.fixture(scope="module", params=["decord", "pyav"])
def pool(request: pytest.FixtureRequest) -> Iterator[DecoderPool]:
    with DecoderPool(2, request.param, time_limit_seconds=600.0) as pool:
        yield pool


@pytest.fixture(scope="module")
def decoded(folder: Path, pool: DecoderPool) -> Callable[[str], Mapping[str, DecodedVideo]]:
    """What comes of a file, by sampling; of the whole list it is asked for once."""
    tasks = [
        DecodeTask(f"{name} {key}", folder / name, sampling, PREPROCESSING)
        for name in (*SOUND, DAMAGED, COVER)
        for key, sampling in SAMPLINGS.items()
    ]
    videos = {video.id: video for video in pool.decode(tasks)}
    return lambda name: {key: videos[f"{name} {key}"] for key in SAMPLINGS}


def test_no_file_of_the_manifest_is_left_out(folder: Path) -> None:
    with (folder / "manifest.csv").open() as table:
        names = {row["file"].split(" + ")[0] for row in csv.DictReader(table)}
    # A link to itself and a name that is no text are made by the tests that need them.
    here = {name for name in names if not name.startswith("(make)")}
    assert here == {*SOUND, DAMAGED, COVER, "../codec_zoo/torchcodec/h265_video.mp4"}


def assert_right(video: DecodedVideo, truth: PlainDecoding, sampling: Sampling) -> None:
    """Every frame that the sampling asks for is here, is that frame, and has its time."""
    assert (video.status, video.reason) == ("ok", ""), video.id
    assert video.frame_index.tolist() == sample(truth.seconds, sampling).tolist(), video.id
    assert np.abs(video.frame_seconds - truth.seconds[video.frame_index]).max() < 1e-3, video.id
    others = [
        int(index)
        for index, frame in zip(video.frame_index, video.frames, strict=True)
        if (frame != truth.pictures[index]).any()
    ]
    assert others == [], f"{video.id}: by {video.decoder}, other pictures at {others}"


@pytest.mark.parametrize("name", SOUND)
def test_every_frame_is_the_right_frame(
    name: str,
    truths: Mapping[str, PlainDecoding],
    decoded: Callable[[str], Mapping[str, DecodedVideo]],
) -> None:
    for key, video in decoded(name).items():
        assert_right(video, truths[name], SAMPLINGS[key])


def test_a_hole_of_zeros_is_never_silent(
    truths: Mapping[str, PlainDecoding], decoded: Callable[[str], Mapping[str, DecodedVideo]]
) -> None:
    clean = truths[CLEAN]
    for key, video in decoded(DAMAGED).items():
        wanted = sample(clean.seconds, SAMPLINGS[key])
        assert video.status in ("ok", "partial"), video.id
        assert (video.status == "ok") == (video.frame_index.tolist() == wanted.tolist()), video.id
        for index, frame in zip(video.frame_index, video.frames, strict=True):
            assert (frame == clean.pictures[index]).all(), f"{video.id}: {index}"
    assert decoded(DAMAGED)["12"].status == decoded(DAMAGED)["all"].status == "partial"


def test_a_cover_picture_is_not_a_video(decoded: Callable[[str], Mapping[str, DecodedVideo]]) -> None:
    for video in decoded(COVER).values():
        assert video.status == "failed"
        assert "no video" in video.reason
        assert len(video.frames) == 0


def test_a_span_between_two_frames_takes_the_one_on_display(
    folder: Path, truths: Mapping[str, PlainDecoding], pool: DecoderPool
) -> None:
    with (folder / "vfr_spans.csv").open() as table:
        spans = [(row["path"], float(row["start"]), float(row["end"])) for row in csv.DictReader(table)]
    tasks = [
        DecodeTask(f"{start} to {end}", folder / name, Sampling("uniform", 12), PREPROCESSING, start, end)
        for name, start, end in spans
    ]
    still, later = pool.decode(tasks)
    truth = truths["vfr_screen.mp4"]
    assert (still.status, still.frame_index.tolist()) == ("ok", [24])
    assert still.frame_seconds[0] == pytest.approx(0.96)
    assert later.status == "ok"
    assert later.frame_index[0] == 24, "on display until 5 s"
    assert later.frame_index.tolist() == sample(truth.seconds, Sampling("uniform", 12), 2.5, 6.0).tolist()
    for video in (still, later):
        for index, frame in zip(video.frame_index, video.frames, strict=True):
            assert (frame == truth.pictures[index]).all(), f"{video.id}: {index}"


@pytest.mark.parametrize("decoder", ["decord", "pyav"])
def test_an_answer_does_not_depend_on_what_was_decoded_before(shared: Path, decoder: str) -> None:
    path = shared / "data/codec_zoo/torchcodec/h265_video.mp4"
    truth = plainly_decoded(path, PREPROCESSING)
    six, eight = (
        DecodeTask(f"{number}", path, Sampling("uniform", number), PREPROCESSING) for number in (6, 8)
    )
    with DecoderPool(1, decoder) as pool:
        (alone,) = pool.decode([eight])
    with DecoderPool(1, decoder) as pool:
        first, second = pool.decode([six, eight])
    assert_right(alone, truth, eight.sampling)
    assert_right(first, truth, six.sampling)
    assert_right(second, truth, eight.sampling)
    assert second.decoder == alone.decoder
