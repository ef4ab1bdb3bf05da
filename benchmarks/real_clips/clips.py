"""The real clips of both folders as one archive, and their features at each number of frames."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tvr.data.base import load_dataset
from tvr.heads.features.feature_set import FeatureSet, Origin
from tvr.heads.features.from_store import features_of
from tvr.pipeline.encoders.base import Encoder
from tvr.pipeline.extract import extract
from tvr.pipeline.options import ExtractionOptions, sampling_of
from tvr.pipeline.store.reader import FeatureStore

FOLDERS = ("panda70m_samples", "captioned_misc")
EVERYTHING = "all"


@dataclass(frozen=True)
class Gallery:
    """Clips that are searched together, with every caption that describes one of them."""

    name: str
    """A folder, or ``all``."""
    features: FeatureSet


def linked(data: Path, workspace: Path) -> Path:
    """A folder in the workspace with a link to each folder of clips, and one manifest of all of them.

    Every clip is in the split ``test``: nothing is trained or chosen on any of them.
    """
    root = workspace / "real_clips"
    root.mkdir(parents=True, exist_ok=True)
    rows: list[Mapping[str, object]] = []
    for name in FOLDERS:
        if not (root / name).is_symlink():
            (root / name).symlink_to((data / name).resolve(), target_is_directory=True)
        lines = (data / name / "captions.jsonl").read_text(encoding="utf-8").splitlines()
        described = [json.loads(line) for line in lines]
        rows += [
            {"path": f"{name}/{row['video']}", "captions": row["captions"], "split": "test"}
            for row in described
        ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (root / "captions.jsonl").write_text(text, encoding="utf-8")
    return root


def extracted(root: Path, encoder: Encoder, num_frames: int, workspace: Path) -> FeatureStore:
    """So many frames of every clip, evenly spread; what is stored already is not encoded again."""
    dataset = load_dataset("folder", root, {})
    options = ExtractionOptions(
        sampling_of(dataset.preset, "uniform", num_frames, None), frames_per_batch=encoder.frames_per_batch
    )
    identity = encoder.identity
    folder = workspace / "features" / f"{identity.model}-{identity.precision}-{num_frames}-frames"
    extract(dataset, encoder, options, folder)
    return FeatureStore.open(folder)


def galleries(store: FeatureStore) -> list[Gallery]:
    """Each folder by itself, and all clips together."""
    everything = features_of(store, "test")
    return [
        *(Gallery(name, _of_folder(store, name, everything.origin)) for name in FOLDERS),
        Gallery(EVERYTHING, everything),
    ]


def _of_folder(store: FeatureStore, name: str, origin: Origin) -> FeatureSet:
    ids = [video for video in store.video_ids if video.startswith(f"{name}/")]
    return FeatureSet(
        store.videos(ids), store.texts(ids), replace(origin, split=name, expected_videos=len(ids))
    )
