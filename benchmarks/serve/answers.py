"""Whether what the server answered is what is found in this process, for the same query, from the same store."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import numpy as np
from jaxtyping import UInt8
from PIL import Image
from tvr.cli.page.opened_store import ZERO_SHOT, OpenedStore
from tvr.heads.runs.newest import RunEntry
from tvr.heads.search.answers import Wish
from tvr.heads.search.searcher import Searcher
from tvr.pipeline.request import NOTHING_NAMED, videos_of_store
from tvr.pipeline.store.reader import FeatureStore

from .clients import FIRST_BYTES, TOP, Visit

TOLERANCE = 1e-4
"""Of a cosine: queries that are answered in one batch are rounded otherwise than alone."""
PICTURE_TOLERANCE = 3.0
"""Of 255, the mean over a picture: what JPEG and another scaling change."""
THUMBNAILS_SEEN = 3
"""Of each visit so many are compared with their frames."""


def wrong_answers(visits: Sequence[Visit], store: Path, run: Path | None) -> list[str]:
    """What is wrong, in words, a line each.

    Args:
        visits: what the server answered.
        store: that it showed.
        run: whose head it searched with; None: mean pooling.
    """
    entries = [] if run is None else [RunEntry.of(run)]
    opened = OpenedStore(FeatureStore.open(store), {}, entries)
    searcher = opened.searcher(ZERO_SHOT if run is None else run.name)
    files = _Files(store)
    try:
        return [wrong for visit in visits for wrong in _wrong(visit, searcher, files)]
    finally:
        opened.close()


class _Files:
    """The files of the store's videos, in its order."""

    def __init__(self, store: Path) -> None:
        known = videos_of_store(store, NOTHING_NAMED, "serve")
        self._paths = [known[video].path for video in FeatureStore.open(store).video_ids]

    def __getitem__(self, number: int) -> Path:
        path = self._paths[number]
        assert isinstance(path, Path), "every video has its file"
        return path


def _wrong(visit: Visit, searcher: Searcher, files: _Files) -> list[str]:
    found: list[str] = []
    if visit.search and not _is_same_search(visit, searcher):
        found.append(f"search: {visit.text}")
    if visit.alignment and not _is_same_alignment(visit, searcher):
        found.append(f"alignment: {visit.text} in {visit.opened}")
    for (number, seconds), picture in list(visit.thumbnails.items())[:THUMBNAILS_SEEN]:
        if not shows_frame(picture, files[number], seconds):
            found.append(f"thumbnail: {files[number].name} at {seconds} s")
    if visit.span and visit.opened is not None:
        with files[visit.opened].open("rb") as file:
            if file.read(FIRST_BYTES) != visit.span:
                found.append(f"span: {files[visit.opened].name}")
    return found


def _is_same_search(visit: Visit, searcher: Searcher) -> bool:
    """Every rank has the score that it should, and the video, unless two are as good as equal."""
    hits: list[dict[str, Any]] = visit.search["hits"]
    expected = searcher.by_text(visit.text, Wish(TOP)).hits
    if len(hits) != len(expected) or visit.search["query"]["text"] != visit.text:
        return False
    scores = {hit.number: hit.score for hit in searcher.by_text(visit.text, Wish(2 * TOP)).hits}
    return all(
        abs(hit["score"] - one.score) < TOLERANCE
        and abs(scores.get(hit["video"], -np.inf) - hit["score"]) < TOLERANCE
        for hit, one in zip(hits, expected, strict=True)
    )


def _is_same_alignment(visit: Visit, searcher: Searcher) -> bool:
    hit = next(hit for hit in visit.search["hits"] if hit["video"] == visit.opened)
    query = searcher.archive.queries.of_text(visit.text)
    expected = searcher.alignment(query, hit["id"], hit["moment"]["frame_seconds"])
    assert expected.curve is not None, "every alignment has a curve"
    curve = visit.alignment["curve"]
    return (
        visit.alignment["frame_seconds"] == expected.frame_seconds
        and len(curve) == len(expected.curve)
        and bool(np.allclose(curve, expected.curve.numpy(), atol=TOLERANCE))
    )


def shows_frame(picture: bytes, file: Path, seconds: float) -> bool:
    """Whether a JPEG picture is of the frame that is on display at a second of a video, as it is decoded here, and no
    other frame of it is more alike.
    """
    shown = Image.open(BytesIO(picture)).convert("RGB")
    frames = _frames(file, shown.size)
    on_display = max(place for place, (begins, _) in enumerate(frames) if begins <= seconds + 1e-3)
    pixels = np.asarray(shown, np.float32)
    unlike = [float(np.abs(pixels - frame).mean()) for _, frame in frames]
    return unlike[on_display] < PICTURE_TOLERANCE and unlike[on_display] <= min(unlike) + 0.1


def _frames(file: Path, size: tuple[int, int]) -> list[tuple[float, UInt8[np.ndarray, "height width 3"]]]:
    """Every frame with the second at which it begins to be shown, counted from the first."""
    with av.open(str(file)) as container:
        decoded = [(frame.time or 0.0, frame.to_image()) for frame in container.decode(video=0)]
    first = decoded[0][0]
    return [
        (at - first, np.asarray(image.convert("RGB").resize(size, Image.Resampling.BICUBIC)))
        for at, image in decoded
    ]
