"""A small Storyboard set that the tests of the study share."""

import pytest
from tvr.data.base import load_dataset
from tvr.pipeline.encoders import clip
from tvr.pipeline.extract import extract
from tvr.pipeline.options import ExtractionOptions
from tvr.pipeline.sampling import Sampling

from benchmarks.storyboard.measuring import GeneratedSet

VIDEOS = {"train_videos": "48", "val_videos": "16", "test_videos": "16"}


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> GeneratedSet:
    """A small set and its features."""
    folder = tmp_path_factory.mktemp("storyboard")
    dataset = load_dataset("storyboard", folder / "videos", VIDEOS)
    options = ExtractionOptions(Sampling("uniform", 8), num_children=1)
    extract(dataset, clip.load("tvr-storyboard"), options, folder / "store")
    return GeneratedSet(folder / "store", folder / "videos")
