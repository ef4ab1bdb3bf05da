"""An index of every frame finds what comparing every video finds, goes on where it was stopped, and grows."""

import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tvr.data.contracts.errors import StoreError, UsageError
from tvr.data.contracts.plug_ins import load_plug_in
from tvr.heads.base import Head, build_head
from tvr.heads.features.feature_set import FeatureSet, Origin
from tvr.heads.features.from_store import CONTENT_DIGEST
from tvr.heads.search.gallery import frame_index
from tvr.heads.search.gallery.asked_tokens import AskedTokens, compared_tokens
from tvr.heads.search.gallery.encodings_folder import EncodingsOf
from tvr.heads.search.gallery.exact import search
from tvr.heads.search.gallery.frame_index import (
    FRAMES_RECORD,
    Effort,
    FrameIndex,
    built_frame_index,
    opened_frame_index,
)
from tvr.heads.search.gallery.frame_votes import voted
from tvr.heads.search.gallery.index_folder import LOCK
from tvr.heads.search.gallery.kept_encodings import KeptEncodings, kept_encodings
from tvr.heads.search.gallery.kept_scores import KeptScores
from tvr.heads.search.gallery.measured_recall import captions_asked, frames_asked, measured_effort
from tvr.pipeline.store.checksummed_json import read_checksummed, write_checksummed
from tvr.pipeline.store.file_locks import FileLock

from ....fixtures.generated import generated_features

VIDEOS, WORDS = 90, 8
EFFORT = Effort(16, 500, 30, 1.0, 10, "captions")


@cache
def features_of(videos: int = VIDEOS) -> FeatureSet:
    """The first of some generated videos, as if of a store."""
    whole, none = generated_features(videos=VIDEOS), torch.zeros(videos, dtype=torch.long)
    some = whole.cut(torch.arange(videos), none, whole.frames.lengths[:videos])
    some.origin = Origin("all", store={CONTENT_DIGEST: f"{videos:064d}"})
    return some


def head_of(name: str, seed: int = 0) -> Head:
    torch.manual_seed(seed)
    return build_head(name, load_plug_in("tvr.heads", name).Config(), generated_features().shape()).eval()


def texts() -> Any:
    return generated_features(videos=VIDEOS).text_batch(torch.arange(10), WORDS)


def built(folder: Path, name: str = "wti", videos: int = VIDEOS) -> tuple[FrameIndex, KeptEncodings]:
    kept = kept_encodings(head_of(name), features_of(videos), folder / "encodings")
    return built_frame_index(kept, folder / "index"), kept


@pytest.mark.parametrize("name", ["wti", "hcmi", "xclip", "uatvr", "hbi", "mug"])
def test_what_it_names_holds_the_exact_first_ones(name: str, tmp_path: Path) -> None:
    index, kept = built(tmp_path, name)
    encoded = kept.head.encode_text(texts())
    found = index.measured(EFFORT).nearest(encoded, EFFORT.candidates)
    for places, hits in zip(found, search(kept.head, kept.features, texts(), 1), strict=True):
        assert len(places) == len(set(places)) == EFFORT.candidates
        assert kept.features.video_ids.index(hits[0].video_id) in places


def test_heads_that_compare_no_words_with_frames_have_none(tmp_path: Path) -> None:
    assert compared_tokens(head_of("seq_transformer")) is None
    with pytest.raises(UsageError, match="compares no words with frames: choose --kind flat"):
        built(tmp_path, "seq_transformer")


def test_votes_are_counted_as_token_interaction_compares() -> None:
    """Two words, videos of two rows: what is not above the worst that a word was given counts nothing."""
    asked = AskedTokens(np.zeros((2, 4), np.float32), np.array([0.75, 0.25], np.float32))
    cosines = np.array([[0.9, 0.5, 0.4, 0.3], [0.8, 0.7, 0.6, 0.0]], np.float32)
    rows = np.array([[0, 1, 4, 6], [0, 4, 7, -1]])
    videos, votes = voted(asked, cosines, rows, tokens=2)
    words = [0.75 * 0.6 + 0.25 * 0.2, 0.75 * 0.1 + 0.25 * 0.1, 0.0]
    frames = [(0.6 + 0.2) / 2, 0.1 / 2, 0.0]
    assert videos.tolist() == [0, 2, 3]
    assert votes == pytest.approx([(w + f) / 2 for w, f in zip(words, frames, strict=True)])


def test_only_what_may_be_found_is_named(tmp_path: Path) -> None:
    index, kept = built(tmp_path)
    index, encoded = index.measured(EFFORT), kept.head.encode_text(texts())
    among = torch.zeros(VIDEOS, dtype=torch.bool)
    among[::2] = True
    assert index.nearest(encoded, 30, among) == [list(range(0, VIDEOS, 2))] * 10, "all of so few"
    for places in index.nearest(encoded, 5, among):
        assert len(places) == 5
        assert all(place % 2 == 0 for place in places)


