"""What the page shows and plays: frames and proxies tell by their numbers which frames of the source they are."""

import os
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from tvr.cli.page.media import proxies, proxy_writing
from tvr.cli.page.media.files import MediaError, opened_file
from tvr.cli.page.media.frames import FrameShelf
from tvr.cli.page.media.proxies import Proxies, Proxy, Window
from tvr.cli.page.media.proxy_writing import write_proxy
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
        assert isinstance(opened.path, Path)
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


def test_equal_requests_decode_once(shelf: MediaShelf, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[str] = []
    release = threading.Event()
    decode = FrameShelf._decoded

    def counted(self: FrameShelf, *arguments: object) -> bytes:
        assert release.wait(60)
        decoded.append("")
        return decode(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(FrameShelf, "_decoded", counted)
    with ThreadPoolExecutor(50) as people:
        asked = [people.submit(shelf.frame, "mp4", 47 / FPS, 180) for _ in range(50)]
        release.set()
        assert {numbered(each.result()) for each in asked} == {47}
    assert len(decoded) == 1


def test_what_is_kept_of_frames_is_bounded(shelf: MediaShelf, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = shelf._frames
    most = 3 * len(shelf.frame("mp4", 0.0, 180))
    monkeypatch.setattr(frames, "_most_bytes", most)
    for number in range(40, 50):
        shelf.frame("mp4", number / FPS, 180)
    assert 0 < frames._kept_bytes == sum(map(len, frames._kept.values())) <= most


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
    videos = {"clip": Video("clip", files["avi"], 1.2, 1.4)}
    with MediaShelf(store_of(tmp_path / "store", videos), videos, tmp_path / "cache") as shelf:
        assert settled(shelf, "clip").window == Window(0.0, 7.0)


def test_a_proxy_is_no_longer_than_people_wait() -> None:
    whole = Window.around(0.0, None)
    assert whole == Window(0.0, 180.0) and whole.holds(0.0, None) and not whole.holds(100.0, None)
    later = Window.around(3000.0, 9000.0)
    assert later.end - later.begin == 180 and later.holds(3000.0, 9000.0)


def made(kept: Proxies, path: Path) -> Proxy:
    """The proxy of a whole file, as soon as it is there."""
    with opened_file(path) as opened:
        while (found := kept.found(opened, 0.0, None)) is None:
            assert kept.asked(opened, Window.around(0.0, None), copy=False) == ""
            time.sleep(0.01)
    return found


def test_proxies_of_another_server_are_found(
    shelf: MediaShelf, files: dict[str, Path], tmp_path: Path
) -> None:
    one, other = (Proxies(tmp_path, 1 << 30, shelf._processes, 1) for _ in range(2))
    proxy = made(one, files["avi"])
    with opened_file(files["avi"]) as opened:
        assert other.found(opened, 0.0, None) == proxy
    with opened_file(files["mirrored"]) as opened:
        assert other.found(opened, 0.0, None) is None
    for kept in (one, other):
        kept.close()


def test_a_file_that_has_changed_has_no_proxy(
    shelf: MediaShelf, files: dict[str, Path], tmp_path: Path
) -> None:
    kept = Proxies(tmp_path / "cache", 1 << 30, shelf._processes, 1)
    path = Path(shutil.copy(files["avi"], tmp_path / "avi.avi"))
    made(kept, path)
    kept.close()
    os.utime(path, ns=(1, 1))
    with opened_file(path) as opened:
        assert kept.found(opened, 0.0, None) is None


def test_proxies_have_bounded_room(shelf: MediaShelf, files: dict[str, Path], tmp_path: Path) -> None:
    for name in ("avi", "mirrored", "avi"):
        kept = Proxies(tmp_path, 1, shelf._processes, 1)
        newest = made(kept, files[name]).path
        kept.close()
        assert list(tmp_path.glob("*")) == [newest.parent]
        assert list(newest.parent.iterdir()) == [newest]


def test_the_proxy_that_nobody_played_for_longest_goes_first(
    shelf: MediaShelf, files: dict[str, Path], tmp_path: Path
) -> None:
    kept = Proxies(tmp_path, 1 << 30, shelf._processes, 1)
    there = {name: made(kept, files[name]) for name in ("avi", "mirrored")}
    for age, name in enumerate(("mirrored", "avi")):
        os.utime(there[name].path, ns=(age, age))
    kept.opened(there["mirrored"]).file.close()
    kept._most_bytes = sum(proxy.path.stat().st_size for proxy in there.values())
    made(kept, files["uneven"])
    kept.close()
    assert there["mirrored"].path.exists() and not there["avi"].path.exists()


def test_without_h264_proxies_are_webm(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy_writing, "ENCODERS", proxy_writing.ENCODERS[1:])
    target = tmp_path / "proxy"
    made = write_proxy(files["avi"], target, 0.4, 1.0, copy=False)
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


def test_what_failed_is_tried_again_where_a_person_asks_for_it(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that was full has room again; and a file that took too long to look at is looked at once more."""
    (tmp_path / "cache").touch()
    with shelf_of(tmp_path, {"avi": files["avi"]}) as shelf:
        monkeypatch.setattr("tvr.cli.page.media.shelf._PROBE_SECONDS", 0.0)
        assert "time limit" in shelf.playable("avi").reason
        monkeypatch.undo()
        assert "time limit" in shelf.playable("avi").reason, "remembered, for looking may take as long again"
        assert shelf.playable("avi", again=True).state == "making"
        failed = settled(shelf, "avi")
        assert (failed.state, "cannot be written" in failed.reason) == ("failed", True)
        (tmp_path / "cache").unlink()
        assert shelf.playable("avi") == failed
        assert shelf.playable("avi", again=True).state == "making"
        assert settled(shelf, "avi").state == "ready"


def test_what_is_tried_again_fails_again_where_nothing_has_changed(
    files: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "cache").touch()
    with shelf_of(tmp_path, {"avi": files["avi"], "text": files["text"]}) as shelf:
        for video in ("avi", "text"):
            failed = settled(shelf, video)
            shelf.playable(video, again=True)
            assert settled(shelf, video) == failed
            assert failed.state == "failed"


def test_a_damaged_file_is_played_as_far_as_it_is_sound(files: dict[str, Path], tmp_path: Path) -> None:
    broken = damage(Path(shutil.copy(files["avi"], tmp_path / "avi.avi")), 0.5, 200)
    write_proxy(broken, tmp_path / "proxy", 0.0, 180.0, copy=False)
    numbers = [number_of(picture) for _, picture in frames_of(tmp_path / "proxy")]
    assert numbers == sorted(set(numbers) - {-1})
    assert (numbers[0], numbers[-1]) == (0, 59) and 30 < len(numbers) < 60


def test_a_proxy_that_takes_too_long_fails(
    shelf: MediaShelf, files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxies, "_limit_seconds", lambda window: 0.01)
    kept = Proxies(tmp_path, 1 << 30, shelf._processes, 1)
    with opened_file(files["hevc"]) as opened:
        while not (reason := kept.asked(opened, Window(0.0, 30.0), copy=False)):
            time.sleep(0.01)
    kept.close()
    assert "longer than its time limit" in reason
    assert not any(path.is_file() for path in tmp_path.rglob("*"))
    monkeypatch.undo()
    assert made(
        Proxies(tmp_path, 1 << 30, shelf._processes, 1), files["avi"]
    ).path.exists()  # by another process


ZOO = {
    "androidx/sample_h265.ts": 1.0,
    "androidx/sample_av1.mkv": 1.0,
    "androidx/sample_rotate_and_reflect.mp4": 1.001,
    "androidx/roadtrip-vp92-10bit.webm": 3.003,
}


@pytest.fixture(scope="module")
def zoo(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MediaShelf]:
    sources = {name: require(shared / "data/codec_zoo" / name) for name in ZOO}
    with shelf_of(tmp_path_factory.mktemp("zoo"), sources) as shelf:
        yield shelf


@pytest.mark.parametrize("name", ZOO)
def test_recordings_of_other_makers(name: str, zoo: MediaShelf) -> None:
    playable = settled(zoo, name)
    assert playable.state == "ready", playable.reason
    frames = frames_of(played(zoo, name))
    assert (playable.ends_at or 0) - playable.begins_at == pytest.approx(ZOO[name], abs=0.01)
    for seconds, picture in frames[:: max(1, len(frames) // 3)]:
        shown = Image.open(BytesIO(zoo.frame(name, playable.begins_at + seconds, 180))).convert("RGB")
        small = Image.fromarray(picture).resize(shown.size)
        assert np.abs(np.asarray(shown, float) - np.asarray(small, float)).mean() < 8
