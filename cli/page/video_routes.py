"""Routes of single videos: what is known of them, their frames, what plays them, and what a head sees in them."""

from enum import IntEnum
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from ...data.contracts.errors import UsageError
from ...heads.search.catalogue import CataloguedVideo, Filter
from .context import NotThereError, PageContext
from .media.ranges import FileAnswer
from .media.shelf import Playable
from .records import AlignmentRecord, PlayableRecord, VideoDetail, VideoPage, VideoRecord
from .search_routes import LONGEST_TEXT, Name, Offset, Seconds, Top
from .written_words import written_words


class PictureHeight(IntEnum):
    """Of a picture of a frame, in pixels."""

    SMALL = 90
    MIDDLE = 180
    LARGE = 360


MOST_WORDS = 40
"""Of a text of which it is told what each word is worth: so many more texts are encoded."""


def video_routes(context: PageContext) -> APIRouter:
    """``/videos``, one of them, and what a head sees in it."""
    routes = APIRouter()
    catalogue = context.opened.catalogue

    @routes.get("/videos")
    def videos(
        offset: Offset = 0,
        top: Top = 24,
        split: Name = None,
        status: Name = None,
        folder: Name = None,
        name: Name = None,
    ) -> VideoPage:
        numbers = list(catalogue.chosen(Filter(split, status, folder, name=name)))
        return VideoPage(
            len(numbers), [VideoRecord.of(catalogue[number]) for number in numbers[offset : offset + top]]
        )

    @routes.get("/videos/{number}")
    def video(number: int) -> VideoDetail:
        one = context.video(number)
        state = context.media.state(one.id)
        return VideoDetail.of(
            one,
            frame_seconds=[float(second) for second in context.opened.store.frame_seconds(one.id)],
            path_known=one.path is not None,
            trouble=state.trouble,
            moved=state.is_moved,
        )

    @routes.get("/videos/{number}/alignment")
    async def alignment(
        number: int,
        q: Annotated[str, Query(min_length=1, max_length=LONGEST_TEXT)],
        run: Name = None,
        near: Seconds = None,
    ) -> AlignmentRecord:
        one, chosen = context.video(number), context.run(run).name
        if not q.strip():
            raise UsageError("q is empty: give the text whose words are looked at")
        if not one.status.frames:
            raise NotThereError(f"video {number} has no frames: {one.status.reason or one.status.status}")
        return await _aligned(context, one, q, chosen, near)

    return routes


def media_routes(context: PageContext) -> APIRouter:
    """Frames of videos, and what plays them."""
    routes = APIRouter()
    media = context.media

    @routes.get(
        "/videos/{number}/frame",
        response_class=Response,
        responses={200: {"content": {"image/jpeg": {}}}},
    )
    def frame(
        number: int,
        seconds: Annotated[float, Query(ge=0, le=1e9, allow_inf_nan=False)],
        height: PictureHeight = PictureHeight.MIDDLE,
    ) -> Response:
        picture = media.frame(context.video(number).id, seconds, height)
        return Response(picture, media_type="image/jpeg", headers={"cache-control": "private, max-age=3600"})

    @routes.get("/videos/{number}/playable")
    def playable(
        number: int, start: Seconds = None, end: Seconds = None, *, again: bool = False
    ) -> PlayableRecord:
        span = _span(start, end)
        return _playable(number, media.playable(context.video(number).id, *span, again=again))

    @routes.get(
        "/videos/{number}/media",
        response_class=Response,
        responses={200: {"content": {"video/*": {}}}, 206: {"content": {"video/*": {}}}},
    )
    def play(request: Request, number: int, start: Seconds = None, end: Seconds = None) -> Response:
        found = media.opened(context.video(number).id, *_span(start, end))
        return FileAnswer(request, found.opened, found.type)

    return routes


def _span(start: float | None, end: float | None) -> tuple[float | None, float | None]:
    """A span that is none is refused.

    Raises:
        UsageError: it ends before it begins.
    """
    if start is not None and end is not None and end <= start:
        raise UsageError(f"a span ends behind its start, got start={start:g} and end={end:g}")
    return start, end


def _playable(number: int, found: Playable) -> PlayableRecord:
    window = found.window
    question = "" if window is None else f"?{urlencode({'start': window.begin, 'end': window.end})}"
    is_ready = found.state == "ready"
    return PlayableRecord(
        state=found.state,
        kind=found.kind if found.state in ("ready", "making") else None,
        url=f"/api/videos/{number}/media{question}" if is_ready else None,
        type=found.type if is_ready else None,
        begins_at=found.begins_at,
        ends_at=found.ends_at,
        reason=found.reason,
    )


async def _aligned(
    context: PageContext, one: CataloguedVideo, text: str, run: str, near: float | None
) -> AlignmentRecord:
    """In steps, for between two of them queries are answered."""
    step = context.worker.done
    searcher = await step(lambda: context.opened.searcher(run))
    query, *others = await step(lambda: context.worker.encoded([text, *_without_each_word(text)]))
    found = await step(lambda: searcher.alignment(query, one.id, near))
    words = written_words(text, found.words)
    # A word that is not shown leaves nothing out.
    without = [others[word.place] for word in words] if others else []
    scores = await step(lambda: searcher.scores_of([query, *without], one.id))
    return AlignmentRecord.of(found, words, await step(lambda: searcher.moments(query, one.id)), scores)


def _without_each_word(text: str) -> list[str]:
    """The text with one word left out, each in turn; nothing of a text of one word or of very many."""
    words = text.split()
    if not 1 < len(words) <= MOST_WORDS:
        return []
    return [" ".join([*words[:place], *words[place + 1 :]]) for place in range(len(words))]
