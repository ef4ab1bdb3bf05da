"""What the page shows and plays: frames and proxies tell by their numbers which frames of the source they are."""

import os
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from tvr.cli.page.media import proxies, proxy_writing
from tvr.cli.page.media.files import MediaError
from tvr.cli.page.media.frames import FrameShelf
from tvr.cli.page.media.shelf import MediaShelf
from tvr.data.base import Video

from benchmarks.decoding_truth.pictures import number_of

from ....fixtures.circles import Circle, say_pixel_aspect, sides, write_circle
from ....fixtures.mp4 import Movie, damage, write_movie, write_sound
from ....fixtures.oracles import require
from ....fixtures.remuxing import remuxed
from ....fixtures.video_shelf import settled, shelf_of, store_of

FPS = 25
UNEVEN = tuple(int(1000 * second) for second in np.cumsum([0, *([0.04] * 20), 0.5, *([0.1] * 20)]))
"""A variable frame rate, in milliseconds."""


def numbered(picture: bytes) -> int:
    return number_of(np.asarray(Image.open(BytesIO(picture)).convert("RGB")))


def frames_of(path: Path | str) -> list[tuple[float, np.ndarray]]:
    """When each frame is shown and what it shows, by PyAV alone."""
    with av.open(str(path)) as container:
        return [
            (float(frame.time or 0), frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)
        ]


def played(shelf: MediaShelf, video: str, start: float | None = None, end: float | None = None) -> Path:
    """The file that is played."""
    playable = settled(shelf, video, start, end)
    assert playable.state == "ready", playable.reason
    window = playable.window
    with shelf.opened(video, window and window.begin, window and window.end).opened as opened:
        return opened.path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("files")
    made = {
        "mp4": write_movie(folder / "mp4.mp4"),
        "webm": write_movie(folder / "webm.webm", Movie(codec="libvpx-vp9")),
        "turned": write_movie(folder / "turned.mp4", Movie(rotation=90)),
        "hevc": write_movie(folder / "hevc.mp4", Movie(num_frames=30 * FPS, codec="libx265")),
        "mkv": remuxed(write_movie(folder / "long.mp4", Movie(num_frames=20 * FPS)), folder / "mkv.mkv"),
        "avi": write_movie(folder / "avi.avi", Movie(codec="mpeg4")),
        "mirrored": write_movie(folder / "mirrored.mp4", Movie(mirrored=True, rotation=180)),
        "uneven": write_movie(
            folder / "uneven.mkv", Movie(num_frames=len(UNEVEN), times=UNEVEN, codec="libx265")
        ),
        "oblong": say_pixel_aspect(write_circle(folder / "oblong.mp4", Circle()), 4, 3),
        "sound": write_sound(folder / "sound.mp4"),
        "text": folder / "text.mp4",
    }
    made["text"].write_text("no video")
    return made


