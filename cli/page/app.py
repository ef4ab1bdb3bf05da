"""The page's server: every route, each a call of the rooms below."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.metadata import version
from importlib.resources import files

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, Response
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from ...data.contracts.errors import DecodeError, StoreError, TvrError, UsageError
from .context import NotThereError, PageContext
from .guard import STATUSES
from .media.files import MediaError
from .query_worker import BusyError
from .records import Trouble
from .refusals import Refusal
from .run_routes import run_routes
from .search_routes import search_routes
from .video_routes import media_routes, video_routes

PAGES = ("/", "/video", "/store", "/runs", "/runs/{name}", "/failures")
"""Addresses that the page reads itself."""
_CODES: tuple[tuple[type[TvrError], int], ...] = (
    (NotThereError, 404),
    (MediaError, 404),
    (BusyError, 503),
    (UsageError, 400),
    (DecodeError, 422),
    (StoreError, 409),
    (TvrError, 500),
)
"""What each kind of error is called in HTTP, the special ones first."""
_SHOWN_INPUT = 60


def page_app(context: PageContext) -> FastAPI:
    """The whole server, without what stands in front of it.

    Args:
        context: what is shown; entered here when the server starts, left when it stops.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        with context:
            yield

    app = FastAPI(
        title="tvr",
        version=version("tvr"),
        description="Find the moment of a video that a text describes, and see why.",
        docs_url=None,  # they load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,  # an address that is none leads nowhere
        lifespan=lifespan,
        responses={code: {"model": Trouble} for code in sorted({*STATUSES, *(code for _, code in _CODES)})},
    )
    app.include_router(search_routes(context), prefix="/api")
    app.include_router(video_routes(context), prefix="/api")
    app.include_router(media_routes(context), prefix="/api")
    app.include_router(run_routes(context), prefix="/api")
    app.include_router(_pages())
    app.mount("/static", StaticFiles(packages=[(__package__ or "", "static")]), name="static")
    app.add_exception_handler(TvrError, _refused)
    app.add_exception_handler(RequestValidationError, _misread)
    app.add_exception_handler(HTTPException, _no_such)
    return app


def _pages() -> APIRouter:
    routes = APIRouter(include_in_schema=False)
    index = files(__package__ or "").joinpath("static", "index.html")

    def page() -> FileResponse:
        return FileResponse(
            str(index), media_type="text/html; charset=utf-8", headers={"cache-control": "no-cache"}
        )

    for address in PAGES:
        routes.add_api_route(address, page, methods=["GET"])
    return routes


def _refused(request: Request, error: Exception) -> Response:
    code = next(code for kind, code in _CODES if isinstance(error, kind))
    return Refusal(code, str(error), {"retry-after": "1"} if code == 503 else {}).answer(request)


def _no_such(request: Request, error: Exception) -> Response:
    """An address that is none, or a method that it does not know."""
    assert isinstance(error, HTTPException), "nothing else is sent here"
    sentence = "there is nothing under this address" if error.status_code == 404 else error.detail
    return Refusal(error.status_code, sentence, dict(error.headers or {})).answer(request)


def _misread(request: Request, error: Exception) -> Response:
    """In one sentence, as every other refusal, which parameters are not what they may be."""
    assert isinstance(error, RequestValidationError), "nothing else is sent here"
    found: dict[str, str] = {}
    for one in error.errors():
        given = str(one["input"])
        given = "" if one["input"] is None or len(given) > _SHOWN_INPUT else f", got {given!r}"
        found.setdefault(str(one["loc"][-1]), f"{one['msg'].lower()}{given}")
    sentence = "; ".join(f"{name}: {wrong}" for name, wrong in found.items())
    return Refusal(422, sentence).answer(request)
