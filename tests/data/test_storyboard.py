"""The storyboard data set: contract, protocols, ground truth."""

import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import get_args

import av
import pytest
from tvr.data.base import Protocol
from tvr.data.contracts.errors import DataError, UsageError
from tvr.data.contracts.plug_ins import load_plug_in
from tvr.data.contracts.records import configured
from tvr.data.storyboard import ABOUT, LIMITS, Config, load, phrase_spans, twins

PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)
SMALL = Config(train_videos=16, val_videos=8, test_videos=8, side_pixels=32)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("storyboard") / "set"
    load(folder, SMALL)
    return folder


def test_it_is_a_plug_in() -> None:
    module = load_plug_in("tvr.data", "storyboard")
    assert configured(module.Config, {"train_videos": "12", "protocol": "multi"}, "storyboard") == Config(
        train_videos=12, protocol="multi"
    )


def test_splits(root: Path) -> None:
    dataset = load(root, SMALL)
    assert {name: len(split.video_ids) for name, split in dataset.splits.items()} == {
        "train": 16,
        "val": 8,
        "test": 8,
    }
    assert all(str(dataset.coverage(name)).endswith("videos found") for name in dataset.splits)
    assert not any(dataset.coverage(name).missing for name in dataset.splits)
    assert sorted(i for split in dataset.splits.values() for i in split.video_ids) == sorted(dataset.videos)


@pytest.mark.parametrize("protocol, captions_a_video", [("single", 1), ("multi", 3), ("paragraph", 1)])
def test_captions(root: Path, protocol: Protocol, captions_a_video: int) -> None:
    dataset = load(root, replace(SMALL, protocol=protocol))
    assert dataset.protocol == protocol
    assert set(Counter(c.video_id for c in dataset.captions).values()) == {captions_a_video}
    assert {c.video_id for c in dataset.captions} == set(dataset.videos)
    assert len({c.id for c in dataset.captions}) == len(dataset.captions)
    test = [c for c in dataset.captions if c.video_id in dataset.splits["test"].video_ids]
    assert len({c.text for c in test}) == len(test)
    assert dataset.num_over_long(ABOUT.preset.max_words) == 0


def test_protocols_share_the_videos_but_not_the_digests(root: Path) -> None:
    sets = [load(root, replace(SMALL, protocol=protocol)) for protocol in PROTOCOLS]
    assert all(dataset.videos == sets[0].videos for dataset in sets)
    assert len({tuple(dataset.annotation_digests.items()) for dataset in sets}) == len(PROTOCOLS)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_phrases_tile_caption_and_video(root: Path, protocol: Protocol) -> None:
    dataset = load(root, replace(SMALL, protocol=protocol))
    spans = phrase_spans(root, protocol)
    assert list(spans) == [caption.id for caption in dataset.captions]
    for caption in dataset.captions:
        phrases = spans[caption.id]
        words = caption.text.split()
        assert all(" ".join(words[p.first_word : p.end_word]) == p.text for p in phrases)
        assert [p.start_seconds for p in phrases] == [0.0, *(p.end_seconds for p in phrases[:-1])]
        if protocol == "paragraph":
            assert tuple(p.text for p in phrases) == caption.sentences


def test_last_phrase_ends_with_the_file(root: Path) -> None:
    spans = phrase_spans(root)
    for video in load(root, SMALL).videos.values():
        assert video.path is not None
        with av.open(str(video.path)) as container:
            assert container.duration is not None
            assert container.duration / av.time_base == spans[f"{video.id}#0"][-1].end_seconds


def test_twins(root: Path) -> None:
    dataset = load(root, SMALL)
    texts = {caption.video_id: caption.text for caption in dataset.captions}
    found = twins(root, "test")
    assert Counter(twin.kind for twin in found) == {"order": 4, "colour": 4}
    for twin in found:
        assert {twin.video_id, twin.twin_id} <= set(dataset.splits["test"].video_ids)
        phrases, others = (texts[i].split(" then ") for i in (twin.video_id, twin.twin_id))
        assert phrases != others
        assert (sorted(phrases) == sorted(others)) == (twin.kind == "order")
        assert sorted(" ".join(phrases).split()) == sorted(" ".join(others).split())


def test_a_script_without_a_main_guard_can_load(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from pathlib import Path\n"
        "from tvr.data.storyboard import Config, load\n"
        "config = Config(train_videos=3, val_videos=0, test_videos=0, side_pixels=32)\n"
        f"print(len(load(Path({str(tmp_path / 'set')!r}), config).videos))\n"
    )
    assert (
        subprocess.run([sys.executable, script], capture_output=True, text=True, check=True).stdout == "3\n"
    )


@pytest.mark.parametrize(
    "field, value, allowed",
    [
        ("train_videos", -1, "from 0 to 999999"),
        ("side_pixels", 65, "from 32 to 512, even"),
        ("side_pixels", 16, "from 32 to 512, even"),
        ("fps", 1, "from 4 to 60"),
    ],
)
def test_numbers_out_of_range_fail(tmp_path: Path, field: str, value: int, allowed: str) -> None:
    assert field in LIMITS
    with pytest.raises(UsageError, match=rf"{field} must be {allowed}, got {value}"):
        load(tmp_path / "set", replace(SMALL, **{field: value}))  # pyright: ignore[reportArgumentType]
    assert not (tmp_path / "set").exists()


def test_another_seed_in_the_same_root_fails(root: Path) -> None:
    with pytest.raises(DataError, match="seed = 0, not 1"):
        load(root, replace(SMALL, seed=1))


def test_ground_truth_fails_where_nothing_was_generated(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no storyboard set has been generated"):
        phrase_spans(tmp_path)
    with pytest.raises(DataError, match="no storyboard set has been generated"):
        twins(tmp_path, "test")
