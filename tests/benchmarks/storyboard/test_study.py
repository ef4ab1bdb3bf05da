"""The study trains each trial once, and spoils captions as it says."""

import json
from pathlib import Path

import pytest
from tvr.data.base import load_dataset
from tvr.data.contracts.plug_ins import plug_in_names
from tvr.pipeline.encoders import clip
from tvr.pipeline.extract import extract
from tvr.pipeline.plan import ExtractionOptions
from tvr.pipeline.sampling import Sampling
from tvr.pipeline.store import FeatureStore

from benchmarks.storyboard.measuring import Task, run_task
from benchmarks.storyboard.study import changes, contenders, folder_of, repeats, row_of, tuning
from benchmarks.storyboard.training_sets import first_videos
from benchmarks.storyboard.trials import Trial

VIDEOS = {"train_videos": "48", "val_videos": "16", "test_videos": "16"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A small set and its features."""
    folder = tmp_path_factory.mktemp("storyboard")
    dataset = load_dataset("storyboard", folder / "videos", VIDEOS)
    options = ExtractionOptions(Sampling("uniform", 8), num_children=1)
    extract(dataset, clip.load("tvr-storyboard"), options, folder / "store")
    return folder / "store", folder / "videos"


def task(trial: Trial, place: tuple[Path, Path], workspace: Path) -> Task:
    return Task(trial, *place, folder_of(trial, workspace), tested=True)


@pytest.mark.parametrize("head", ["mean_pool", "hcmi"])
def test_a_trial_is_measured_once(head: str, place: tuple[Path, Path], tmp_path: Path) -> None:
    settings = {"layers": "1", "word_layers": "1"} if head == "hcmi" else {}
    some = task(Trial(head, settings=settings, train_videos=48, epochs=2, num_frames=8), place, tmp_path)
    file = run_task(some)
    figures = json.loads(file.read_text())
    assert set(figures["twins"]) == {"order", "colour"}
    assert figures["spans"]["frame_word"]["phrases"] >= 32
    assert ("clip_phrase" in figures["spans"]) == (head == "hcmi")
    assert set(figures["test"]["normalised"]) == {"qb_norm", "sinkhorn_bank", "dsl", "sinkhorn"}
    assert (figures["parameters"] > 0) == (head == "hcmi")
    written = file.stat().st_mtime_ns
    assert run_task(some).stat().st_mtime_ns == written
    row = row_of(head, [some])
    assert row["seeds"] == 1
    assert row["deviation"] == {}


@pytest.mark.parametrize("noise", ["wrong", "duplicate"])
def test_noise_touches_the_share_it_names(noise: str, place: tuple[Path, Path]) -> None:
    store = FeatureStore.open(place[0])
    clean = first_videos(store, "train", 48)
    trial = Trial("hcmi", train_videos=48, noise=noise, noise_share=0.25)  # pyright: ignore[reportArgumentType]
    spoilt = first_videos(store, "train", 48, trial)
    told = {clean.video_ids[v]: t for t, v in zip(clean.texts, clean.text_video.tolist(), strict=True)}
    changed = [
        spoilt.video_ids[v]
        for t, v in zip(spoilt.texts, spoilt.text_video.tolist(), strict=True)
        if told[spoilt.video_ids[v]] != t
    ]
    assert len(changed) == 12
    frames_changed = (spoilt.frames.starts != clean.frames.starts).sum()
    assert int(frames_changed) == (12 if noise == "duplicate" else 0)
    if noise == "wrong":
        assert sorted(spoilt.texts) == sorted(clean.texts)


def test_every_head_gets_the_same_effort() -> None:
    assert {rival.head for rival in contenders()} == set(plug_in_names("tvr.heads"))
    assert len({rival.label for rival in contenders()}) == len(contenders())
    for rival in contenders():
        tries = tuning(rival)
        assert len({trial.name for trial in tries}) == (
            4 if tries[0].is_trained and not rival.is_costly else 1
        )
        assert len({trial.name for trial in repeats(tries[-1])}) == (3 if tries[0].is_trained else 1)


def test_every_change_is_another_trial() -> None:
    base = Trial("hcmi")
    names = [change.of(base).name for change in changes()]
    assert len(set(names)) == len(names)
    for change in changes():
        assert change.of(base).head_config is not None
