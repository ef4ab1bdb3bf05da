"""What a cached frame is of a file with colours, transparency, fields, sizes or borders of its own."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from tvr.data.contracts.plug_ins import load_plug_in, plug_in_names
from tvr.pipeline.decoding.pool import DecoderPool, DecodeTask
from tvr.pipeline.preprocessing import Preprocessing
from tvr.pipeline.sampling import Sampling

from ...fixtures.circles import DIAMETER, SIDE, Circle, say_clean_aperture, say_crop, sides, write_circle
from ...fixtures.planes import CODE_OF, FULL, LIMITED, Coding, planes_of, write_planes

PACKAGE = "tvr.pipeline.decoders"
COLOURS = np.array(
    [
        (255, 255, 255),
        (0, 0, 0),
        (200, 30, 40),
        (40, 180, 60),
        (30, 60, 200),
        (230, 200, 180),
        (128, 128, 128),
    ],
    np.uint8,
)
SHOWN, HIDDEN = (200, 40, 0), (10, 90, 220)


@pytest.fixture(params=plug_in_names(PACKAGE), scope="module")
def each_pool(request: pytest.FixtureRequest) -> Iterator[DecoderPool]:
    if missing := load_plug_in(PACKAGE, request.param).available():
        pytest.skip(missing)
    with DecoderPool(1, request.param) as pool:
        yield pool


@pytest.fixture(scope="module")
def pool() -> Iterator[DecoderPool]:
    with DecoderPool(1) as pool:
        yield pool


def frames(pool: DecoderPool, path: Path, height: int, width: int) -> np.ndarray:
    """Every frame at that size; where it is the file's own, no pixel is changed."""
    size = Preprocessing(height, width, "squash", "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    (video,) = pool.decode([DecodeTask("video", path, Sampling("all"), size)])
    assert video.status == "ok", video.reason
    return video.frames.astype(int)


def colours_of(frame: np.ndarray) -> np.ndarray:
    """The middle of each patch."""
    return frame[8, 8::16]


@pytest.mark.parametrize("colour_range", [LIMITED, FULL])
@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020"])
def test_colours_are_those_that_the_file_names(
    each_pool: DecoderPool, tmp_path: Path, matrix: str, colour_range: int
) -> None:
    coding = Coding("libx264", "yuv420p", matrix, colour_range, options={"qp": "0"})
    path = write_planes(tmp_path / "patches.mp4", planes_of(COLOURS, matrix, colour_range), coding)
    for frame in frames(each_pool, path, 16, 16 * len(COLOURS)):
        assert np.abs(colours_of(frame) - COLOURS).max() <= 3


@pytest.mark.parametrize("scale", [1, 45])
def test_colours_fails_to_know_a_matrix_that_is_not_named(
    each_pool: DecoderPool, tmp_path: Path, scale: int
) -> None:
    """BT.601 is taken, in a picture of 720 lines too."""
    coding = Coding("libx264", "yuv420p", options={"qp": "0"})
    wrong = []
    for matrix in ("bt601", "bt709"):
        planes = [np.repeat(plane, scale, axis=0) for plane in planes_of(COLOURS, matrix, LIMITED)]
        path = write_planes(tmp_path / f"{matrix}.mp4", planes, coding)
        frame = frames(each_pool, path, 16 * scale, 16 * len(COLOURS))[0]
        wrong.append(int(np.abs(colours_of(frame) - COLOURS).max()))
    assert wrong[0] <= 3
    assert 10 < wrong[1] <= 25


@pytest.mark.parametrize("matrix", ["YCgCo", "ICtCp"])
def test_colours_fails_with_a_matrix_that_nobody_converts(
    each_pool: DecoderPool, tmp_path: Path, matrix: str
) -> None:
    """A row with a reason, and the next video is decoded by the same child."""
    coding = Coding("libx264", "yuv420p", matrix, options={"qp": "0"})
    path = write_planes(tmp_path / "patches.mp4", planes_of(COLOURS, "bt601", LIMITED), coding)
    size = Preprocessing(16, 16, "squash", "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    (video,) = each_pool.decode([DecodeTask("video", path, Sampling("all"), size)])
    assert video.status == "failed"
    assert f"cannot be converted to RGB (matrix {CODE_OF[matrix]} of H.273)" in video.reason


@pytest.mark.parametrize("transfer", [16, 18])
def test_bright_pictures_are_not_mapped_to_a_dim_screen(
    pool: DecoderPool, tmp_path: Path, transfer: int
) -> None:
    """White of 203 cd/m2, which is 573 in PQ and 721 in HLG, does not become 255."""
    codes = np.array([64, 284, 502, 573, 721, 940], np.uint16)
    luma = np.kron(codes[None], np.ones((64, 16), np.uint16))
    grey = np.full((32, luma.shape[1] // 2), 512, np.uint16)
    options = {"x265-params": "lossless=1:log-level=none"}
    coding = Coding("libx265", "yuv420p10le", "bt2020", LIMITED, transfer, options)
    path = write_planes(tmp_path / "bright.mp4", [luma, grey, grey], coding)
    frame = frames(pool, path, 64, luma.shape[1])[0]
    assert np.abs(colours_of(frame) - ((codes - 64) / 876 * 255)[:, None]).max() <= 3


def test_both_fields_are_woven(each_pool: DecoderPool, tmp_path: Path) -> None:
    luma = np.full((64, 64), 50, np.uint8)
    luma[::2, :32] = luma[1::2, 32:] = 200
    grey = np.full((32, 32), 128, np.uint8)
    options = {"qp": "0", "x264-params": "tff=1"}
    path = write_planes(
        tmp_path / "fields.mp4", [luma, grey, grey], Coding("libx264", "yuv420p", options=options)
    )
    with av.open(str(path)) as container:
        assert next(container.decode(video=0)).interlaced_frame
    for frame in frames(each_pool, path, 64, 64):
        assert (frame[::2, :32] > 200).all()
        assert (frame[1::2, :32] < 50).all()
        assert (frame[1::2, 32:] > 200).all()


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"),
    [
        ("clip.webm", "libvpx", "yuva420p"),
        ("clip.webm", "libvpx-vp9", "yuva420p"),
        ("clip.mov", "prores_ks", "yuva444p10le"),
        ("clip.mov", "qtrle", "argb"),
        ("clip.mov", "png", "rgba"),
    ],
)
def test_what_is_transparent_has_the_colour_below(
    pool: DecoderPool, tmp_path: Path, name: str, codec: str, pixel_format: str
) -> None:
    """As where open_clip makes a picture RGB."""
    picture = np.zeros((64, 64, 4), np.uint8)
    picture[:, :32], picture[:, 32:] = (*SHOWN, 255), (*HIDDEN, 0)
    path = tmp_path / name
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options={"auto-alt-ref": "0"} if "vpx" in codec else {})
        assert isinstance(stream, av.VideoStream)
        stream.width = stream.height = 64
        stream.pix_fmt = pixel_format
        stream.codec_context.thread_count = 1
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgba")))
        container.mux(stream.encode())
    frame = frames(pool, path, 64, 64)[0]
    assert np.abs(frame[32, 10] - SHOWN).max() <= 4
    assert np.abs(frame[32, 54] - HIDDEN).max() <= 4
    assert (np.asarray(Image.fromarray(picture).convert("RGB"))[32, 54] == HIDDEN).all()


def test_what_is_transparent_in_a_gif_is_white(pool: DecoderPool, tmp_path: Path) -> None:
    pictures = []
    for number in range(3):
        picture = Image.new("P", (64, 64), 1)
        picture.putpalette([*HIDDEN, *SHOWN, 0, 255, 0])
        picture.paste(0, (32, 0, 64, 64))
        picture.putpixel((number, 0), 2)
        pictures.append(picture)
    path = tmp_path / "clip.gif"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], transparency=0, duration=40, disposal=2)
    for frame in frames(pool, path, 64, 64):
        assert tuple(frame[32, 10]) == SHOWN
        assert tuple(frame[32, 54]) == (255, 255, 255)


