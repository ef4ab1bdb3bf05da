"""A small folder of real clips with captions, extracted with the built-in encoder."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from tvr.data.base import load_dataset
from tvr.pipeline.doctor import write_sample
from tvr.pipeline.encoders import clip
from tvr.pipeline.encoders.base import Encoder
from tvr.pipeline.extract import extract
from tvr.pipeline.options import ExtractionOptions, Request
from tvr.pipeline.sampling import Sampling

OPTIONS = ExtractionOptions(
    Sampling(num_frames=4), videos_per_shard=2, texts_per_shard=3, frames_per_batch=6, num_children=1
)


def built_in_encoder() -> Encoder:
    """The encoder that needs no download."""
    return clip.load("tvr-storyboard", None, device="cpu", precision="fp32")


def write_archive(root: Path) -> Path:
    """Five rows in three shards: four sound clips, of which one file is not there, and an empty file."""
    root.mkdir()
    for name in ("a", "b", "d"):
        write_sample(root / f"{name}.mp4")
    (root / "c.mp4").touch()
    rows = [f"{name}.mp4,a grey picture called {name}" for name in "abcde"]
    (root / "captions.csv").write_text("\n".join(["path,caption", *rows]) + "\n")
    return root


def options_for(root: Path, **changes: Any) -> ExtractionOptions:
    """How a user would ask for the archive's features."""
    request = Request("folder", root, {}, "tvr-storyboard", None, "cpu", "fp32")
    return replace(OPTIONS, **changes, request=request)


def extracted(root: Path, encoder: Encoder, folder: Path, **changes: Any) -> Path:
    """The store of the archive's features."""
    extract(load_dataset("folder", root, {}), encoder, options_for(root, **changes), folder)
    return folder


def bytes_of(folder: Path) -> dict[str, bytes]:
    """Every shard with its bytes."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.h5"))}
