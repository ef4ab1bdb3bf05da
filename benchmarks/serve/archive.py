"""An archive of any size whose videos really decode: a few hundred generated films, each under many names.

The first videos are the films themselves, with their captions and splits. Every other one is a film by another name (a
hard link), and its features are half those of that film, half those of another, so that no two of the archive are alike
and what a query finds lies in many files. Nothing of this asks how good a search is; only that its answer is right.
"""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tvr.data.base import Caption, Dataset, Video, load_dataset
from tvr.data.contracts.identity import FileIdentity
from tvr.data.rendering.captions import tellings
from tvr.data.rendering.twins import entries
from tvr.pipeline.encoders import clip
from tvr.pipeline.encoders.base import Encoder
from tvr.pipeline.extract import extract
from tvr.pipeline.options import EncoderSpec, ExtractionOptions, Request
from tvr.pipeline.plan import manifest_of, plan_extraction
from tvr.pipeline.request import save_request
from tvr.pipeline.sampling import Sampling
from tvr.pipeline.store.reader import FeatureStore
from tvr.pipeline.store.shards import TextRow, VideoRow, write_text_shard, write_video_shard
from tvr.pipeline.workspace import Workspace

MODEL = "tvr-storyboard"
NUM_FRAMES = 12
VIDEOS_PER_SHARD = 1024
FILES_PER_FOLDER = 1000
ANOTHER_SEED = 1
"""Of stories that nobody filmed: what is looked for."""


@dataclass(frozen=True, slots=True)
class Film:
    """One generated video, with its features."""

    video: VideoRow
    texts: tuple[TextRow, ...]
    split: str
    path: Path
    identity: FileIdentity


@dataclass(frozen=True, slots=True)
class GeneratedArchive:
    """A store in a workspace, and the files of its videos."""

    workspace: Path
    store: Path
    films: int


def write_archive(folder: Path, videos: int, films: int, side_pixels: int) -> GeneratedArchive:
    """Film, extract, and write a store of so many videos.

    Args:
        folder: for all of it.
        videos: of the store; at least as many as films.
        films: generated videos; a fifth of them is for validation and for test.
        side_pixels: of a film.
    """
    encoder = clip.load(MODEL, None, device="cpu", precision="fp32")
    made = _filmed(folder / "films", films, side_pixels, encoder)
    root = folder / "generated"
    _link(root, made, videos)
    options = ExtractionOptions(
        Sampling(num_frames=NUM_FRAMES),
        videos_per_shard=VIDEOS_PER_SHARD,
        request=Request("folder", root, {}, EncoderSpec(MODEL, device="cpu", precision="fp32")),
    )
    dataset = load_dataset("folder", root, {})
    workspace = folder / "workspace"
    store = Workspace(workspace).store_folder(dataset.name, MODEL, "generated", None)
    _write(store, dataset, made, encoder, options)
    return GeneratedArchive(workspace, store, films)


def captions_of_others(count: int) -> list[str]:
    """So many sentences of the same world, no two alike, of stories that no film tells."""
    found: dict[str, None] = {}
    wanted = count
    while len(found) < count:
        wanted *= 2
        stories = entries(ANOTHER_SEED, "train", wanted)
        found = dict.fromkeys(
            " ".join(one.sentences) for entry in stories for one in tellings(entry.story, "single")
        )
    return list(found)[:count]


def film_of(video: int, films: int) -> int:
    """Which film lies under a video's name."""
    return video % films


