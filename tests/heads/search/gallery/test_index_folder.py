"""An index answers for what it was made of, and for nothing else; its two files are never of two builds."""

import dataclasses
import inspect
import json
import random
import subprocess
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Literal

import faiss
import numpy as np
import pytest
import torch
from tvr.data.contracts.errors import StoreError
from tvr.data.contracts.plug_ins import load_plug_in, plug_in_names
from tvr.heads import wti
from tvr.heads.base import FeatureShape, Head, build_head
from tvr.heads.features.feature_set import FeatureSet, Origin
from tvr.heads.features.from_store import CONTENT_DIGEST
from tvr.heads.search.gallery.coarse import coarse_of
from tvr.heads.search.gallery.faiss_index import IndexedGallery, build_index
from tvr.heads.search.gallery.index_folder import LOCK, RECORD, IndexRecord, MadeOf, VideoIndex
from tvr.pipeline.store.checksummed_json import read_checksummed, write_checksummed
from tvr.pipeline.store.file_locks import FileLock

from ....fixtures.fuzz import cases
from ....fixtures.generated import generated_rows

SHAPE = FeatureShape(dim=16, num_frames=6, num_words=8)


@cache
def features_as(split: str = "all", digest: str = "aa" * 32) -> FeatureSet:
    """Videos as if of a store in some state."""
    return FeatureSet(*generated_rows(videos=12), Origin(split, store={CONTENT_DIGEST: digest}))


def head_as(
    name: str = "seq_transformer", seed: int = 0, shape: FeatureShape = SHAPE, **settings: Any
) -> Head:
    """A head whose weights are those of a seed."""
    torch.manual_seed(seed)
    head = build_head(name, load_plug_in("tvr.heads", name).Config(**settings), shape)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return head.eval()


@pytest.mark.parametrize(
    ("head", "features", "why"),
    [
        (head_as(), features_as(digest="bb" * 32), "else: the store has other features now. Make"),
        (head_as(), features_as(split="test"), "split: all, not test"),
        (head_as(seed=1), features_as(), "the head has other weights or settings"),
        (head_as(layers=2), features_as(), "the head has other weights or settings"),
        (head_as(heads=2), features_as(), "the head has other weights or settings"),
        (
            head_as(shape=dataclasses.replace(SHAPE, num_frames=5)),
            features_as(),
            "frames of a video: 6, not 5",
        ),
        (head_as("wti"), features_as(), "coarse vectors of: head, not mean_pool"),
        (head_as("seq_lstm"), features_as(), "the head has other weights or settings"),
    ],
)
def test_a_search_fails_with_an_index_of_something_else(
    head: Head, features: FeatureSet, why: str, tmp_path: Path
) -> None:
    index = build_index(head_as(), features_as())
    with pytest.raises(
        StoreError, match=r"made of something else.*Make it again with `build_index`"
    ) as refused:
        IndexedGallery(head, features, index)
    assert why in str(refused.value)
    index.save(tmp_path / "run-1" / "index")
    advice = rf"made of something else.*`tvr index {tmp_path / 'run-1'}`, or leave --candidates out"
    with pytest.raises(StoreError, match=advice):
        IndexedGallery(head, features, VideoIndex.load(tmp_path / "run-1" / "index"))


def test_an_index_of_the_same_is_the_same(tmp_path: Path) -> None:
    """Whoever built it: a head that was loaded again, an index that was read again."""
    build_index(head_as(), features_as()).save(tmp_path)
    query = features_as().text_batch(torch.arange(3), 8)
    found = IndexedGallery(head_as(), features_as(), VideoIndex.load(tmp_path)).search(query, 4, 12)
    fresh = IndexedGallery(head_as(), features_as(), build_index(head_as(), features_as())).search(
        query, 4, 12
    )
    assert found == fresh


def test_a_stand_in_does_not_depend_on_the_head_that_it_stands_in_for() -> None:
    """Trained again, wti's candidates come from the same vectors as before."""
    assert coarse_of(head_as("wti")).digest == coarse_of(head_as("wti", seed=1)).digest
    assert isinstance(head_as("wti"), wti.Head)


@pytest.mark.parametrize("name", plug_in_names("tvr.heads"))
def test_every_head_keeps_its_settings(name: str) -> None:
    """Else two heads of other settings and the same weights would be one to an index."""
    settings = load_plug_in("tvr.heads", name).Config()
    assert not dataclasses.fields(settings) or head_as(name).config == settings  # type: ignore[comparison-overlap]


