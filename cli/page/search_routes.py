"""Routes that find: by a text, a video, one of its frames, or a picture."""

import asyncio
from collections.abc import Callable
from importlib.metadata import version
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from ...data.contracts.errors import UsageError, counted
from ...heads.search.answers import Answer, Wish
from ...heads.search.catalogue import Filter
from ...heads.search.example_queries import example_queries
from ...heads.search.query_features import ONLY, QueryText
from ...pipeline.encoders.base import token_names
from .context import NotThereError, PageContext
from .opened_store import VALIDATION
from .records import (
    CautionRecord,
    HitRecord,
    MomentRecord,
    OwnVideoRecord,
    PageAbout,
    PictureRecord,
    PlaceRecord,
    QueryRecord,
    RunName,
    SearchRecord,
)
from .written_words import written_words

LONGEST_TEXT = 2000
"""Characters; any encoder reads fewer."""
MOST_HITS = 100
"""Of one answer."""
MOST_OFFSET = 1_000_000
USUAL_CONTEXT = 77
"""Most tokens of a text of CLIP, where an imported store does not say of its encoder how many it reads."""
EXAMPLES = 5

MOST_TOKENS = 1 << 20
"""Of a text: all of them."""

Seconds = Annotated[float | None, Query(ge=0, le=1e9, allow_inf_nan=False)]
Name = Annotated[str | None, Query(max_length=500)]
Top = Annotated[int, Query(ge=1, le=MOST_HITS)]
Offset = Annotated[int, Query(ge=0, le=MOST_OFFSET)]
Text = Annotated[str | None, Query(max_length=LONGEST_TEXT)]


def search_routes(context: PageContext) -> APIRouter:
    """``/about``, ``/search`` and ``/pictures``."""
    routes = APIRouter()

    @routes.get("/about")
    async def about() -> PageAbout:
        return await context.worker.done(lambda: _about(context))

    @routes.get("/search")
    async def search(
        q: Text = None,
        video: Annotated[int | None, Query(ge=0, le=2**31)] = None,
        seconds: Seconds = None,
        picture: Annotated[str | None, Query(max_length=64)] = None,
        run: Name = None,
        by: Literal["video", "moment"] = "video",
        top: Top = 12,
        offset: Offset = 0,
        split: Name = None,
        status: Name = None,
        folder: Name = None,
        shortest: Seconds = None,
        longest: Seconds = None,
    ) -> SearchRecord:
        query = _query(q, video, seconds, picture)
        wanted = Filter(split, status, folder, shortest, longest)
        chosen = context.run(run).name
        # With filters it looks at every video, meanwhile others are answered.
        wish = await asyncio.to_thread(_wish, context, wanted, by, top, offset)
        answer, query = await _answered(context, chosen, query, wish)
        return _record(context, chosen, query, wish, answer)

    @routes.post("/pictures", openapi_extra={"requestBody": {"content": {"image/*": {}}, "required": True}})
    async def keep(request: Request) -> PictureRecord:
        body = await request.body()
        return PictureRecord(await context.worker.done(lambda: context.keep_picture(body)))

    @routes.get("/pictures/{name}", response_class=Response, responses={200: {"content": {"image/jpeg": {}}}})
    def picture(name: str) -> Response:
        return Response(context.picture(name).jpeg, media_type="image/jpeg")

    return routes


def _query(q: str | None, video: int | None, seconds: float | None, picture: str | None) -> QueryRecord:
    """What is looked for.

    Raises:
        UsageError: nothing, or several things.
    """
    given = [name for name, value in (("q", q), ("video", video), ("picture", picture)) if value is not None]
    if len(given) != 1 or (q is not None and not q.strip()):
        raise UsageError(
            f"look for one thing: q (a text), video (a number) or picture; got {' and '.join(given) or 'none'}"
            + (" that is empty" if given == ["q"] else "")
        )
    if seconds is not None and video is None:
        raise UsageError("seconds names a frame of a video: give video, too")
    if q is not None:
        return QueryRecord("text", text=q)
    if picture is not None:
        return QueryRecord("picture", picture=picture)
    return QueryRecord("video" if seconds is None else "frame", video=video, seconds=seconds)


def _wish(
    context: PageContext, wanted: Filter, by: Literal["video", "moment"], top: int, offset: int
) -> Wish:
    if wanted.split is not None and wanted.split not in context.opened.store.splits:
        known = ", ".join(sorted(context.opened.store.splits))
        raise UsageError(f"the store has no split {wanted.split!r}. Known: {known}")
    among = context.opened.catalogue.mask(wanted, context.opened.features.video_ids)
    return Wish(top, offset, by, among)