def _filmed(folder: Path, films: int, side_pixels: int, encoder: Encoder) -> list[Film]:
    held_out = max(2, films // 5)
    settings = {
        "train_videos": str(films - 2 * held_out),
        "val_videos": str(held_out),
        "test_videos": str(held_out),
        "side_pixels": str(side_pixels),
    }
    dataset = load_dataset("storyboard", folder / "videos", settings)
    extract(dataset, encoder, ExtractionOptions(Sampling(num_frames=NUM_FRAMES)), folder / "store")
    store = FeatureStore.open(folder / "store")
    split_of = {video: name for name, ids in store.splits.items() for video in ids}
    return [_film(store, dataset.videos[video], split_of[video]) for video in store.video_ids]


def _film(store: FeatureStore, video: Video, split: str) -> Film:
    assert isinstance(video.path, Path), "it was generated"
    rows = store.texts([video.id])
    identity = FileIdentity.of(video.path)
    seconds = np.array(store.frame_seconds(video.id))
    frames = np.array(store.frames(video.id), np.float32)
    row = VideoRow(video.id, frames, seconds, np.arange(len(seconds)), "ok", "", "decord", file=identity)
    texts = tuple(
        TextRow(
            rows.ids[i],
            video.id,
            rows.texts[i],
            np.array(rows.words[rows.offsets[i] : rows.offsets[i + 1]], np.float32),
            np.array(rows.token_ids[rows.offsets[i] : rows.offsets[i + 1]]),
            int(rows.sentence_row[i]),
            bool(rows.truncated[i]),
        )
        for i in range(len(rows.ids))
    )
    return Film(row, texts, split, video.path, identity)


def _link(root: Path, films: Sequence[Film], videos: int) -> None:
    """The files under their names, and the list of them."""
    root.mkdir(parents=True)
    with (root / "captions.jsonl").open("w", encoding="utf-8") as listed:
        for number in range(videos):
            film = films[film_of(number, len(films))]
            path = Path(f"{number // FILES_PER_FOLDER:04d}", f"{_id(number)}.mp4")
            if number % FILES_PER_FOLDER == 0:
                (root / path).parent.mkdir()
            os.link(film.path, root / path)
            is_original = number < len(films)
            line = {
                "path": str(path),
                "id": _id(number),
                "split": film.split if is_original else "train",
                "captions": [text.text for text in film.texts] if is_original else [],
            }
            listed.write(json.dumps(line) + "\n")


def _id(number: int) -> str:
    return f"v{number:07d}"


def _write(
    store: Path, dataset: Dataset, films: Sequence[Film], encoder: Encoder, options: ExtractionOptions
) -> None:
    """The shards that an extraction would write, without decoding every name of a file again."""
    plan = plan_extraction(dataset, options)
    manifest = manifest_of(dataset, encoder.identity, plan, options)
    store.mkdir(parents=True)
    manifest.save(store, plan.split_ids)
    random = np.random.default_rng(0)
    for shard in plan.video_shards:
        rows = [_row(video, films, random) for video in shard.videos]
        write_video_shard(store / shard.name, rows, manifest.dim, {})
    for shard in plan.text_shards:
        write_text_shard(store / shard.name, list(_texts(shard.captions, films)), manifest.dim, {})
    save_request(store, options)


def _row(video: Video, films: Sequence[Film], random: np.random.Generator) -> VideoRow:
    number = int(video.id[1:])
    own = films[film_of(number, len(films))]
    frames = own.video.frames
    if number >= len(films):
        other = films[int(random.integers(len(films)))].video.frames
        half = len(frames) // 2
        at = np.linspace(0, len(other) - 1, len(frames)).round().astype(int)
        noise = random.standard_normal(frames.shape, np.float32) * float(np.abs(frames).mean()) / 4
        frames = np.concatenate([frames[:half], other[at[half:]]]) + noise
    one = own.video
    return VideoRow(
        video.id, frames, one.frame_seconds, one.frame_index, "ok", "", one.decoder, file=own.identity
    )


def _texts(captions: Sequence[Caption], films: Sequence[Film]) -> Iterator[TextRow]:
    for caption in captions:
        own = films[int(caption.video_id[1:])]
        [text] = [one for one in own.texts if one.text == " ".join(caption.sentences)]
        yield TextRow(
            caption.id,
            caption.video_id,
            text.text,
            text.words,
            text.token_ids,
            text.sentence_row,
            text.truncated,
        )