def made(letter: str, count: int = 3) -> VideoIndex:
    """An index whose vectors are all 1 for the letter a, 2 for b, as its record says too."""
    index = faiss.IndexFlatIP(4)
    index.add(np.full((count, 4), "ab".index(letter) + 1, np.float32))
    record = IndexRecord(
        "flat", 4, [f"{letter}{i}" for i in range(count)], MadeOf("all", letter, 4, "head", letter)
    )
    return VideoIndex(index, record)


def assert_of_one_build(index: VideoIndex) -> None:
    letter = index.record.made_of.store
    assert index.record == made(letter).record
    assert index.index.reconstruct(2).tolist() == ["ab".index(letter) + 1] * 4


def test_the_new_index_takes_the_place_of_the_old(tmp_path: Path) -> None:
    for letter in "aba":
        made(letter).save(tmp_path)
        assert_of_one_build(VideoIndex.load(tmp_path))
        assert len(list(tmp_path.glob("*.faiss"))) == 1
        assert {file.suffix for file in tmp_path.iterdir()} == {".faiss", ".json"}


@pytest.mark.parametrize("step", range(6))
def test_a_write_that_breaks_off_leaves_the_old_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """At any change of the folder."""
    made("a").save(tmp_path)
    left = step

    def broken(change: Callable[..., Any]) -> Callable[..., Any]:
        def attempt(*arguments: Any, **named: Any) -> Any:
            nonlocal left
            if left == 0:
                raise OSError("the power is gone")
            left -= 1
            return change(*arguments, **named)

        return attempt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", broken(Path.replace))
        patch.setattr("tvr.pipeline.store.atomic_files.flush_to_disk", broken(lambda path: None))
        with pytest.raises(StoreError, match=r"cannot be written to .*the power is gone"):
            made("b").save(tmp_path)
    assert_of_one_build(VideoIndex.load(tmp_path))
    made("b").save(tmp_path)
    assert VideoIndex.load(tmp_path).record == made("b").record


_WRITER = f"""
import random, sys, time
from pathlib import Path
import faiss, numpy as np
from tvr.data.contracts.errors import StoreError
from tvr.heads.search.gallery.index_folder import IndexRecord, MadeOf, VideoIndex

{inspect.getsource(made)}

index, pause = made(sys.argv[2]), random.Random(int(sys.argv[3]))
print("ready", flush=True)
sys.stdin.readline()
for _ in range(20):
    time.sleep(pause.random() * 0.01)
    try:
        index.save(Path(sys.argv[1]))
        print("written", flush=True)
    except StoreError as error:
        assert "another process writes the index" in str(error)
        print("refused", flush=True)
"""


@contextmanager
def writers(folder: Path) -> Generator[Sequence["subprocess.Popen[str]"]]:
    """Two processes that write other indexes into one folder, twenty times each, once they are told to."""
    with ExitStack() as ended:
        both: list[subprocess.Popen[str]] = []
        for seed, letter in enumerate("ab"):
            line = [sys.executable, "-c", _WRITER, str(folder), letter, str(seed)]
            pipe = subprocess.PIPE
            both.append(ended.enter_context(subprocess.Popen(line, stdin=pipe, stdout=pipe, text=True)))
            ended.callback(both[-1].kill)
        yield both


def test_two_writers_and_a_reader_mix_nothing(tmp_path: Path) -> None:
    made("a").save(tmp_path)
    reads = 0
    with writers(tmp_path) as both:
        for process in both:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
        for process in both:
            assert process.stdin is not None
            print(file=process.stdin, flush=True)
        while any(process.poll() is None for process in both):
            assert_of_one_build(VideoIndex.load(tmp_path))
            reads += 1
        said = [process.communicate()[0].splitlines() for process in both]
        assert [process.returncode for process in both] == [0, 0]
    assert [len(lines) for lines in said] == [20, 20]
    assert all("written" in lines for lines in said)
    assert reads > 0
    assert_of_one_build(VideoIndex.load(tmp_path))
    assert len(list(tmp_path.iterdir())) == 2


def test_save_fails_while_another_writes(tmp_path: Path) -> None:
    with FileLock(tmp_path / LOCK) as lock:
        assert lock.acquire()
        with pytest.raises(StoreError, match="another process writes the index"):
            made("a").save(tmp_path)
    made("a").save(tmp_path)