@pytest.fixture(scope="module")
def shelf(files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[MediaShelf]:
    with shelf_of(tmp_path_factory.mktemp("shelf"), files) as shelf:
        yield shelf


@pytest.mark.parametrize("height", [90, 180, 360])
def test_a_frame_is_that_of_its_second(height: int, shelf: MediaShelf) -> None:
    for number in (0, 1, 30, 59):
        picture = shelf.frame("mp4", float(np.float32(number / FPS)), height)
        assert numbered(picture) == number
        assert Image.open(BytesIO(picture)).size == (height * 3 // 2, height)


def test_a_frame_between_two_is_the_one_on_display(shelf: MediaShelf) -> None:
    assert numbered(shelf.frame("mp4", 10.6 / FPS, 180)) == 10
    assert numbered(shelf.frame("uneven", 1.05, 180)) == 20  # on display for half a second


@pytest.mark.parametrize("video", ["hevc", "mkv", "avi", "webm"])
def test_frames_of_what_browsers_do_not_play(video: str, shelf: MediaShelf) -> None:
    assert numbered(shelf.frame(video, 25 / FPS, 180)) == 25


def test_frames_are_upright_and_their_pixels_square(shelf: MediaShelf) -> None:
    turned = Image.open(BytesIO(shelf.frame("turned", 0.0, 180)))
    assert turned.size == (120, 180)
    height, width = sides(np.asarray(Image.open(BytesIO(shelf.frame("oblong", 0.0, 360))).convert("RGB")))
    assert height == pytest.approx(width, rel=0.03)


def test_a_frame_fails(shelf: MediaShelf) -> None:
    for video, why in (
        ("text", "not a readable video file"),
        ("sound", "no video stream"),
        ("x", "not where it was"),
    ):
        with pytest.raises(MediaError, match=why):
            shelf.frame(video, 0.0, 180)
    with pytest.raises(MediaError, match="shows no frame"):
        shelf.frame("mp4", 100.0, 180)
    with pytest.raises(ValueError, match="one of 90, 180, 360, got 91"):
        shelf.frame("mp4", 0.0, 91)


def test_equal_requests_decode_once(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[str] = []
    release = threading.Event()
    decode = FrameShelf._decoded

    def counted(self: FrameShelf, *arguments: object) -> bytes:
        assert release.wait(60)
        decoded.append("")
        return decode(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(FrameShelf, "_decoded", counted)
    with shelf_of(tmp_path, {"mp4": files["mp4"]}) as shelf, ThreadPoolExecutor(50) as people:
        asked = [people.submit(shelf.frame, "mp4", 1.0, 180) for _ in range(50)]
        release.set()
        assert len({each.result() for each in asked}) == 1
        assert len(decoded) == 1


def test_what_is_kept_of_frames_is_bounded(files: dict[str, Path], tmp_path: Path) -> None:
    with shelf_of(tmp_path, {"mp4": files["mp4"]}) as shelf:
        one = len(shelf.frame("mp4", 0.0, 180))
        shelf._frames._most_bytes = 3 * one
        for number in range(10):
            shelf.frame("mp4", number / FPS, 180)
        assert shelf._frames._kept_bytes == sum(map(len, shelf._frames._kept.values())) <= 3 * one
        assert len(shelf._frames._kept) >= 1


@pytest.mark.parametrize(
    ("video", "kind"), [("mp4", "video/mp4"), ("turned", "video/mp4"), ("webm", "video/webm")]
)
def test_what_browsers_play_goes_out_as_it_is(
    video: str, kind: str, shelf: MediaShelf, files: dict[str, Path]
) -> None:
    playable = shelf.playable(video, 1.0, 2.0)
    assert (playable.state, playable.kind, playable.type) == ("ready", "file", kind)
    assert playable.begins_at == pytest.approx(0.0, abs=1e-3)
    assert playable.ends_at == pytest.approx(60 / FPS, abs=0.05)
    assert shelf.state(video).plays and not shelf.state(video).trouble
    with shelf.opened(video, 1.0, 2.0).opened as opened:
        assert opened.file.read() == files[video].read_bytes()


@pytest.mark.parametrize("video", ["hevc", "mkv"])
def test_a_proxy_holds_the_frames_of_its_span(video: str, shelf: MediaShelf) -> None:
    assert shelf.state(video).trouble == "" and not shelf.state(video).plays
    playable = settled(shelf, video, 12.0, 14.0)
    assert (playable.state, playable.kind, playable.type) == ("ready", "proxy", "video/mp4")
    assert 4.0 < playable.begins_at <= 7.0 and 14.0 < (playable.ends_at or 0) <= 20.0
    frames = frames_of(played(shelf, video, 12.0, 14.0))
    numbers = [number_of(picture) for _, picture in frames]
    first = round(playable.begins_at * FPS)
    assert numbers == list(range(first, first + len(numbers)))
    assert [round(seconds * FPS) for seconds, _ in frames] == list(range(len(numbers)))
    assert (playable.ends_at or 0) - playable.begins_at == pytest.approx(len(numbers) / FPS, abs=1e-3)


def test_packets_are_copied_where_only_the_container_is_wrong(
    shelf: MediaShelf, files: dict[str, Path]
) -> None:
    with av.open(str(files["mkv"])) as source, av.open(str(played(shelf, "mkv", 12.0, 14.0))) as proxy:
        packets = {bytes(packet)[-64:] for packet in source.demux(video=0) if packet.size}
        copies = [bytes(packet)[-64:] for packet in proxy.demux(video=0) if packet.size]
        assert len(copies) > 50 and packets.issuperset(copies)


def test_a_short_file_is_whole_in_its_proxy(shelf: MediaShelf) -> None:
    assert [number_of(picture) for _, picture in frames_of(played(shelf, "avi"))] == list(range(60))


def test_a_proxy_is_upright(shelf: MediaShelf) -> None:
    """The numbers were drawn for who ignores that the file is to be shown upside down and mirrored."""
    frames = frames_of(played(shelf, "mirrored"))
    assert [number_of(picture[::-1]) for _, picture in frames] == list(range(60))


def test_a_proxy_keeps_uneven_times(shelf: MediaShelf) -> None:
    frames = frames_of(played(shelf, "uneven"))
    assert [number_of(picture) for _, picture in frames] == list(range(len(UNEVEN)))
    assert [seconds for seconds, _ in frames] == pytest.approx([each / 1000 for each in UNEVEN], abs=2e-3)


def test_a_proxy_has_square_pixels(shelf: MediaShelf) -> None:
    (_, picture), *_ = frames_of(played(shelf, "oblong"))
    assert picture.shape == (96, 128, 3)
    height, width = sides(picture)
    assert height == pytest.approx(width, rel=0.05)


def test_a_span_within_a_proxy_makes_no_other(shelf: MediaShelf) -> None:
    outer = settled(shelf, "hevc", 12.0, 14.0)
    assert shelf.playable("hevc", 11.0, 15.0) == outer
    other = settled(shelf, "hevc", 26.0, 28.0)
    assert other.window != outer.window and other.begins_at == pytest.approx(21.0)


def test_a_clip_plays_its_own_span(files: dict[str, Path], tmp_path: Path) -> None:
    videos = {"clip": Video("clip", files["hevc"], 12.0, 14.0)}
    with MediaShelf(store_of(tmp_path / "store", videos), videos, tmp_path / "cache") as shelf:
        playable = settled(shelf, "clip")
        assert playable.window == proxies.Window(7.0, 20.0)


def test_a_proxy_is_no_longer_than_people_wait() -> None:
    whole = proxies.Window.around(0.0, None)
    assert whole == proxies.Window(0.0, 180.0) and whole.holds(0.0, None) and not whole.holds(100.0, None)
    later = proxies.Window.around(3000.0, 9000.0)
    assert later.end - later.begin == 180 and later.holds(3000.0, 9000.0)


def test_proxies_of_another_run_are_found(files: dict[str, Path], tmp_path: Path) -> None:
    with shelf_of(tmp_path, {"avi": files["avi"]}) as shelf:
        path = played(shelf, "avi")
    shutil.rmtree(tmp_path / "store")
    with shelf_of(tmp_path, {"avi": files["avi"]}) as shelf:
        assert shelf.playable("avi").state == "ready"
        assert played(shelf, "avi") == path


def test_proxies_have_bounded_room(files: dict[str, Path], tmp_path: Path) -> None:
    asked = {name: files[name] for name in ("avi", "mirrored", "uneven")}
    with shelf_of(tmp_path, asked, cache_bytes=1) as shelf:
        for name in asked:
            played(shelf, name)
            assert len(list((tmp_path / "cache").glob("*/*"))) == 1
        assert shelf.playable("avi").state == "making"
        assert settled(shelf, "avi").state == "ready"
        assert not list((tmp_path / "cache").glob("making-*"))


def test_the_proxy_that_nobody_played_for_longest_goes_first(files: dict[str, Path], tmp_path: Path) -> None:
    asked = {name: files[name] for name in ("avi", "mirrored", "uneven")}
    with shelf_of(tmp_path, asked) as shelf:
        paths = {name: played(shelf, name) for name in ("avi", "mirrored")}
        for age, name in enumerate(("mirrored", "avi")):
            os.utime(paths[name], ns=(age, age))
        played(shelf, "mirrored")
        shelf._proxies._most_bytes = sum(path.stat().st_size for path in paths.values())
        played(shelf, "uneven")
        assert paths["mirrored"].exists() and not paths["avi"].exists()


def test_without_h264_proxies_are_webm(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy_writing, "ENCODERS", proxy_writing.ENCODERS[1:])
    target = tmp_path / "proxy"
    made = proxy_writing.write_proxy(files["avi"], target, 0.4, 1.0, copy=False)
    assert made.type == "video/webm" and target.read_bytes()[:4] == b"\x1a\x45\xdf\xa3"
    assert [number_of(picture) for _, picture in frames_of(target)] == list(range(10, 25))


def test_a_file_that_cannot_be_played_fails(shelf: MediaShelf) -> None:
    for video, why in (("text", "not a readable video file"), ("sound", "no video stream")):
        playable = settled(shelf, video)
        assert (playable.state, why in playable.reason) == ("failed", True)
        assert why in shelf.state(video).trouble
        with pytest.raises(MediaError, match=why):
            shelf.opened(video)


def test_a_span_behind_the_end_fails(shelf: MediaShelf) -> None:
    playable = settled(shelf, "hevc", 100.0, 101.0)
    assert (playable.state, "shows no frame after 95 s" in playable.reason) == ("failed", True)
    assert shelf.playable("hevc", 100.0, 101.0) == playable


def test_a_damaged_file_is_played_as_far_as_it_is_sound(files: dict[str, Path], tmp_path: Path) -> None:
    broken = damage(Path(shutil.copy(files["avi"], tmp_path / "avi.avi")), 0.5, 200)
    with shelf_of(tmp_path, {"avi": broken}) as shelf:
        numbers = [number_of(picture) for _, picture in frames_of(played(shelf, "avi"))]
    assert numbers == sorted(set(numbers) - {-1})
    assert (numbers[0], numbers[-1]) == (0, 59) and 30 < len(numbers) < 60


def test_a_proxy_that_takes_too_long_fails(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxies, "_limit_seconds", lambda window: 0.01)
    with shelf_of(tmp_path, {"hevc": files["hevc"]}) as shelf:
        playable = settled(shelf, "hevc")
        assert (playable.state, "longer than its time limit" in playable.reason) == ("failed", True)
        assert not list((tmp_path / "cache").glob("*/*"))
        assert shelf.state("hevc").trouble == ""  # another process looks at it


ZOO = {
    "androidx/sample_h265.ts": 1.0,
    "androidx/sample_av1.mkv": 1.0,
    "androidx/sample_rotate_and_reflect.mp4": 1.001,
    "androidx/roadtrip-vp92-10bit.webm": 3.003,
}


@pytest.mark.parametrize("name", ZOO)
def test_recordings_of_other_makers(name: str, shared: Path, tmp_path: Path) -> None:
    source = require(shared / "data/codec_zoo" / name)
    with shelf_of(tmp_path, {"video": source}) as shelf:
        playable = settled(shelf, "video")
        assert playable.state == "ready", playable.reason
        frames = frames_of(played(shelf, "video"))
        assert (playable.ends_at or 0) - playable.begins_at == pytest.approx(ZOO[name], abs=0.01)
        for seconds, picture in frames[:: max(1, len(frames) // 4)]:
            shown = Image.open(BytesIO(shelf.frame("video", playable.begins_at + seconds, 180))).convert(
                "RGB"
            )
            small = Image.fromarray(picture).resize(shown.size)
            assert np.abs(np.asarray(shown, float) - np.asarray(small, float)).mean() < 8
