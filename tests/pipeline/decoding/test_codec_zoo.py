"""123 small files that decoders stumble over: what PyAV decodes is decoded, the rest fails with a reason."""

import csv
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest
from tvr.pipeline.decoding.pool import DecodedVideo, DecoderPool, DecodeTask
from tvr.pipeline.preprocessing import Preprocessing, resize
from tvr.pipeline.sampling import Sampling, sample

from ...fixtures.fuzz import cases
from ...fixtures.plain_decoding import PlainDecoding, plainly_decoded
from ...fixtures.remuxing import remuxed

pytestmark = pytest.mark.slow

DECODERS = ("decord", "pyav")
USUAL = "12"
SAMPLINGS = {
    USUAL: Sampling("uniform", 12),
    **{str(number): Sampling("uniform", number) for number in (3, 5, 24)},
    "all": Sampling("all"),
}
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

# Of 255, on average.
MAX_COMPRESSION = 6
# The odd-sized VP9 clip has its chroma rounded differently by the two FFmpegs.
TOLERANCE = {"androidx/bear-vp9-odd-dimensions.webm": 17}


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


@dataclass(frozen=True)
class Asked:
    """Who decoded which file, and how."""

    decoder: str
    name: str
    sampling: str
    """A key of SAMPLINGS."""


@pytest.fixture(scope="module")
def results(zoo: list[Expectation]) -> Mapping[Asked, DecodedVideo]:
    """Every file at 12 frames by both decoders, and at some of the other samplings, or all of them."""
    others = [key for key in SAMPLINGS if key != USUAL]
    answers: dict[Asked, DecodedVideo] = {}
    for decoder in DECODERS:
        questions: dict[str, Asked] = {}
        tasks: list[DecodeTask] = []
        for number, each in enumerate(zoo):
            some = [others[(number + turn) % len(others)] for turn in range(cases(len(others)))]
            for key in (USUAL, *some) if each.decodes else (USUAL,):
                task = DecodeTask(f"{each.name} {key}", each.path, SAMPLINGS[key], PREPROCESSING)
                questions[task.id] = Asked(decoder, each.name, key)
                tasks.append(task)
        with DecoderPool(2, decoder, time_limit_seconds=600.0) as pool:
            answers |= {questions[video.id]: video for video in pool.decode(tasks)}
    return answers


@pytest.fixture(scope="module")
def truths(zoo: list[Expectation], results: Mapping[Asked, DecodedVideo]) -> Mapping[str, PlainDecoding]:
    """Plain decodings, with the pictures of the frames that anybody gave."""
    given: dict[str, set[int]] = defaultdict(set)
    for asked, video in results.items():
        given[asked.name].update(video.frame_index.tolist())
    return {
        each.name: plainly_decoded(each.path, PREPROCESSING, given[each.name]) for each in zoo if each.decodes
    }


@pytest.fixture(params=DECODERS)
def decoded(results: Mapping[Asked, DecodedVideo], request: pytest.FixtureRequest) -> dict[str, DecodedVideo]:
    """The files at 12 frames."""
    return {
        asked.name: video
        for asked, video in results.items()
        if (asked.decoder, asked.sampling) == (request.param, USUAL)
    }


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


def test_every_frame_has_its_time(
    zoo: list[Expectation], decoded: dict[str, DecodedVideo], truths: Mapping[str, PlainDecoding]
) -> None:
    for each in zoo:
        video = decoded[each.name]
        if not each.decodes:
            continue
        seconds = truths[each.name].seconds
        assert len(video.frames) == min(12, len(seconds)), each.name
        half_a_frame = np.diff(seconds).min() / 2 if len(seconds) > 1 else 0.0
        apart = np.abs(seconds[video.frame_index] - video.frame_seconds).max()
        assert apart <= max(half_a_frame, 1e-4), each.name


def test_every_frame_is_the_one_that_plain_decoding_gives(
    results: Mapping[Asked, DecodedVideo], truths: Mapping[str, PlainDecoding]
) -> None:
    wrong: list[str] = []
    for asked, video in results.items():
        truth = truths.get(asked.name)
        if truth is None:
            continue
        if video.status != "ok":
            wrong.append(f"{asked}: {video.status}, {video.reason}")
        elif video.frame_index.tolist() != sample(truth.seconds, SAMPLINGS[asked.sampling]).tolist():
            wrong.append(f"{asked}: frames {video.frame_index.tolist()}")
        others = [
            int(index)
            for index, frame in zip(video.frame_index, video.frames, strict=True)
            if difference(frame, truth.pictures[index]) > TOLERANCE.get(asked.name, 0)
        ]
        if others:
            wrong.append(f"{asked}: by {video.decoder}, other pictures at {others}")
    assert wrong == []


