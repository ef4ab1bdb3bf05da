"""What every decoder must do alike: the same frames, at the same times, upright."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from tvr.data.contracts.errors import DecodeError
from tvr.data.contracts.plug_ins import load_plug_in, plug_in_names
from tvr.pipeline.decoders.base import Decoder
from tvr.pipeline.decoders.pyav import Decoder as PyAV
from tvr.pipeline.sampling import Sampling, sample

from ...fixtures.mp4 import HEIGHT, WIDTH, Movie, number_of, numbered_frame, write_movie, write_sound

PACKAGE = "tvr.pipeline.decoders"


@pytest.fixture(params=plug_in_names(PACKAGE))
def decoder(request: pytest.FixtureRequest) -> Decoder:
    plug_in = load_plug_in(PACKAGE, request.param)
    if missing := plug_in.available():
        pytest.skip(missing)
    return plug_in.Decoder()


@pytest.mark.parametrize("ending", ["mp4", "mov"])
@pytest.mark.parametrize("indices", [[0], [59], [0, 1, 2, 3, 4, 5, 6], [3, 17, 18, 40, 59], [11, 12, 13, 24]])
def test_reads_the_frames_that_are_asked_for(
    decoder: Decoder, tmp_path: Path, indices: Sequence[int], ending: str
) -> None:
    path = write_movie(tmp_path / f"movie.{ending}")
    times = decoder.probe(path)
    assert (times.height, times.width) == (HEIGHT, WIDTH)
    assert [number_of(frame) for frame in decoder.read(path, indices)] == list(indices)
    assert np.allclose(times.frame_seconds, np.arange(60) / 25, atol=1e-3)


def test_a_file_that_a_library_is_not_trusted_to_seek_in_is_read_right_or_declined(
    decoder: Decoder, tmp_path: Path
) -> None:
    path = write_movie(tmp_path / "movie.mkv")
    if isinstance(decoder, PyAV):
        assert [number_of(frame) for frame in decoder.read(path, [11, 12, 40])] == [11, 12, 40]
    else:
        with pytest.raises(DecodeError, match="not trusted to seek in h264 in matroska"):
            decoder.probe(path)


def test_frames_at_a_variable_rate_have_their_own_times(decoder: Decoder, tmp_path: Path) -> None:
    milliseconds = np.cumsum([0, 40, 40, 2000, 15, 15, 700, 40, 40, 40]).tolist()
    path = write_movie(tmp_path / "movie.mp4", Movie(num_frames=10, times=milliseconds))
    times = decoder.probe(path)
    assert np.allclose(times.frame_seconds, np.array(milliseconds) / 1000, atol=1e-3)
    chosen = sample(times.frame_seconds, Sampling("fps", fps=2.0))
    assert [number_of(frame) for frame in decoder.read(path, chosen.tolist())] == [0, 2, 5]


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_a_rotated_video_comes_out_upright(decoder: Decoder, tmp_path: Path, rotation: int) -> None:
    path = write_movie(tmp_path / "movie.mp4", Movie(num_frames=5, rotation=rotation))
    times = decoder.probe(path)
    expected = np.rot90(numbered_frame(4), rotation // 90)
    assert times.rotation == -rotation % 360
    assert (times.height, times.width) == expected.shape[:2]
    frame = next(iter(decoder.read(path, [4])))
    assert np.abs(frame.astype(int) - expected).mean() < 12


def test_reads_one_file_after_another(decoder: Decoder, tmp_path: Path) -> None:
    first = write_movie(tmp_path / "first.mp4", Movie(num_frames=20))
    second = write_movie(tmp_path / "second.mp4", Movie(num_frames=30, fps=10))
    for path, count in ((first, 20), (second, 30), (first, 20)):
        assert len(decoder.probe(path).frame_seconds) == count
        assert [number_of(frame) for frame in decoder.read(path, [count - 1])] == [count - 1]


@pytest.mark.parametrize("name", ["-dash.mp4", "mit Umlaut ä.mp4", "a b'c.mp4", "%03d.mp4", "concat:a|b.mp4"])
def test_reads_files_of_any_name(
    decoder: Decoder, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_movie(tmp_path / "movie.mp4", Movie(num_frames=5)).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert [number_of(frame) for frame in decoder.read(Path(name), [2])] == [2]


def test_decoders_agree_with_each_other(shared: Path) -> None:
    decoders = [load_plug_in(PACKAGE, name) for name in plug_in_names(PACKAGE)]
    first, *others = [plug_in.Decoder() for plug_in in decoders if not plug_in.available()]
    clips = sorted((shared / "data/panda70m_samples/videos").glob("*.mp4"))[::8]
    clips += sorted((shared / "data/captioned_misc/videos").glob("*.mp4"))[::6]
    compared = 0
    for clip in clips:
        times = first.probe(clip)
        chosen = sample(times.frame_seconds, Sampling("uniform", 5)).tolist()
        pictures = list(first.read(clip, chosen))
        for other in others:
            try:
                theirs = other.probe(clip)
            except DecodeError:
                continue
            assert np.abs(theirs.frame_seconds - times.frame_seconds).max() == 0
            assert all((a == b).all() for a, b in zip(pictures, other.read(clip, chosen), strict=True)), (
                clip.name
            )
            compared += 1
    assert not others or compared > len(clips) // 2


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda folder: folder / "absent.mp4", "file not found"),
        (lambda folder: folder, "is a folder"),
        (lambda folder: _written(folder / "empty.mp4", b""), "empty"),
        (
            lambda folder: _written(folder / "text.mp4", b"This is not a video.\n" * 50),
            "not a readable video",
        ),
        (lambda folder: write_sound(folder / "sound.mp4"), "no video stream"),
    ],
)
def test_probe_fails(decoder: Decoder, tmp_path: Path, make: object, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason):
        decoder.probe(make(tmp_path))  # pyright: ignore


def test_a_playlist_reads_no_other_file(decoder: Decoder, tmp_path: Path) -> None:
    write_movie(tmp_path / "secret.ts", Movie(num_frames=5, codec="mpeg2video"))
    playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.ts\n#EXT-X-ENDLIST\n"
    for name in ("list.m3u8", "list.mp4"):
        with pytest.raises(DecodeError):
            decoder.probe(_written(tmp_path / name, playlist.encode()))


def _written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path
