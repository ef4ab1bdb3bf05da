"""One searcher answers by video and by moment, of short and of long videos, with and without filters."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tvr.data.contracts.errors import UsageError
from tvr.heads.features.feature_set import FeatureSet
from tvr.heads.search.answers import Wish
from tvr.heads.search.archive import Archive, open_archive
from tvr.heads.search.catalogue import Catalogue
from tvr.heads.search.comparing import EveryItem, NearestItems
from tvr.heads.search.gallery.coarse import CoarseVectors, coarse_of
from tvr.heads.search.gallery.encoded_items import EncodedNow
from tvr.heads.search.searcher import Searcher
from tvr.pipeline.store.rows import VideoRows

from ...fixtures.generated import no_texts

WRITTEN = Path(__file__).resolve().parents[2] / "fixtures" / "before_rooms"


@pytest.fixture(scope="module", params=["run", None])
def archive(request: pytest.FixtureRequest) -> Archive:
    return open_archive(request.param and WRITTEN / request.param, WRITTEN / "store")


def searcher_of(archive: Archive, **changes: object) -> Searcher:
    return Searcher(archive, Catalogue(archive.store, {}), **changes)  # type: ignore[arg-type]


def captions_of(archive: Archive) -> dict[str, str]:
    """A caption of each video."""
    return {video: texts[0] for video, texts in searcher_of(archive).catalogue.captions.items()}


def test_pages_follow_one_another(archive: Archive) -> None:
    searcher, text = searcher_of(archive), next(iter(captions_of(archive).values()))
    whole = searcher.by_text(text, Wish(archive.features.num_videos)).hits
    parts = [searcher.by_text(text, Wish(2, offset)).hits for offset in range(0, len(whole), 2)]
    assert [hit.video_id for part in parts for hit in part] == [hit.video_id for hit in whole]
    assert [hit.score for hit in whole] == sorted((hit.score for hit in whole), reverse=True)
    assert len({hit.video_id for hit in whole}) == archive.features.num_videos
    assert searcher.by_text(text, Wish(5, 10_000)).hits == ()


def test_moments_do_not_depend_on_the_page_they_are_on(archive: Archive) -> None:
    searcher = searcher_of(archive)
    text = "a big red circle grows"
    whole = searcher.by_text(text, Wish(1000, by="moment")).hits
    parts = [searcher.by_text(text, Wish(4, at, by="moment")).hits for at in range(0, len(whole), 4)]
    assert [hit.moment for part in parts for hit in part] == [hit.moment for hit in whole]


def test_a_page_ends_where_the_compared_ones_do(archive: Archive) -> None:
    items = archive.windows.features
    vectors = CoarseVectors(coarse_of(archive.head), EncodedNow(archive.head, items))
    some = NearestItems(EncodedNow(archive.head, items), coarse_of(archive.head), vectors.nearest, 5)
    searcher = searcher_of(archive, comparer=some)
    query = archive.queries.of_text("a big red circle grows")
    pages = searcher.by_texts([query] * 3, [Wish(3), Wish(3, 3), Wish(3, 6)])
    assert [len(page.hits) for page in pages] == [3, 2, 0]
    assert {page.compared for page in pages} == {5}
    with pytest.raises(UsageError, match="candidates must be at least top_k"):
        searcher.by_text(query, Wish(6))


def test_a_batch_answers_as_one_by_one(archive: Archive) -> None:
    texts = list(captions_of(archive).values())[:4]
    kept = searcher_of(archive, comparer=EveryItem(archive.head, archive.windows.features, kept=True))
    wishes = [Wish(3), Wish(2, 1), Wish(4, by="moment"), Wish(1)]
    together = kept.by_texts(archive.queries.of_texts(texts), wishes)
    for text, wish, found in zip(texts, wishes, together, strict=True):
        alone = searcher_of(archive).by_text(text, wish)
        assert [hit.video_id for hit in found.hits] == [hit.video_id for hit in alone.hits]
        assert [hit.score for hit in found.hits] == pytest.approx([hit.score for hit in alone.hits], abs=1e-5)


def test_only_what_may_be_found_is(archive: Archive) -> None:
    searcher = searcher_of(archive)
    among = torch.zeros(archive.features.num_videos, dtype=torch.bool)
    among[1::2] = True
    for by in ("video", "moment"):
        found = searcher.by_text("a big red circle", Wish(50, by=by, among=among))
        assert {hit.video_id for hit in found.hits} <= set(archive.features.video_ids[1::2])
        assert found.searched == found.compared == int(among.sum())
    assert searcher.by_text("a circle", Wish(5, among=torch.zeros_like(among))).hits == ()


def test_the_own_video_of_a_caption_has_its_rank(archive: Archive) -> None:
    searcher = searcher_of(archive)
    for video, text in list(captions_of(archive).items())[:5]:
        found = searcher.by_text(text, Wish(archive.features.num_videos))
        ranks = {hit.video_id: place for place, hit in enumerate(found.hits, start=1)}
        assert {own.video_id: own.rank for own in found.own}[video] == ranks.get(video)
    assert searcher.by_text("no caption says this", Wish(1)).own == ()


def test_what_looks_alike_begins_with_itself_unless_left_out(archive: Archive) -> None:
    searcher, video = searcher_of(archive), archive.features.video_ids[2]
    assert searcher.by_look(searcher.video(video), Wish(1)).hits[0].video_id == video
    left = searcher.by_look(searcher.video(video), Wish(100), without=video)
    assert video not in {hit.video_id for hit in left.hits}
    seconds = float(archive.store.frame_seconds(video)[-1])
    by_frame = searcher.by_look(searcher.frame(video, seconds + 0.01), Wish(1)).hits[0]
    assert (by_frame.video_id, by_frame.moment.frame_seconds) == (video, pytest.approx(seconds))


def test_nothing_is_not_a_number_of_results(archive: Archive) -> None:
    with pytest.raises(UsageError, match="top_k must be at least 1"):
        searcher_of(archive).by_text("a circle", Wish(0))


def test_moments_are_scored_by_the_head_on_their_frames_alone(archive: Archive) -> None:
    searcher = searcher_of(archive)
    text = next(iter(captions_of(archive).values()))
    hits = searcher.by_text(text, Wish(20, by="moment")).hits
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    for hit in hits[:5]:
        place = archive.features.video_ids.index(hit.video_id)
        seconds = archive.features.frame_seconds(place, archive.head.shape.num_frames)
        inside = (
            ((seconds >= hit.moment.start_seconds) & (seconds <= hit.moment.end_seconds)).nonzero().flatten()
        )
        video = archive.features.video_batch(torch.tensor([place]), archive.head.shape.num_frames)
        some = replace(video, frames=video.frames[:, inside], mask=video.mask[:, inside])
        with torch.no_grad():
            expected = archive.head.similarity(
                archive.head.encode_text(archive.text(text)), archive.head.encode_video(some)
            )
        assert hit.score == pytest.approx(float(expected), abs=1e-5)


def test_a_moment_inside_a_long_video_is_found(archive: Archive) -> None:
    """The frames of every video one after another, as of one file: each caption finds its own stretch as often as its
    own video, which the few frames that a head sees of so long a file do not allow.
    """
    frames = archive.head.shape.num_frames
    ids = archive.features.video_ids
    lengths = [len(archive.store.frame_seconds(video)) for video in ids]
    joined = long_video(archive)
    searcher = searcher_of(joined)
    assert joined.windows.num_long == 1
    borders = np.cumsum([0, *lengths])
    alone = searcher_of(archive)
    found = right = 0
    for video, text in captions_of(archive).items():
        if video not in ids:
            continue
        place = ids.index(video)
        right += alone.by_text(text, Wish(1)).hits[0].video_id == video
        moment = searcher.by_text(text, Wish(1, by="moment")).hits[0].moment
        found += borders[place] - 2 <= moment.frame_seconds < borders[place + 1] + 2
    assert right > 0
    assert found >= 0.7 * right
    assert frames < sum(lengths) / 2


def long_video(archive: Archive) -> Archive:
    """The archive with one video, whose frames are those of all, a second apart."""
    rows = archive.store.videos(archive.features.video_ids)
    count = len(rows.frames)
    seconds = np.arange(count, dtype=np.float32)
    joined = VideoRows((rows.ids[0],), rows.frames, np.array([0, count]), seconds)
    return replace(
        archive, features=FeatureSet(joined, no_texts(rows.frames.shape[1]), archive.features.origin)
    )


def test_while_it_is_measured_nothing_is_said_of_what_a_score_is_worth(archive: Archive) -> None:
    """What is said would be another thing a moment later."""
    searcher = searcher_of(archive)
    searcher.is_measuring = True
    answer = searcher.by_text("a small ring")
    assert (answer.nothing_stands_out, answer.remark) == (None, "")
