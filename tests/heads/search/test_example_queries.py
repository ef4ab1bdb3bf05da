"""Ten sentences to begin with: captions that lie evenly apart, or what the encoder sees most."""

import shutil
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from tvr.heads.search.archive import Archive, open_archive
from tvr.heads.search.example_queries import ExampleQuery, example_queries
from tvr.heads.search.searcher import Searcher

WRITTEN = Path(__file__).resolve().parents[2] / "fixtures" / "before_rooms"
NAMES = [
    f"a {colour} {shape}" for colour in ("red", "green", "blue") for shape in ("circle", "square", "star")
]


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return open_archive(None, shutil.copytree(WRITTEN, tmp_path / "written") / "store")


def test_captions_lie_evenly_apart(archive: Archive) -> None:
    rows = archive.store.texts(archive.features.video_ids)
    texts = dict(zip(reversed(rows.video_ids), reversed(rows.texts), strict=True))  # the first of each
    chosen = example_queries(Searcher.open(archive), NAMES, 4)
    ids = [query.video_id for query in chosen]
    assert all(query.video_id and texts[query.video_id] == query.text for query in chosen)
    assert (ids[0], ids[-1]) == (archive.features.video_ids[0], archive.features.video_ids[-1])
    places = [archive.features.video_ids.index(str(video)) for video in ids]
    steps = [after - before for before, after in pairwise(places)]
    assert max(steps) - min(steps) <= 1
    every = example_queries(Searcher.open(archive), NAMES, 10_000)
    assert len(every) == len({query.text for query in every}) == len(set(texts.values()))


def test_names_are_those_that_most_videos_are_nearest_to(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive.store, "shard_names", lambda kind: [])
    chosen = example_queries(Searcher.open(archive), NAMES, 5)
    assert {query.video_id for query in chosen} == {None}
    texts = [
        torch.from_numpy(one.words[one.sentence_row]) for one in archive.queries.encoder.encode_texts(NAMES)
    ]
    ranked: list[list[str]] = []
    for place in range(archive.features.num_videos):
        frames = archive.features.video_batch(torch.tensor([place]), archive.head.shape.num_frames).frames[0]
        video = torch.stack([frame / frame.norm() for frame in frames.float()]).mean(dim=0)
        cosines = [float(torch.cosine_similarity(video, text, dim=0)) for text in texts]
        ranked.append([name for _, name in sorted(zip(cosines, NAMES, strict=True), reverse=True)])
    expected: list[str] = []
    for column in zip(*ranked, strict=True):
        expected += [name for name, _ in Counter(column).most_common() if name not in expected]
    assert [query.text for query in chosen] == expected[:5]
    assert [query.text for query in example_queries(Searcher.open(archive), NAMES[:2], 5)] != NAMES
    assert len(example_queries(Searcher.open(archive), NAMES[:2], 5)) == 2


def test_a_caption_fails_to_find_its_clip() -> None:
    query = ExampleQuery("a dog", "b")
    assert (query.rank(["a", "b"]), query.rank(["a"])) == (2, None)
