"""Label denoising in a training: what it finds, with two views of a video and with one, and what is said of it."""

from dataclasses import asdict
from pathlib import Path

from tvr.heads import hcmi, wti
from tvr.heads.features.feature_set import FeatureSet, Origin
from tvr.heads.runs.denoising import Denoising
from tvr.heads.runs.run_folder import read_metrics, read_result
from tvr.heads.runs.training_config import TrainingConfig
from tvr.heads.training.history import TrainingResult
from tvr.heads.training.loop import train

from ...fixtures.generated import generated_rows

EPOCHS, VIDEOS, COPIES, FRAMES = 2, 30, 10, 8


def trained(folder: Path, *, copies: int, num_frames: int) -> TrainingResult:
    """hcmi on one batch of all videos an epoch; the last ``copies`` show the same frames as the first."""
    videos, texts = generated_rows(videos=VIDEOS, frames=(FRAMES, FRAMES), noise=0.5)
    frames = videos.frames.reshape(VIDEOS, FRAMES, -1)
    frames[VIDEOS - copies :] = frames[:copies]
    config = TrainingConfig(epochs=EPOCHS, batch_size=VIDEOS, num_frames=num_frames, device="cpu")
    small = hcmi.Config(layers=0, word_layers=0, levels=("video_sentence",), level_weights=(1.0, 1.0, 1.0))
    return train("hcmi", small, {"train": FeatureSet(videos, texts, Origin())}, config, folder)


def test_copies_are_found_among_two_random_views(tmp_path: Path) -> None:
    """Of a copy the other random frames are as far as those of the video itself: now and then a little farther."""
    result = trained(tmp_path / "run", copies=COPIES, num_frames=FRAMES // 2)
    found = result.denoising
    assert found is not None and COPIES / 2 * EPOCHS < found.pairs <= COPIES * EPOCHS
    assert found.longer == found.videos == VIDEOS
    assert sum(line["denoised_pairs"] for line in read_metrics(result.folder)) == found.pairs
    assert "denoised_pairs" not in read_metrics(result.folder)[0]["loss"]
    kept = read_result(result.folder)
    assert kept is not None and kept["denoising"] == asdict(found)


def test_where_nothing_is_alike_nothing_is_found(tmp_path: Path) -> None:
    found = trained(tmp_path / "run", copies=0, num_frames=FRAMES // 2).denoising
    assert str(found) == (
        "Label denoising took no pair of videos, so alike that neither is a wrong answer for the other, out of the "
        "negatives in 2 epochs"
    )


def test_one_view_finds_copies_alone_and_says_so(tmp_path: Path) -> None:
    found = trained(tmp_path / "run", copies=COPIES, num_frames=FRAMES).denoising
    assert found == Denoising(COPIES * EPOCHS, EPOCHS, VIDEOS, longer=0, num_frames=FRAMES)
    assert "took 20 pairs" in str(found)
    assert "no video has more than the 8 frames that the head sees, so both views" in str(found)


def test_short_videos_are_told() -> None:
    said = str(Denoising(pairs=3, epochs=5, videos=100, longer=90, num_frames=12))
    assert said.endswith("both views are one of 10 videos that have no more than 12 frames")


def test_other_heads_say_nothing(tmp_path: Path) -> None:
    videos, texts = generated_rows(videos=8)
    config = TrainingConfig(epochs=1, batch_size=8, device="cpu")
    small = wti.Config(layers=0)
    result = train("wti", small, {"train": FeatureSet(videos, texts, Origin())}, config, tmp_path / "run")
    assert result.denoising is None and read_metrics(result.folder)[0]["denoised_pairs"] is None