@pytest.mark.parametrize(("pixel_format", "depth"), [("gray", 8), ("gray10le", 10), ("gray16le", 16)])
def test_shades_of_any_depth(pool: DecoderPool, tmp_path: Path, pixel_format: str, depth: int) -> None:
    shades = np.arange(0, 256, 17)
    levels = (shades * (2**depth - 1) / 255).round().astype(np.uint8 if depth == 8 else np.uint16)
    luma = np.kron(levels[None], np.ones((64, 16), levels.dtype))
    path = write_planes(tmp_path / "shades.mkv", [luma], Coding("ffv1", pixel_format, colour_range=FULL))
    frame = frames(pool, path, 64, luma.shape[1])[0]
    assert np.abs(colours_of(frame) - shades[:, None]).max() <= 1


@pytest.mark.parametrize(("name", "codec"), [("clip.webm", "libvpx-vp9"), ("clip.mp4", "libx264")])
def test_a_picture_that_changes_its_size_is_scaled_from_each(
    each_pool: DecoderPool, tmp_path: Path, name: str, codec: str
) -> None:
    path = tmp_path / name
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for pts, packet in enumerate([*_packets(codec, 96, 128), *_packets(codec, 48, 96)]):
            packet.stream, packet.time_base = stream, Fraction(1, 25)
            packet.pts = packet.dts = pts
            container.mux(packet)
    sizes = [frame.shape[:2] for frame in _decoded(path)]
    assert (sizes[0], sizes[-1]) == ((96, 128), (48, 96))
    shown = frames(each_pool, path, 64, 64)
    assert len(shown) == len(sizes)
    for frame in shown:
        assert np.abs(frame[10, 32] - SHOWN).max() <= 8
        assert np.abs(frame[54, 32] - HIDDEN).max() <= 8


