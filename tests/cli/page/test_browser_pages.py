"""Every page as a person sees it: what it says, at which width, and whether everybody can use it."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

Open = Callable[..., Page]

PAGES = {
    "start": ("/", ".card"),
    "player": ("/?q=a+red+circle+moves&run=hcmi-1&video=2&t=1&to=3&word=1", ".word"),
    "compared": ("/?q=a+red+circle&run=zero-shot&against=hcmi-1", ".column .card"),
    "store": ("/store", ".troubles"),
    "runs": ("/runs", "table"),
    "run": ("/runs/hcmi-1", ".chart"),
    "failures": ("/failures?run=zero-shot", ".pair img"),
    "video": ("/video?q=red&video=2", ".word"),
}
"""Each with what is there once it is complete."""
SCREENS = {2560: 1440, 1280: 900, 360: 740}
SCREENSHOTS = os.environ.get("TVR_SCREENSHOTS")
"""A folder to which every page is drawn at every width, light and dark, for somebody to look at."""
VALUELESS = re.compile(r"\b(?:null|undefined|NaN)\b|\[object")
"""What a script shows by mistake."""
PICTURES_ARE_THERE = """() => [...document.images].every((one) => {
    const { top, bottom } = one.getBoundingClientRect();
    return one.complete || bottom < 0 || top > innerHeight;
})"""


@pytest.mark.parametrize("name", PAGES)
def test_everybody_can_use_every_page(visit: Open, name: str) -> None:
    """axe finds no serious violation, light or dark; nothing is wider than its screen, or said without a value."""
    path, last = PAGES[name]
    page = visit(path)
    expect(page.locator(last).first).to_be_visible()
    expect(page.locator("[aria-busy=true]")).to_have_count(0)
    assert VALUELESS.findall(page.locator("body").inner_text()) == []
    assert serious(page) == []
    page.emulate_media(color_scheme="dark")
    assert serious(page, "color-contrast") == []
    for width, height in SCREENS.items():
        page.set_viewport_size({"width": width, "height": height})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        if SCREENSHOTS:
            draw(page, Path(SCREENSHOTS) / f"{name}-{width}")


def serious(page: Page, *rules: str) -> list[tuple[str, list[str]]]:
    """What axe finds by these rules, or by all: which rule, and where."""
    options: dict[str, object] = {"resultTypes": ["violations"]}  # of all else axe tells one example
    if rules:
        options["runOnly"] = {"type": "rule", "values": list(rules)}
    found = Axe().run(page, options=options).response["violations"]
    grave = [one for one in found if one["impact"] in ("serious", "critical")]
    return [(one["help"], [node["html"] for node in one["nodes"]]) for one in grave]


def draw(page: Page, path: Path) -> None:
    """Two pictures of what is in view."""
    page.wait_for_function(PICTURES_ARE_THERE)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.screenshot(path=path.with_name(f"{path.name}-{scheme}.png"))


def test_the_store_says_what_it_holds_and_what_failed(visit: Open) -> None:
    page = visit("/store")
    tiles = page.get_by_role("list", name="In numbers")
    expect(tiles).to_contain_text(re.compile(r"27\s*videos"))
    expect(tiles).to_contain_text(re.compile(r"26\s*with frames"))
    troubles = page.get_by_role("region", name="Videos with trouble")
    expect(troubles.get_by_role("listitem")).to_contain_text(["empty"])
    expect(troubles).to_contain_text("No frame could be read")
    expect(page.get_by_text("tvr-storyboard").first).to_be_visible()
    troubles.get_by_role("link").first.click()
    expect(page.get_by_role("complementary")).to_be_visible()


def test_a_run_shows_its_curves_and_tables(visit: Open) -> None:
    page = visit("/runs")
    page.get_by_role("link", name="hcmi-1", exact=True).click()
    expect(page.get_by_role("heading", name="hcmi-1")).to_be_visible()
    loss = page.get_by_role("img", name=re.compile(r"^Loss after 2 epochs: "))
    expect(loss).to_be_visible()
    expect(page.get_by_role("img", name=re.compile(r"^Validation after 2 epochs: "))).to_be_visible()
    expect(page.get_by_role("table", name="frozen encoder")).to_contain_text("hcmi")
    expect(page.get_by_text("batch size", exact=True)).to_be_visible()
    page.get_by_role("link", name="Search with it").click()
    expect(page).to_have_url(re.compile(r"/\?run=hcmi-1$"))


def test_two_runs_are_chosen_to_be_compared(visit: Open) -> None:
    page = visit("/runs")
    page.get_by_role("combobox", name="Compare").select_option("zero-shot")
    page.get_by_role("combobox", name="with").select_option("hcmi-1")
    page.get_by_role("button", name="Side by side").click()
    for run in ("zero-shot", "hcmi-1"):
        expect(page.get_by_role("region", name=f"Results of {run}").locator(".card").first).to_be_visible()
    page.get_by_role("searchbox", name="Describe").fill("")
    page.get_by_role("searchbox", name="Describe").press("Enter")
    expect(page.get_by_text("answered by zero-shot and by hcmi-1, side by side")).to_be_visible()


def test_failures_lead_to_the_query(visit: Open) -> None:
    page = visit("/failures?run=zero-shot&split=train")
    row = page.get_by_role("list", name="Wrong queries").get_by_role("listitem").first
    expect(row).to_contain_text(re.compile(r"rank \d+"))
    text = row.locator(".failure-text").text_content() or ""
    row.locator(".failure-text").click()
    expect(page.get_by_role("searchbox", name="Describe")).to_have_value(text)
    expect(page.locator(".true-rank")).not_to_have_attribute("data-rank", "1")
    page.go_back()
    expect(row.locator(".failure-text")).to_have_text(text)


def test_pages_are_reached_by_their_links(visit: Open) -> None:
    page = visit()
    expect(page.locator(".card").first).to_be_visible()
    for name, heading in (
        ("Store", "Store"),
        ("Runs", "Runs"),
        ("Failures", "Queries that a run gets wrong"),
    ):
        page.get_by_role("navigation", name="Pages").get_by_role("link", name=name).click()
        expect(page.get_by_role("heading", name=heading, level=1)).to_be_visible()
        expect(page.locator("nav [aria-current=page]")).to_have_text(name)
        expect(page.locator("main")).to_be_focused()