async def _answered(
    context: PageContext, run: str, query: QueryRecord, wish: Wish
) -> tuple[Answer, QueryRecord]:
    if query.text is not None:
        text = query.text
        answer = await asyncio.wrap_future(context.worker.search(run, text, wish))
        # Kept since it was answered: who waits again for the thread waits behind everybody else's queries.
        encoded = context.worker.kept(text) or await context.worker.done(
            lambda: context.worker.encoded([text])[0]
        )
        read = _read_part(context, encoded)
        return answer, QueryRecord("text", text=text, cut=read is not None, read=read or "")
    return await context.worker.done(_look(context, run, query, wish)), query


def _read_part(context: PageContext, encoded: QueryText) -> str | None:
    """The words that the encoder reads of a text that is too long for it; None of one that is not."""
    if not encoded.cut:
        return None
    names = token_names(context.opened.store.manifest.model, encoded.token_ids(MOST_TOKENS))
    return " ".join(word.text for word in written_words(encoded.text, names))


def _look(context: PageContext, run: str, query: QueryRecord, wish: Wish) -> Callable[[], Answer]:
    """What looks alike, to be done where heads are."""
    picture = None if query.picture is None else context.picture(query.picture)
    known = None if query.video is None else context.video(query.video)
    if wish.by == "moment":
        raise UsageError("moments are found by a text: leave by=moment out")

    def look() -> Answer:
        searcher = context.opened.searcher(run)
        if picture is not None:
            frames = searcher.archive.head.shape.num_frames
            return searcher.by_look(picture.items.batch(ONLY, frames), wish)
        assert known is not None, "one of them is given"
        if not known.status.frames:
            raise NotThereError(
                f"video {known.number} has no frames: {known.status.reason or known.status.status}"
            )
        asked = searcher.video(known.id) if query.seconds is None else searcher.frame(known.id, query.seconds)
        return searcher.by_look(asked, wish, without=known.id)

    return look


def _record(context: PageContext, run: str, query: QueryRecord, wish: Wish, answer: Answer) -> SearchRecord:
    searcher = context.opened.searcher(run)
    own = min(answer.own, key=lambda one: (one.rank is None, one.rank or 0), default=None)
    is_measured = query.kind == "text" and wish.by == "video"
    calibration = searcher.calibration if is_measured else None
    hits: list[HitRecord] = []
    for rank, hit in enumerate(answer.hits, start=wish.offset + 1):
        place = None
        if wish.by == "video" and answer.searched:
            place = PlaceRecord(max(0.0, (answer.searched - rank) / answer.searched), hit.deviations)
        hits.append(
            HitRecord.of(
                context.video(hit.number),
                rank=rank,
                score=hit.score,
                place=place,
                share_right=hit.share_right,
                moment=MomentRecord.of(hit.moment),
            )
        )
    return SearchRecord(
        query=query,
        run=run,
        head=context.run(run).head,
        by=wish.by,
        searched=answer.searched,
        compared=answer.compared,
        offset=wish.offset,
        stands_out=None if answer.nothing_stands_out is None else not answer.nothing_stands_out,
        remark=answer.remark,
        true_video=None if own is None else OwnVideoRecord(own.number, own.rank, own.score),
        calibrated_on=None
        if calibration is None
        else f"{counted(calibration.queries, 'caption')} and {counted(calibration.videos, 'video')} of {VALIDATION}",
        uncalibrated=context.opened.uncalibrated(run) if is_measured else "",
        hits=hits,
    )


def _about(context: PageContext) -> PageAbout:
    opened = context.opened
    manifest = opened.store.manifest
    usual = opened.searcher(None)
    return PageAbout(
        version=version("tvr"),
        dataset=manifest.dataset,
        store=context.name,
        encoder=manifest.model,
        videos=len(opened.catalogue),
        with_frames=opened.features.num_videos,
        captions=manifest.num_texts,
        splits=sorted(opened.store.splits),
        statuses=opened.catalogue.status_names,
        folders=opened.catalogue.folders,
        run=opened.usual,
        runs=[
            RunName(run.name, run.head, None if run.entry is None else run.entry.day)
            for run in opened.runs.values()
        ],
        caution=CautionRecord.of(manifest.caution),
        notes=list(usual.archive.notes),
        has_captions=bool(manifest.num_texts),
        longest_query_words=int(manifest.encoder.get("context_length", USUAL_CONTEXT)),
        examples=[query.text for query in example_queries(usual, [], EXAMPLES)] if manifest.num_texts else [],
    )