def test_load_fails_on_an_index_of_an_earlier_version(tmp_path: Path) -> None:
    """It says of which videos it is, and not of which features and weights."""
    faiss.write_index(made("a").index, str(tmp_path / "videos.faiss"))
    record = {"kind": "flat", "coarse": "head", "dim": 4, "video_ids": ["a0", "a1", "a2"]}
    (tmp_path / RECORD).write_text(json.dumps(record))
    with pytest.raises(
        StoreError, match=r"no whole index of this version.*Make it again with `tvr index \S+`"
    ):
        VideoIndex.load(tmp_path)


def test_load_fails_without_the_vectors(tmp_path: Path) -> None:
    made("a").save(tmp_path)
    next(tmp_path.glob("*.faiss")).unlink()
    with pytest.raises(StoreError, match="its vectors are not there"):
        VideoIndex.load(tmp_path)


def test_load_fails_on_any_changed_byte(tmp_path: Path) -> None:
    made("a").save(tmp_path)
    draw = random.Random(0)
    for _ in range(cases(200)):
        file = draw.choice(sorted(tmp_path.iterdir()))
        data = file.read_bytes()
        changed = bytearray(data)
        changed[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        file.write_bytes(draw.choice([changed, data[: draw.randrange(len(data))]]))
        with pytest.raises(StoreError, match="no whole index"):
            VideoIndex.load(tmp_path)
        file.write_bytes(data)
    assert_of_one_build(VideoIndex.load(tmp_path))


@pytest.mark.parametrize(
    "change",
    [
        {"faiss_sha256": "../../elsewhere"},
        {"faiss_sha256": None},
        {"kind": "tree"},
        {"kind": "ivf"},
        {"dim": 5},
        {"video_ids": ["a0"]},
        {"made_of": {"split": "all"}},
        {"more": 1},
    ],
    ids=str,
)
def test_load_fails_on_a_forged_record(tmp_path: Path, change: dict[str, Any]) -> None:
    """With a checksum that fits: the file that FAISS reads is looked for nowhere else, and is of the kind it says."""
    made("a").save(tmp_path)
    write_checksummed(tmp_path / RECORD, read_checksummed(tmp_path / RECORD) | change)
    with pytest.raises(StoreError, match="no whole index"):
        VideoIndex.load(tmp_path)


def test_load_fails_where_the_vectors_lie_in_another_file(tmp_path: Path) -> None:
    """FAISS would map it for writing, wherever a stranger's index says that it lies."""
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(4), 4, 1, faiss.METRIC_INNER_PRODUCT)
    index.train(np.ones((40, 4), np.float32))
    index.add(np.ones((3, 4), np.float32))
    elsewhere = faiss.OnDiskInvertedLists(1, index.code_size, str(tmp_path / "elsewhere"))
    sources: Any = faiss.InvertedListsPtrVector()  # pyright: ignore[reportAttributeAccessIssue]  # made by SWIG
    sources.push_back(index.invlists)
    elsewhere.merge_from_multiple(sources.data(), sources.size())
    index.replace_invlists(elsewhere, False)
    VideoIndex(index, dataclasses.replace(made("a").record, kind="ivf")).save(tmp_path / "index")
    with pytest.raises(StoreError, match="no whole index"):
        VideoIndex.load(tmp_path / "index")


@pytest.mark.parametrize("kind", ["flat", "hnsw"])
def test_every_kind_is_read_back(tmp_path: Path, kind: Literal["flat", "hnsw"]) -> None:
    built = build_index(head_as(), features_as(), kind)
    assert_read_back(built, tmp_path)


def test_an_index_in_cells_is_read_back(tmp_path: Path) -> None:
    """Which earlier versions made."""
    built = build_index(head_as(), features_as())
    vectors = built.index.reconstruct_n(0, 12)
    cells = faiss.IndexIVFFlat(faiss.IndexFlatIP(16), 16, 2, faiss.METRIC_INNER_PRODUCT)
    cells.train(vectors)
    cells.add(vectors)
    assert_read_back(VideoIndex(cells, dataclasses.replace(built.record, kind="ivf")), tmp_path)


def assert_read_back(built: VideoIndex, folder: Path) -> None:
    built.save(folder)
    loaded = VideoIndex.load(folder)
    query = coarse_of(head_as()).of_texts(features_as().text_batch(torch.arange(3), 8)).numpy()
    assert loaded.record == built.record
    assert loaded.nearest(query, 5) == built.nearest(query, 5)