def _packets(codec: str, height: int, width: int) -> list[av.Packet]:
    """Of four frames, the upper half of one colour and the lower of another."""
    context = av.CodecContext.create(codec, "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.time_base, context.thread_count = Fraction(1, 25), 1
    context.options = {"tune": "zerolatency"} if codec == "libx264" else {"lag-in-frames": "0"}
    picture = np.full((height, width, 3), SHOWN, np.uint8)
    picture[height // 2 :] = HIDDEN
    packets: list[av.Packet] = []
    for pts in range(4):
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = pts, Fraction(1, 25)
        packets += context.encode(frame)
    return packets + context.encode(None)


def _decoded(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@pytest.mark.parametrize("name", ["ramp.mp4", "ramp.mkv"])
def test_borders_that_a_stream_cuts_off_are_gone(each_pool: DecoderPool, tmp_path: Path, name: str) -> None:
    """8 columns at the left, fewer than memory is aligned to, 2 at the right and 4 rows at the top."""
    luma = np.repeat(np.arange(16, 176, dtype=np.uint8)[None], 96, axis=0)
    luma[:4] = 235
    grey = np.full((48, 80), 128, np.uint8)
    options = {"qp": "0", "x264-params": "crop-rect=8,4,2,0"}
    path = write_planes(tmp_path / name, [luma, grey, grey], Coding("libx264", "yuv420p", options=options))
    for frame in frames(each_pool, path, 92, 150):
        assert np.abs(frame[:, :, 1] - (luma[4:, 8:158].astype(int) - 16) * 255 / 219).max() <= 2


def test_borders_that_a_container_cuts_off_stay(each_pool: DecoderPool, tmp_path: Path) -> None:
    """What would be left fills the picture's height, and the circle most of it."""
    square = Circle(pixel_aspect=Fraction(1))
    film = say_clean_aperture(write_circle(tmp_path / "circle.mp4", square), SIDE, 64)
    web = say_crop(write_circle(tmp_path / "circle.webm", replace(square, codec="libvpx-vp9")), 16, 16)
    for path in (film, web):
        for frame in frames(each_pool, path, SIDE, SIDE):
            assert sides(frame.astype(np.uint8)) == pytest.approx((DIAMETER, DIAMETER), abs=1)
