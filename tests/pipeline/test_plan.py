from pathlib import Path

import pytest
from tvr.data.base import Preset, Video
from tvr.data.contracts.errors import DataError, UsageError
from tvr.data.contracts.numbers import as_option
from tvr.data.contracts.plug_ins import load_plug_in, plug_in_names
from tvr.pipeline.options import ExtractionOptions, pixels_of, sampling_before, sampling_of
from tvr.pipeline.plan import plan_extraction, usual_videos_per_shard
from tvr.pipeline.sampling import Sampling

from ..fixtures.datasets import dataset
from ..fixtures.mp4 import Movie, write_movie

PATHS: dict[str, Path | None] = {f"v{i}": Path(f"v{i}.mp4") for i in (3, 1, 4, 0, 2, 5)}


def options(**changes: object) -> ExtractionOptions:
    return ExtractionOptions(sampling=Sampling(), **changes)  # type: ignore[arg-type]


def test_shards_are_cut_by_sorted_id() -> None:
    plan = plan_extraction(dataset(PATHS), options(videos_per_shard=4, texts_per_shard=5))
    assert [shard.name for shard in plan.video_shards] == [
        "video-00000-of-00002.h5",
        "video-00001-of-00002.h5",
    ]
    assert [video.id for video in plan.videos] == ["v0", "v1", "v2", "v3", "v4", "v5"]
    assert [len(shard.captions) for shard in plan.text_shards] == [5, 1]


def test_a_missing_video_stays_in_the_plan() -> None:
    plan = plan_extraction(dataset(PATHS | {"v1": None}), options())
    assert "v1" in [video.id for video in plan.videos]


def test_limit_takes_from_every_split() -> None:
    plan = plan_extraction(dataset(PATHS), options(limit=3))
    assert {name: len(ids) for name, ids in plan.split_ids.items()} == {"train": 1, "val": 1, "test": 1}
    assert sorted(caption.video_id for caption in plan.captions) == [video.id for video in plan.videos]


def test_limit_passes_over_missing_videos() -> None:
    plan = plan_extraction(dataset(PATHS | {"v3": None}), options(limit=3))
    assert all(video.path for video in plan.videos)


def test_plan_extraction_fails() -> None:
    with pytest.raises(DataError, match="none of its 3 videos was found"):
        plan_extraction(dataset({"a": None, "b": None, "c": None}), options())


@pytest.mark.parametrize(
    "bad", [{"videos_per_shard": 0}, {"limit": 0}, {"max_seconds": -1.0}, {"num_children": 0}]
)
def test_options_fails(bad: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=rf"^{as_option(next(iter(bad)))} must be"):
        options(**bad)


def test_pixels_fails() -> None:
    # The shape checker of the test run looks at Literal types before the class does.
    with pytest.raises((UsageError, TypeError), match="square"):
        options(pixels="round")
    with pytest.raises(UsageError, match=r"unknown --pixels 'round'. Known: square, stored"):
        pixels_of("round")


def test_sampling_of() -> None:
    assert sampling_of(Preset(num_frames=12), None, None, None) == Sampling("uniform", 24, fps=1.0)
    assert sampling_of(Preset(num_frames=64), None, None, None).num_frames == 128
    assert sampling_of(Preset(), None, 8, None).num_frames == 8
    assert sampling_of(Preset(), None, None, 2.0) == Sampling("fps", 512, fps=2.0)
    assert sampling_of(Preset(), "all", None, None).policy == "all"


def test_presets_store_more_frames_than_heads_see() -> None:
    """Of videos that are long enough, two random samples are two views."""
    for name in plug_in_names("tvr.data"):
        preset = load_plug_in("tvr.data", name).ABOUT.preset
        assert sampling_of(preset, None, None, None).num_frames == 2 * preset.num_frames, name


def test_sampling_before() -> None:
    found = [sampling_before(Preset(num_frames=count)).num_frames for count in (12, 16, 40, 64, 100)]
    assert found == [24, 32, 64, 64, 100]


def test_sampling_of_fails() -> None:
    with pytest.raises(UsageError, match=r"unknown --sampling 'unifrom'\. Did you mean 'uniform'"):
        sampling_of(Preset(), "unifrom", None, None)


def test_a_shard_has_an_hour_of_video_at_most_where_nobody_says_how_many() -> None:
    def usual(seconds: float, max_seconds: float | None = None, count: int = 9) -> int:
        spans = [Video(f"v{i}", Path("v.mp4"), 60.0 * i, 60.0 * i + seconds) for i in range(count)]
        return usual_videos_per_shard(spans, max_seconds)

    assert [usual(seconds) for seconds in (0.5, 10, 30, 31, 120, 600, 5000)] == [128, 128, 128, 64, 32, 4, 1]
    assert usual(600, max_seconds=30.0) == 128, "of DiDeMo's videos only the first seconds are read"


def test_whole_files_are_asked_how_long_they_are(tmp_path: Path) -> None:
    short, long = (
        write_movie(tmp_path / f"{name}.mp4", Movie(num_frames=3, times=[0, end // 2, end]))
        for name, end in (("short", 4_000), ("long", 400_000))
    )
    plan = {"short": Video("a", short), "long": Video("a", long)}
    assert usual_videos_per_shard([plan["long"]], None) == 128, "so small a file hardly moves"
    for path in (short, long):
        with path.open("ab") as file:
            file.write(b"\x00\x20\x00\x00free" + bytes((1 << 21) - 8))
    unreadable = tmp_path / "none.mp4"
    unreadable.write_bytes(bytes(1 << 21))
    assert usual_videos_per_shard([plan["short"]], None) == 128
    assert usual_videos_per_shard([plan["long"], Video("b", unreadable)], None) == 8
    assert usual_videos_per_shard([Video("b", unreadable)], None) == 128, (
        "why it is not readable, its row will say"
    )
    assert plan_extraction(dataset({"v1": long}), options()).videos_per_shard == 8
    assert plan_extraction(dataset({"v1": long}), options(videos_per_shard=100)).videos_per_shard == 100
