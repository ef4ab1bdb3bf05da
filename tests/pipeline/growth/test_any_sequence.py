"""Whatever happens to an archive and to the runs that follow it, compacting ends as an extraction from the start."""

import json
import random
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import adaptive_avg_pool2d
from tvr.data.base import load_dataset
from tvr.pipeline.encoders.base import EncodedText
from tvr.pipeline.encoders.towers.frozen import FrozenEncoder
from tvr.pipeline.encoders.towers.image import FrameTower
from tvr.pipeline.encoders.towers.precision import Arithmetic
from tvr.pipeline.extract import run_extraction
from tvr.pipeline.growth.compaction import compact_store
from tvr.pipeline.options import ExtractionOptions
from tvr.pipeline.progress import Progress
from tvr.pipeline.shard_worker import ShardWorker
from tvr.pipeline.store.checksummed_json import read_checksummed
from tvr.pipeline.store.reader import FeatureStore

from ...fixtures.archive import built_in_encoder, bytes_of, options_for
from ...fixtures.mp4 import Movie, write_movie
from ...fixtures.warm_shell import WarmShell, warm_shell

SEQUENCES, STEPS = 100, 5
WITH_PROCESSES = 10
"""Every so many sequences also have steps in processes of their own: killed ones, and two at once."""
SIZES = {"videos_per_shard": 2, "frames_per_batch": 6}
COMMAND = (
    "extract --dataset folder --model tvr-storyboard --num-frames 2 --batch-size 6 --videos-per-shard 2 "
    "--decoding-processes 1 --device cpu --precision fp32"
)


class BrokenOffError(Exception):
    """What ends a run in the middle."""


class Archive:
    """A folder of clips and its manifest, to which things happen."""

    def __init__(self, root: Path, clips: list[Path], rng: random.Random, texts_per_shard: int) -> None:
        self.root, self.clips, self.rng, self.texts_per_shard = root, clips, rng, texts_per_shard
        self.captions: dict[str, list[str]] = {}
        root.mkdir()
        for _ in range(4):
            self.add()
        self.write()

    def add(self) -> None:
        name = f"{self.rng.choice('abcdefgh')}{self.rng.randrange(3)}"
        if name not in self.captions:
            self.captions[name] = [f"a clip called {name}"]
            if self.rng.random() < 0.9:  # else its file is yet to come
                self.put(name)

    def put(self, name: str) -> None:
        shutil.copy(self.rng.choice(self.clips), self.root / f"{name}.mp4")

    def remove(self) -> None:
        if len(self.captions) > 2:
            name = self.rng.choice(sorted(self.captions))
            del self.captions[name]
            (self.root / f"{name}.mp4").unlink(missing_ok=True)

    def change_file(self) -> None:
        self.put(self.rng.choice(sorted(self.captions)))

    def change_caption(self) -> None:
        name = self.rng.choice(sorted(self.captions))
        texts = [f"{self.rng.choice(('red', 'blue'))} clip", f"clip {self.rng.randrange(9)}"]
        self.captions[name] = texts[: self.rng.randrange(3)]

    def happens(self) -> None:
        for _ in range(self.rng.randrange(1, 4)):
            self.rng.choice((self.add, self.add, self.remove, self.change_file, self.change_caption))()
        if not any(self.root.glob("*.mp4")):
            self.put(min(self.captions))
        self.write()

    def write(self) -> None:
        rows = [f"{name}.mp4,{text}" for name, texts in self.captions.items() for text in texts or [""]]
        self.rng.shuffle(rows)
        (self.root / "captions.csv").write_text("\n".join(["path,caption", *rows]) + "\n")


def small_encoder() -> FrozenEncoder:
    """One matrix over a few pixels, and a row a letter: what an encoder makes of a row is tested elsewhere."""
    built_in = built_in_encoder()
    assert isinstance(built_in, FrozenEncoder)
    matrix = torch.randn(192, built_in.identity.dim, generator=torch.Generator().manual_seed(0))

    def network(pictures: torch.Tensor, patches: bool) -> tuple[torch.Tensor, ...]:
        return (adaptive_avg_pool2d(pictures, 8).flatten(1) @ matrix,)

    def texts(texts: Sequence[str], repeatable: bool) -> list[EncodedText]:
        ids = [np.frombuffer(text.encode(), np.uint8).astype(np.int32) for text in texts]
        return [EncodedText(matrix[one].numpy(), one, len(one) - 1, False) for one in ids]

    arithmetic = Arithmetic(torch.device("cpu"), "fp32")
    frames = FrameTower(network, built_in.identity.preprocessing, arithmetic)
    return replace(built_in, frames=frames, texts=texts)


@pytest.fixture(scope="module")
def workers() -> Iterator[tuple[ShardWorker, ShardWorker]]:
    """One with the encoder that processes of their own have as well, and one that is quick."""
    built_in, small = built_in_encoder(), small_encoder()
    with ShardWorker(built_in, options_for(Path())) as one, ShardWorker(small, options_for(Path())) as other:
        yield one, other