def difference(frame: np.ndarray, other: np.ndarray) -> int:
    """The largest of all pixels."""
    return int(np.abs(frame.astype(int) - other).max())


def test_decoders_give_the_same_pictures(results: Mapping[Asked, DecodedVideo]) -> None:
    for asked, video in results.items():
        if asked.decoder == "decord" and video.status == "ok":
            other = results[Asked("pyav", asked.name, asked.sampling)]
            assert (video.frame_index == other.frame_index).all(), asked
            assert difference(video.frames, other.frames) <= TOLERANCE.get(asked.name, 0), asked


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_rotated_clips_come_out_upright(shared: Path, degrees: int) -> None:
    path = shared / f"data/codec_zoo/decord/video_{degrees}.mov"
    with av.open(str(path)) as container:
        stored = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    with DecoderPool(1) as pool:
        (video,) = pool.decode([DecodeTask("a", path, Sampling("all"), PREPROCESSING)])
    expected = [resize(np.rot90(frame, -degrees // 90).copy(), PREPROCESSING) for frame in stored]
    assert (video.frames == expected).all()


ROTATED = {
    "decord/video_90.mov": False,
    "decord/video_180.mov": False,
    "decord/video_270.mov": False,
    "androidx/sample_rotate_and_reflect.mp4": True,
    "androidx/dolbyVision-hdr.MOV": False,
    "mp4parse/mp4parse_capi__video_rotation_90.mp4": False,
}
"""Whether they are mirrored, too."""
NOT_FOR_MATROSKA = "androidx/dolbyVision-hdr.MOV"


def re_encoded(source: Path, target: Path, *, mirrored: bool) -> Path:
    """Its first six frames as VP9, turned for display as the original is."""
    with av.open(str(source)) as container, av.open(str(target), "w") as output:
        stream = output.add_stream("libvpx-vp9", rate=25, options={"cpu-used": "8", "b": "4000000"})
        for number, frame in enumerate(islice(container.decode(video=0), 6)):
            if number == 0:
                stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, "yuv420p"
                stream.set_display_rotation(frame.rotation, hflip=mirrored)
            picture = frame.reformat(format="yuv420p")
            picture.pts, picture.time_base = number, Fraction(1, 25)
            output.mux(stream.encode(picture))
        output.mux(stream.encode())
    return target


def test_rotated_clips_come_out_upright_of_every_container(shared: Path, tmp_path: Path) -> None:
    """Copied into Matroska, and encoded anew into WebM, which takes no H.264."""
    folder = shared / "data/codec_zoo"
    originals = {name: plainly_decoded(folder / name, PREPROCESSING).pictures for name in ROTATED}
    paths: dict[Path, str] = {}
    for number, (name, mirrored) in enumerate(ROTATED.items()):
        paths[re_encoded(folder / name, tmp_path / f"{number}.webm", mirrored=mirrored)] = name
        if name != NOT_FOR_MATROSKA:
            paths[remuxed(folder / name, tmp_path / f"{number}.mkv")] = name
    wrong: list[str] = []
    for decoder in DECODERS:
        tasks = [DecodeTask(path.name, path, Sampling("uniform", 3), PREPROCESSING) for path in paths]
        with DecoderPool(2, decoder) as pool:
            for (path, name), video in zip(paths.items(), pool.decode(tasks), strict=True):
                assert video.status == "ok", (decoder, name, path.suffix, video.reason)
                # WebM: compressed once more, from which a picture that is not turned differs by far more.
                allowed = 0 if path.suffix == ".mkv" else MAX_COMPRESSION
                for index, frame in zip(video.frame_index, video.frames, strict=True):
                    apart = np.abs(frame.astype(int) - originals[name][index]).mean()
                    if apart > allowed:
                        wrong.append(f"{decoder}, {name} as {path.suffix}: {index} by {apart:.1f}")
    assert wrong == []
