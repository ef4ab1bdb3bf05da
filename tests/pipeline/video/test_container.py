"""Which files are opened, and which of their streams is the video."""

import os
import socket
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest
from av.container import OutputContainer
from av.stream import Disposition
from PIL import Image
from tvr.data.contracts.errors import DecodeError
from tvr.pipeline.video.container import opened
from tvr.pipeline.video.packets import index_packets
from tvr.pipeline.video.seeking_decoder import why_declined

from ...fixtures.mp4 import HEIGHT, WIDTH, write_sound


def add_cover(container: OutputContainer) -> Callable[[], None]:
    """Give a file a cover picture; what it returns writes the picture, once all streams are there."""
    stream = container.add_stream("mjpeg", rate=25)
    assert isinstance(stream, av.VideoStream)
    stream.width, stream.height, stream.pix_fmt = 640, 480, "yuvj420p"
    stream.disposition = Disposition.attached_pic

    def write() -> None:
        data = BytesIO()
        Image.effect_noise((640, 480), 64).convert("RGB").save(data, "JPEG")
        packet = av.Packet(data.getvalue())
        packet.stream, packet.pts, packet.dts, packet.is_keyframe = stream, 0, 0, True
        container.mux(packet)

    return write


def add_video(container: OutputContainer, size: tuple[int, int], num_frames: int) -> Callable[[], None]:
    """Give a file a video stream; what it returns writes its frames."""
    stream = container.add_stream("libx264", rate=25)
    assert isinstance(stream, av.VideoStream)
    stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"

    def write() -> None:
        for _ in range(num_frames):
            picture = np.zeros((size[1], size[0], 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())

    return write


def add_sound(container: OutputContainer) -> Callable[[], None]:
    stream = container.add_stream("aac", rate=16_000)
    assert isinstance(stream, av.AudioStream)

    def write() -> None:
        frame = av.AudioFrame(format="fltp", layout="mono", samples=1024)
        frame.sample_rate = 16_000
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        container.mux(stream.encode(frame))
        container.mux(stream.encode())

    return write


def reason(path: Path) -> str:
    with pytest.raises(DecodeError) as failure, opened(path):
        pass
    return str(failure.value)


@pytest.mark.parametrize("num_frames", [1, 10])
@pytest.mark.parametrize("cover_first", [True, False])
def test_a_video_with_a_cover_picture_is_its_video(
    tmp_path: Path, cover_first: bool, num_frames: int
) -> None:
    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as container:
        writes = [add_cover(container)] if cover_first else []
        writes += [add_video(container, (WIDTH, HEIGHT), num_frames), add_sound(container)]
        writes += [] if cover_first else [add_cover(container)]
        for write in writes:
            write()
    with opened(path) as (container, stream):
        assert len(container.streams.video) == 2
        assert (stream.width, stream.height) == (WIDTH, HEIGHT)
    index = index_packets(path)
    assert (index.num_videos, len(index.shown_pts), why_declined(index)) == (1, num_frames, "")


def test_a_matroska_file_with_an_attached_picture_is_its_video(tmp_path: Path) -> None:
    path = tmp_path / "film.mkv"
    data = BytesIO()
    Image.new("RGB", (640, 480)).save(data, "JPEG")
    with av.open(str(path), "w") as container:
        if not hasattr(container, "add_attachment"):
            pytest.skip("this PyAV writes no attachments")
        container.add_attachment("cover.jpg", "image/jpeg", data.getvalue())
        add_video(container, (WIDTH, HEIGHT), 10)()
    with opened(path) as (container, stream):
        assert len(container.streams.video) == 2
        assert (stream.width, stream.height) == (WIDTH, HEIGHT)


def test_sound_with_a_cover_picture_fails(tmp_path: Path) -> None:
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        for write in (add_cover(container), add_sound(container)):
            write()
    assert reason(path) == "no video stream (only audio and a cover picture)"
    assert reason(write_sound(tmp_path / "sound.mp4")) == "no video stream (only audio)"


def test_a_library_that_chooses_a_stream_by_itself_is_declined_where_there_are_two(tmp_path: Path) -> None:
    # decord takes the one of the higher bit rate, whichever is the default: here as many frames of another film.
    path = tmp_path / "angles.mp4"
    with av.open(str(path), "w") as container:
        for write in (add_video(container, (WIDTH, HEIGHT), 10), add_video(container, (320, 240), 10)):
            write()
    index = index_packets(path)
    assert (index.width, index.height) == (WIDTH, HEIGHT)
    assert why_declined(index) == "may read another of its video streams"


def make_socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # a socket's name may have 107 bytes
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without named pipes")
def test_what_is_no_file_fails_without_being_opened(tmp_path: Path) -> None:
    """Opening a named pipe that nobody writes to would wait for ever."""
    os.mkfifo(tmp_path / "pipe.mp4")
    make_socket(tmp_path / "socket.mp4")
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "device.mp4").symlink_to("/dev/zero")
    (tmp_path / "to_pipe.mp4").symlink_to("pipe.mp4")
    (tmp_path / "loop.mp4").symlink_to("loop.mp4")
    (tmp_path / "broken.mp4").symlink_to("absent.mp4")
    assert {path.stem: reason(path) for path in tmp_path.iterdir()} == {
        "pipe": "is a named pipe, not a file",
        "to_pipe": "is a named pipe, not a file",
        "socket": "is a socket, not a file",
        "folder": "is a folder, not a file",
        "device": "is a device, not a file",
        "loop": "is a link that leads back to itself",
        "broken": "is a link to a file that is not there",
    }
    assert reason(tmp_path / "absent.mp4") == "file not found"
    assert reason(tmp_path / f"{'x' * 300}.mp4") == "cannot be read (File name too long)"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_fails(tmp_path: Path) -> None:
    locked = tmp_path / "locked.mp4"
    locked.write_bytes(b"x")
    locked.chmod(0)
    assert reason(locked) == "cannot be read (Permission denied)"