def test_every_kept_item_is_compared_as_the_head_does(tmp_path: Path) -> None:
    kept = kept_encodings(head_of("hcmi"), features_of(), tmp_path / "encodings")
    scores = KeptScores(kept)(kept.head.encode_text(texts()))
    for row, hits in zip(scores, search(kept.head, kept.features, texts(), VIDEOS), strict=True):
        exact = {hit.video_id: hit.score for hit in hits}
        assert row.tolist() == pytest.approx([exact[i] for i in kept.features.video_ids], abs=1e-3)


def test_what_was_stopped_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a step that was written; what it then names is what it names when it is built at once."""
    whole, kept = built(tmp_path)
    monkeypatch.setattr(frame_index, "STEP", 40)
    seen: list[int] = []

    def stopped(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        built_frame_index(kept, tmp_path / "other", stopped)
    with pytest.raises(StoreError, match="not finished"):
        opened_frame_index(tmp_path / "other", kept.head, kept.features)
    resumed = built_frame_index(kept, tmp_path / "other", lambda done, total: seen.append(done))
    assert seen == [80, 90]
    assert resumed.record.made_of == whole.record.made_of
    assert len(list((tmp_path / "other").glob("*.faiss"))) == 1
    encoded = kept.head.encode_text(texts())
    for row in range(10):
        assert resumed.votes(encoded, row, EFFORT).tolist() == whole.votes(encoded, row, EFFORT).tolist()


def gallery_of(places: list[int]) -> FeatureSet:
    """Some of the videos in some order, as if of a store of which they are all."""
    whole, some = generated_features(videos=VIDEOS), torch.tensor(places)
    found = whole.cut(some, torch.zeros_like(some), whole.frames.lengths[some])
    found.origin = Origin("all", store={CONTENT_DIGEST: str(places)})
    return found


def grown_to(places: list[int], folder: Path, seen: list[int]) -> FrameIndex:
    """The index of before, now of these videos."""
    kept = kept_encodings(head_of("wti"), gallery_of(places), folder / "encodings")
    return built_frame_index(kept, folder / "index", lambda done, total: seen.append(done))


def assert_finds(index: FrameIndex, places: list[int], folder: Path) -> None:
    """It names the best of this gallery of nine queries in ten, none twice, before and after it is read again."""
    features, head = gallery_of(places), head_of("wti")
    encoded = head.encode_text(texts())
    found = index.measured(EFFORT).nearest(encoded, EFFORT.candidates)
    assert opened_frame_index(folder / "index", head, features).nearest(encoded, EFFORT.candidates) == found
    assert all(len(named) == len(set(named)) == EFFORT.candidates for named in found)
    best = [features.video_ids.index(hits[0].video_id) for hits in search(head, features, texts(), 1)]
    assert sum(one in named for one, named in zip(best, found, strict=True)) >= 9
    assert len(list((folder / "index").glob("frames-*"))) == 2


def test_a_gallery_that_changed_adds_what_is_new(tmp_path: Path) -> None:
    """New videos stand between those of before, of which some are gone; then some more go, and come back."""
    first, seen = list(range(0, VIDEOS, 2)), list[int]()
    before = grown_to(first, tmp_path, seen)
    rows = int(before.index.ntotal)
    second = [place for place in reversed(range(VIDEOS)) if place not in (0, 2, 40)]
    grown = grown_to(second, tmp_path, seen)
    assert seen == [45, 87]
    assert grown.record.trained_on == 45, "its cells are those of before"
    assert grown.record.effort is None, "what it finds is measured again"
    new = torch.tensor(range(1, VIDEOS, 2))
    assert int(grown.index.ntotal) == rows + int(features_of().frames.lengths[new].sum())
    assert_finds(grown, second, tmp_path)
    third = second[:-20]
    fewer = grown_to(third, tmp_path, seen)
    assert (int(fewer.index.ntotal), len(fewer.members), fewer.members.num_there) == (
        grown.index.ntotal,
        90,
        67,
    )
    assert_finds(fewer, third, tmp_path)
    again = grown_to(second, tmp_path, seen)
    assert int(again.index.ntotal) == int(grown.index.ntotal), "what comes back is still there"
    assert_finds(again, second, tmp_path)


def test_an_index_of_which_little_is_left_is_laid_out_anew(tmp_path: Path) -> None:
    seen: list[int] = []
    grown_to(list(range(VIDEOS)), tmp_path, seen)
    left = list(range(40))
    anew = grown_to(left, tmp_path, seen)
    assert (anew.record.trained_on, len(anew.members)) == (40, 40)
    assert_finds(anew, left, tmp_path)


def test_an_index_of_two_videos_grows(tmp_path: Path) -> None:
    """Of so few frames each number is quantised by itself."""
    kept = kept_encodings(head_of("wti"), gallery_of([0, 1]), tmp_path / "encodings")
    encoded = kept.head.encode_text(texts())
    index = built_frame_index(kept, tmp_path / "index").measured(EFFORT)
    assert {frozenset(named) for named in index.nearest(encoded, 2)} == {frozenset({0, 1})}
    grown = grown_to([2, 1, 0], tmp_path, []).measured(EFFORT)
    assert {frozenset(named) for named in grown.nearest(encoded, 3)} == {frozenset({0, 1, 2})}


def test_members_that_are_not_what_was_written_fail(tmp_path: Path) -> None:
    index, kept = built(tmp_path)
    index.measured(EFFORT)
    [file] = (tmp_path / "index").glob("*.members")
    content = file.read_bytes()
    file.write_bytes(content[:-8] + bytes(8))
    with pytest.raises(StoreError, match="no whole index of frames"):
        opened_frame_index(tmp_path / "index", kept.head, kept.features)
    file.unlink()
    with pytest.raises(StoreError, match="no whole index of frames"):
        opened_frame_index(tmp_path / "index", kept.head, kept.features)
    assert len(built_frame_index(kept, tmp_path / "index").members) == VIDEOS, "it is made again"


def test_other_encodings_are_not_added_to(tmp_path: Path) -> None:
    """Of another head."""
    built(tmp_path)
    kept = kept_encodings(head_of("uatvr"), features_of(), tmp_path / "of another")
    index = built_frame_index(kept, tmp_path / "index")
    assert index.record.made_of == EncodingsOf.these(kept.head, kept.features)
    assert len(index.members) == VIDEOS


def test_what_is_there_is_taken(tmp_path: Path) -> None:
    index, kept = built(tmp_path)
    index.measured(EFFORT)
    files = {file: file.stat().st_mtime_ns for file in (tmp_path / "index").iterdir()}
    again = built_frame_index(kept, tmp_path / "index")
    assert again.record.effort == EFFORT
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "index").iterdir()} == files
    opened = opened_frame_index(tmp_path / "index", kept.head, kept.features)
    assert opened.said(30) == "30 candidates by index, recall@10 1.000 measured at build"
    assert opened.said(20) == "20 candidates by index, recall@10 1.000 measured at build with 30"


def test_it_looks_harder_until_it_finds_enough(tmp_path: Path) -> None:
    index, kept = built(tmp_path)
    asked = captions_asked(generated_features(videos=VIDEOS), kept.head, 10)
    enough = measured_effort(index, kept, asked, are_captions=True, candidates=None)
    assert (enough.candidates, enough.recall, enough.source) == (1000, 1.0, "captions")
    few = measured_effort(index, kept, asked, are_captions=True, candidates=10)
    assert few.candidates == 10
    assert few.recall < 1, "of ten that are compared not each is one of the first ten"
    frames = frames_asked(kept.features, kept.head, 7)
    by_frames = measured_effort(index, kept, frames, are_captions=False, candidates=None)
    assert (by_frames.queries, by_frames.recall, by_frames.source) == (7, 1.0, "frames")


def test_opening_fails_with_what_to_do(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "index"
    with pytest.raises(UsageError, match=f"Make one with `tvr index {tmp_path / 'run'}`"):
        opened_frame_index(folder, head_of("wti"), features_of())
    index, kept = built(tmp_path / "run")
    with pytest.raises(StoreError, match=r"not finished. Go on with `tvr index"):
        opened_frame_index(folder, kept.head, kept.features)
    index.measured(EFFORT)
    for head, features in ((head_of("wti", seed=1), kept.features), (kept.head, features_of(60))):
        with pytest.raises(StoreError, match=r"another head or another state of the store. Make it again"):
            opened_frame_index(folder, head, features)
    [file] = folder.glob("*.faiss")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(StoreError, match="no whole index of frames"):
        opened_frame_index(folder, kept.head, kept.features)
    assert built_frame_index(kept, folder).record.done == VIDEOS, "it is made again"
    record = read_checksummed(folder / FRAMES_RECORD)
    write_checksummed(folder / FRAMES_RECORD, record | {"faiss_sha256": "../../elsewhere"})
    with pytest.raises(StoreError, match="no whole index of frames"):
        opened_frame_index(folder, kept.head, kept.features)


def test_building_fails_where_it_may_not_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = kept_encodings(head_of("wti"), features_of(), tmp_path / "encodings")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "index").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="is a link, and nothing is written where it leads"):
        built_frame_index(kept, tmp_path / "index")
    assert not list((tmp_path / "elsewhere").iterdir())
    (tmp_path / "held").mkdir()
    with FileLock(tmp_path / "held" / LOCK) as lock:
        assert lock.acquire()
        with pytest.raises(StoreError, match="another process writes the index"):
            built_frame_index(kept, tmp_path / "held")
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(StoreError, match="the index cannot be written to"):
        built_frame_index(kept, tmp_path / "file")
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(UsageError, match=r"pip install 'tvr\[index\]'"):
        built_frame_index(kept, tmp_path / "new")
