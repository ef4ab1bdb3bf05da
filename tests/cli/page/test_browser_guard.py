"""What a browser is let into: the server by its own name, and by whoever knows the token."""

from collections.abc import Generator

import pytest
from playwright.sync_api import Browser, expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route
from tvr.cli.page.guard import Guard, new_token

from ...fixtures.chromium import FOREIGN_NAME, opened
from ...fixtures.http_server import served

TOKEN = new_token()


async def secret(_: Request) -> HTMLResponse:
    return HTMLResponse("<!doctype html><html lang=en><title>tvr</title><h1>Videos</h1>")


@pytest.fixture(scope="module", params=[("127.0.0.1", None), ("0.0.0.0", TOKEN)], ids=["local", "open"])
def guarded(request: pytest.FixtureRequest) -> Generator[tuple[int, str | None]]:
    """The port of a page behind the guard, and the token that it demands."""
    host, token = request.param
    with served(Guard(Starlette(routes=[Route("/", secret)]), host, token)) as port:
        yield port, token


def test_a_name_that_was_pointed_here_fails(browser: Browser, guarded: tuple[int, str | None]) -> None:
    """Another site's name that resolves to this machine, as in DNS rebinding."""
    port, token = guarded
    with opened(browser, f"http://{FOREIGN_NAME}:{port}") as page:
        answer = page.goto("/" if token is None else f"/?token={token}")
        assert answer is not None
        assert answer.status in (400, 403, 421)
        expect(page.get_by_role("heading", name="Videos")).to_have_count(0)


def test_the_token_opens_the_page_and_leaves_the_address(
    browser: Browser, guarded: tuple[int, str | None]
) -> None:
    port, token = guarded
    address = f"http://127.0.0.1:{port}"
    with opened(browser, address) as page:
        answer = page.goto("/")
        assert answer is not None
        assert answer.status == (200 if token is None else 401)
        page.goto(f"/?token={token or ''}")
        expect(page.get_by_role("heading", name="Videos")).to_be_visible()
        if token is not None:
            expect(page).to_have_url(f"{address}/")
            page.reload()
            expect(page.get_by_role("heading", name="Videos")).to_be_visible()
            assert page.evaluate("document.cookie") == "", "no script reads the token"


def test_a_wrong_token_fails(browser: Browser, guarded: tuple[int, str | None]) -> None:
    port, token = guarded
    with opened(browser, f"http://127.0.0.1:{port}") as page:
        answer = page.goto("/?token=guessed")
        assert answer is not None
        assert answer.status == (200 if token is None else 401)