@pytest.fixture(scope="module")
def shell() -> WarmShell:
    return warm_shell()


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two films and a file that is none."""
    place = tmp_path_factory.mktemp("clips")
    write_movie(place / "short.mp4", Movie(num_frames=4))
    write_movie(place / "long.mp4", Movie(num_frames=7))
    (place / "none.mp4").write_bytes(b"no film at all")
    return sorted(place.iterdir())


def options_of(archive: Archive, **changes: object) -> ExtractionOptions:
    options = options_for(archive.root, **SIZES, texts_per_shard=archive.texts_per_shard, **changes)
    return replace(options, sampling=replace(options.sampling, num_frames=2))


def extracted(archive: Archive, worker: ShardWorker, store: Path, **changes: object) -> None:
    described = load_dataset("folder", archive.root, {})
    run_extraction(worker, described, options_of(archive, **changes), store)


def broken_off(archive: Archive, worker: ShardWorker, store: Path) -> None:
    """A run that ends in the middle, in order."""
    left = archive.rng.randrange(6)

    def count(progress: Progress) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise BrokenOffError

    described = load_dataset("folder", archive.root, {})
    with suppress(BrokenOffError):
        run_extraction(worker, described, options_of(archive), store, on_progress=count)


def killed(archive: Archive, shell: WarmShell, store: Path) -> None:
    """A run that ends in the middle by ``kill -9``, before one of its changes of the store."""
    at = archive.rng.randrange(40)
    command = [*COMMAND.split(), "--root", str(archive.root), "--store", str(store)]
    code, said = shell.run(*command, kill_at_change=at, folder=str(store))
    assert code in (0, -9), said


def two_at_once(archive: Archive, shell: WarmShell, store: Path) -> None:
    """Two jobs of an array, started together."""
    command = [*COMMAND.split(), "--root", str(archive.root), "--store", str(store)]
    runs = [shell.start(*command, "--shard", f"{job}/2") for job in (1, 2)]
    codes = [run.wait() for run in runs]
    assert codes == [0, 0], [run.said for run in runs]


def steps_of(
    archive: Archive, worker: ShardWorker, shell: WarmShell | None, store: Path
) -> list[Callable[[], None]]:
    steps: list[Callable[[], None]] = [
        archive.happens,
        archive.happens,
        lambda: extracted(archive, worker, store),
        lambda: broken_off(archive, worker, store),
        lambda: extracted(archive, worker, store, retry="failed"),
    ]
    if shell is not None:
        steps += [lambda: killed(archive, shell, store), lambda: two_at_once(archive, shell, store)]
    return steps


def facts_of(store: Path) -> dict[str, object]:
    """All that is said of the store and its shards, but the seconds that they took."""
    said: dict[str, object] = {"splits": json.loads((store / "splits.json").read_text())}
    for path in (store / "store.json", *sorted(store.glob("*-of-*.json"))):
        record = read_checksummed(path)
        # A file that was copied again is the same file, written at another time.
        record["files"] = {
            i: re.sub("modified [0-9]+", "", file) for i, file in record.get("files", {}).items()
        }
        record["failed_files"] = sorted(record.get("failed_files", {}))
        said |= {f"{path.stem} {key}": value for key, value in record.items() if key != "seconds"}
    return said


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_any_sequence_ends_as_an_extraction_from_the_start(
    part: int, workers: tuple[ShardWorker, ShardWorker], shell: WarmShell, clips: list[Path], tmp_path: Path
) -> None:
    for seed in range(part, SEQUENCES, 4):
        rng, store = random.Random(seed), tmp_path / f"store{seed}"
        with_processes = seed // 4 % WITH_PROCESSES == 0
        worker = workers[0] if with_processes else workers[1]
        # The command line has no option for captions in a shard.
        archive = Archive(tmp_path / f"archive{seed}", clips, rng, 4096 if with_processes else 3)
        extracted(archive, worker, store)
        for _ in range(STEPS):
            rng.choice(steps_of(archive, worker, shell if with_processes else None, store))()
        extracted(archive, worker, store)
        grown = FeatureStore.open(store)
        fresh = tmp_path / f"fresh{seed}"
        extracted(archive, worker, fresh)
        expected = FeatureStore.open(fresh)
        assert grown.statuses() == expected.statuses(), seed
        assert grown.texts().texts == expected.texts().texts, seed
        compact_store(store)
        assert bytes_of(store) == bytes_of(fresh), seed
        facts, expected_facts = facts_of(store), facts_of(fresh)
        assert facts.keys() == expected_facts.keys(), seed
        assert {
            key: (value, expected_facts[key]) for key, value in facts.items() if value != expected_facts[key]
        } == {}, seed
        for folder in (store, fresh, archive.root):
            shutil.rmtree(folder)
