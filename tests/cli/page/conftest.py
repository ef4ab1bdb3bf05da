"""One archive, one server and one browser for the tests that look at the page."""

from collections.abc import Callable, Generator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Browser, Page

from ...fixtures.chromium import chromium_path, opened, running_chromium
from ...fixtures.served_page import ServedPage, page_served
from ...fixtures.serving import served_by_command
from ...fixtures.shown_archive import ShownArchive, write_shown_archive

Open = Callable[..., Page]
"""Opens a path of the page in a browser that remembers nothing; further arguments are Playwright's of a context."""


@pytest.fixture(scope="module")  # its loop lives in this process, and other modules' tests set its clock
def api(tmp_path_factory: pytest.TempPathFactory) -> Generator[ServedPage]:
    """A server on eleven small videos, with a trained head."""
    with page_served(tmp_path_factory.mktemp("page")) as made:
        yield made


@pytest.fixture(scope="session")
def shown(tmp_path_factory: pytest.TempPathFactory) -> ShownArchive:
    """Generated videos, extracted and trained on."""
    chromium_path()  # without a browser nothing is made
    return write_shown_archive(tmp_path_factory.mktemp("shown"))


@pytest.fixture(scope="session")
def address(shown: ShownArchive) -> Generator[str]:
    """Where ``tvr serve`` shows them."""
    with served_by_command("--workspace", shown.store.parents[2], cwd=shown.root) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Generator[Browser]:
    """Of a module, for while Playwright runs no other test may start an event loop of its own."""
    with running_chromium() as browser:
        yield browser


@pytest.fixture
def visit(browser: Browser, address: str) -> Generator[Open]:
    """Opens pages, and looks afterwards whether they complained."""
    with ExitStack() as stack:

        def visit(path: str = "/", **setting: object) -> Page:
            page = stack.enter_context(opened(browser, address, **setting))
            page.goto(path)
            return page

        yield visit
