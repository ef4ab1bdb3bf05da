"""Which videos a query is compared with is what lies beside the run, and a person is told."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tvr.data.contracts.errors import UsageError
from tvr.heads.search.answers import Wish
from tvr.heads.search.archive import Archive, open_archive
from tvr.heads.search.catalogue import Catalogue
from tvr.heads.search.comparing import AskedTexts, NearestItems
from tvr.heads.search.gallery.coarse import CoarseVectors, coarse_of
from tvr.heads.search.gallery.frame_index import Effort, built_frame_index
from tvr.heads.search.gallery.index_folder import INDEX_FOLDER
from tvr.heads.search.gallery.kept_encodings import ENCODINGS_FOLDER, KeptEncodings, kept_encodings
from tvr.heads.search.searcher import Searcher
from tvr.heads.search.ways import VotedItems, candidates_of, way_of

WRITTEN = Path(__file__).resolve().parents[2] / "fixtures" / "before_rooms"
TEXT = "a big red circle grows"
EFFORT = Effort(16, 500, 6, 0.995, 10, "captions")


@pytest.fixture(scope="module")
def opened() -> Archive:
    return open_archive(WRITTEN / "run", WRITTEN / "store")


@pytest.fixture
def archive(opened: Archive, tmp_path: Path) -> Archive:
    """With a run of its own, beside which something can be made."""
    return replace(opened, run=shutil.copytree(WRITTEN / "run", tmp_path / "run"))


def kept_of(archive: Archive) -> KeptEncodings:
    assert archive.run is not None
    return kept_encodings(archive.head, archive.windows.features, archive.run / ENCODINGS_FOLDER)


def indexed(archive: Archive, effort: Effort = EFFORT) -> None:
    assert archive.run is not None
    built_frame_index(kept_of(archive), archive.run / INDEX_FOLDER).measured(effort)


def searcher_of(archive: Archive, candidates: int | None = None) -> Searcher:
    return Searcher.open(archive, Catalogue(archive.store, {}), candidates)


def test_kept_encodings_answer_as_encoding_does(archive: Archive) -> None:
    anew = searcher_of(archive).by_text(TEXT, Wish(50)).hits
    kept_of(archive)
    kept = searcher_of(archive).by_text(TEXT, Wish(50)).hits
    assert {hit.video_id: hit.score for hit in kept} == pytest.approx(
        {hit.video_id: hit.score for hit in anew}, abs=1e-3
    )


def test_an_index_that_finds_enough_is_taken(archive: Archive) -> None:
    indexed(archive)
    searcher = searcher_of(archive)
    assert searcher.way == "6 candidates by index, recall@10 0.995 measured at build"
    answer = searcher.by_text(TEXT, Wish(3))
    assert (answer.compared, len(answer.hits)) == (6, 3)
    whole = searcher.by_text(TEXT, Wish(archive.features.num_videos))
    assert len(whole.hits) == archive.features.num_videos, "who asks for no candidates gets what he wants"
    with pytest.raises(UsageError, match="candidates must be at least top_k"):
        searcher_of(archive, 4).by_text(TEXT, Wish(5))


def test_an_index_that_finds_too_little_is_taken_only_when_asked_for(archive: Archive) -> None:
    indexed(archive, replace(EFFORT, recall=0.93))
    searcher = searcher_of(archive)
    assert searcher.way.startswith("every video is compared; --candidates takes the index (6 candidates")
    assert searcher.by_text(TEXT).compared == archive.features.num_videos
    assert searcher_of(archive, 7).by_text(TEXT).compared == 7


def test_filters_hold_among_candidates(archive: Archive) -> None:
    indexed(archive, replace(EFFORT, candidates=2))
    among = torch.zeros(archive.features.num_videos, dtype=torch.bool)
    among[1::2] = True
    found = searcher_of(archive).by_text(TEXT, Wish(2, among=among)).hits
    assert len(found) == 2
    assert {hit.video_id for hit in found} <= set(archive.features.video_ids[1::2])


def test_a_server_takes_the_index_that_is_current(archive: Archive) -> None:
    kept = kept_of(archive)
    nearest = NearestItems(
        kept, coarse_of(archive.head), CoarseVectors(coarse_of(archive.head), kept).nearest, 5
    )
    assert candidates_of(archive.run, kept, None, nearest) == (nearest, "")
    assert candidates_of(None, kept, None, nearest) == (nearest, "")
    indexed(archive)
    taken, said = candidates_of(archive.run, kept, None, nearest)
    assert (type(taken), taken.candidates, said[:12]) == (VotedItems, 6, "6 candidates")
    asked = AskedTexts.of(archive.head, archive.text(TEXT))
    assert len(taken(asked)[0].items) == 6
    assert way_of(archive, None).said == said
