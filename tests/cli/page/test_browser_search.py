"""Asking and finding, in a real browser."""

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote_plus

import av
import pytest
from playwright.sync_api import Page, Route, expect

from ...fixtures.shown_archive import HEVC_FILE, MARKUP, MARKUP_FILE, SIZES, ShownArchive

Open = Callable[..., Page]
SPLIT = "test"


def ask(page: Page, text: str) -> None:
    box = page.get_by_role("searchbox", name="Describe what is to be seen")
    box.fill(text)
    box.press("Enter")


def cards(page: Page) -> list[str]:
    """The titles of the results, once they are those of what was asked."""
    expect(page.locator(".card[data-rank='1']")).to_be_visible()
    expect(page.locator(".results")).not_to_have_attribute("aria-busy", "true")
    return page.locator(".card .open").all_text_contents()


@pytest.fixture
def found_first(shown: ShownArchive, visit: Open) -> tuple[str, str]:
    """A caption by which its own video comes first, and that video's file; asked of the server, not of the page."""
    page = visit()
    for file, caption in shown.captions.items():
        answer = page.request.get(f"/api/search?q={quote_plus(caption)}&run=zero-shot").json()
        if answer["hits"][0]["file"] == file and answer["true_video"]["rank"] == 1:
            return caption, file
    raise AssertionError("no caption finds its own video first")


def test_the_right_card_comes_first(visit: Open, found_first: tuple[str, str]) -> None:
    caption, file = found_first
    page = visit("/?run=zero-shot")
    ask(page, caption)
    first = page.locator(".card").first
    expect(first.get_by_role("link", name=caption, exact=True)).to_be_visible()
    expect(first).to_contain_text(file)
    expect(first).to_contain_text("best of 26 videos")
    expect(page.locator(".card").nth(1)).to_contain_text("better than 92.3 % of 26 videos")
    expect(page.locator(".true-rank")).to_contain_text("at rank 1")
    expect(page.locator("#announcement")).to_contain_text(re.compile(r"Best 1.24 of 26 videos"))
    expect(first.locator("img")).to_have_js_property("complete", True)


def test_results_come_while_one_types(visit: Open) -> None:
    page = visit()
    page.keyboard.press("/")
    page.keyboard.type("a red circle")
    expect(page).to_have_url(re.compile(r"\?q=a\+red\+circle$"))
    expect(page.get_by_role("list", name="Results").get_by_role("listitem").first).to_be_visible()


def test_back_restores_the_query(visit: Open) -> None:
    page = visit()
    ask(page, "a red circle")
    expect(page.locator(".card[data-rank='1']")).to_be_visible()
    first = cards(page)
    ask(page, "a big blue heart spins")
    expect(page.locator(".summary")).to_contain_text("Best")
    page.locator(".card .open").nth(1).click()
    expect(page.get_by_role("complementary")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("complementary")).to_be_hidden()
    expect(page.get_by_role("searchbox")).to_have_value("a big blue heart spins")
    page.go_back()
    expect(page.get_by_role("searchbox")).to_have_value("a red circle")
    expect(page.locator(".card .open")).to_have_text(first)
    page.go_forward()
    expect(page.get_by_role("searchbox")).to_have_value("a big blue heart spins")


def test_a_link_shows_a_colleague_the_same(visit: Open, found_first: tuple[str, str]) -> None:
    mine = visit(f"/?q={quote_plus(found_first[0])}&split={SPLIT}&by=moment")
    mine.locator(".card .open").nth(1).click()
    expect(mine.locator(".span-words")).to_contain_text("Span")
    theirs = visit(mine.url)
    expect(theirs.get_by_role("searchbox")).to_have_value(found_first[0])
    expect(theirs.locator(".span-words")).to_have_text(mine.locator(".span-words").text_content() or "")
    expect(theirs.get_by_role("complementary").get_by_role("heading")).to_have_text(
        mine.get_by_role("complementary").get_by_role("heading").text_content() or ""
    )
    expect(theirs.locator(".card .open")).to_have_text(cards(mine))


def test_markup_in_a_caption_and_a_name_stays_text(visit: Open) -> None:
    page = visit("/")
    page.get_by_role("searchbox", name="File").fill("bold")
    card = page.locator(".card")
    expect(card).to_have_count(1)
    expect(card.get_by_role("link", name=MARKUP, exact=True)).to_be_visible()
    expect(card).to_contain_text(MARKUP_FILE)
    card.locator(".open").click()
    expect(page.get_by_role("complementary").get_by_role("heading")).to_have_text(MARKUP)
    ask(page, MARKUP)
    expect(page.locator(".true-rank")).to_be_visible()
    assert page.locator("img[src='x'], .file b, .open b").count() == 0
    assert page.title() != "1"


def test_a_slow_older_answer_never_replaces_a_newer_one(visit: Open) -> None:
    page = visit()
    held: list[Route] = []
    page.route(lambda url: "q=a+slow+one" in url, lambda route: held.append(route))
    with page.expect_request(lambda request: "q=a+slow+one" in request.url):
        ask(page, "a slow one")
    ask(page, "a red circle")
    expect(page.locator(".card[data-rank='1']")).to_be_visible()
    newer = cards(page)
    late = page.request.get("/api/search?q=stored+in+HEVC&top=1").json()
    for route in held:
        route.fulfill(json=late)
    page.evaluate("new Promise((resolve) => setTimeout(resolve))")  # what was answered has been handled
    assert cards(page) == newer


def test_an_example_is_one_click_away(visit: Open) -> None:
    page = visit()
    example = page.locator(".examples a").first
    text = example.text_content() or ""
    example.click()
    expect(page.get_by_role("searchbox")).to_have_value(text)
    expect(page.locator(".card[data-rank='1']")).to_be_visible()


@pytest.fixture
def still(shown: ShownArchive, tmp_path: Path) -> Path:
    """A frame of the video in HEVC, which looks like no other, as a picture file."""
    path = tmp_path / "still.png"
    with av.open(str(shown.root / "odd" / HEVC_FILE)) as container:
        next(container.decode(video=0)).to_image().save(path)
    return path


def test_a_picture_finds_what_looks_like_it(visit: Open, still: Path) -> None:
    page = visit("/?run=zero-shot")
    page.locator("#picture-file").set_input_files(still)
    expect(page.locator(".card").first).to_contain_text(HEVC_FILE)
    expect(page.get_by_text("Like this picture", exact=True)).to_be_visible()
    page.get_by_role("link", name="Remove the example").click()
    expect(page.get_by_text("Like this picture", exact=True)).to_be_hidden()


def bring(page: Page, way: str, name: str, kind: str, content: bytes, size: int = 0) -> None:
    """Drop or paste a file of that content, or of so many zeros."""
    page.evaluate(
        """([way, name, type, bytes, size]) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(size || bytes)], name, { type }));
            const says = { bubbles: true, cancelable: true };
            const event = way === "drop" ? new DragEvent("drop", { dataTransfer: data, ...says })
                : new ClipboardEvent("paste", { clipboardData: data, ...says });
            document.body.dispatchEvent(event);
        }""",
        [way, name, kind, list(content), size],
    )


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_a_picture_is_dropped_or_pasted(visit: Open, still: Path, way: str) -> None:
    page = visit("/?run=zero-shot")
    expect(page.locator(".card").first).to_be_visible()
    bring(page, way, "still.png", "image/png", still.read_bytes())
    expect(page.get_by_text("Like this picture", exact=True)).to_be_visible()
    expect(page.locator(".card[data-rank='1']")).to_contain_text(HEVC_FILE)


@pytest.mark.parametrize(
    ("name", "kind", "content", "size", "said"),
    [
        ("notes.txt", "text/plain", b"words", 0, "notes.txt is not a picture"),
        ("cut.png", "image/png", b"\x89PNG", 0, "picture"),
        ("huge.png", "image/png", b"", 10_000_001, "at most 10 MB"),
    ],
)
def test_a_picture_fails(visit: Open, name: str, kind: str, content: bytes, size: int, said: str) -> None:
    page = visit()
    expect(page.locator(".card").first).to_be_visible()
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    bring(page, "drop", name, kind, content, size)
    expect(page.get_by_role("alert")).to_contain_text(said)
    expect(page.get_by_role("alert")).to_be_in_viewport()
    page.get_by_role("button", name="Put away").click()
    expect(page.get_by_role("alert")).to_have_count(0)


def test_more_like_this_video(visit: Open) -> None:
    page = visit(f"/?name={HEVC_FILE}&run=zero-shot")
    card = page.locator(".card", has_text=HEVC_FILE)
    card.get_by_role("link", name="More like this").click()
    expect(page.get_by_text("Like this video", exact=True)).to_be_visible()
    expect(page.locator(".card[data-rank='1']")).to_be_visible()
    expect(page.locator(".card", has_text=HEVC_FILE)).to_have_count(0)  # the example itself is no answer


def test_filters_pages_and_moments(visit: Open) -> None:
    page = visit("/?q=a+red+circle")
    expect(page.locator(".counts")).to_contain_text("of 26 videos")
    page.get_by_role("link", name="Next").click()
    expect(page.locator(".card")).to_have_count(2)
    page.get_by_role("combobox", name="Split").select_option(SPLIT)
    expect(page.locator(".card")).to_have_count(SIZES[SPLIT])
    expect(page).to_have_url(re.compile(r"split=test$"))
    page.get_by_text("Moments", exact=True).click()
    expect(page.locator(".counts")).to_contain_text("moments of 6 videos")
    page.get_by_role("spinbutton", name="At least (seconds)").fill("1000")
    expect(page.get_by_text("No video passes the filters.")).to_be_visible()
    page.get_by_role("button", name="Clear filters").click()
    expect(page.locator(".counts")).to_contain_text("of 26 videos")


def test_two_runs_beside_each_other(visit: Open, found_first: tuple[str, str]) -> None:
    page = visit(f"/?q={quote_plus(found_first[0])}&run=zero-shot")
    page.get_by_role("combobox", name="Compared with").select_option("hcmi-1")
    for run in ("zero-shot", "hcmi-1"):
        column = page.get_by_role("region", name=f"Results of {run}")
        expect(column.locator(".true-rank")).to_contain_text(re.compile(r"at rank \d+"))
        expect(column.locator(".card")).to_have_count(12)
    other = page.get_by_role("region", name="Results of hcmi-1").locator(".true-rank")
    rank = other.get_attribute("data-rank")
    expect(page.locator("[data-run='zero-shot'] .card", has_text="written for this video")).to_contain_text(
        "same rank in hcmi-1" if rank == "1" else f"rank {rank} in hcmi-1"
    )


def test_a_card_of_the_second_run_opens_beside_the_comparison(visit: Open) -> None:
    page = visit("/?q=a+red+circle&run=zero-shot&against=hcmi-1")
    page.get_by_role("region", name="Results of hcmi-1").locator(".card .open").first.click()
    player = page.get_by_role("complementary")
    expect(player.get_by_text("Curve and scores here are those of hcmi-1.")).to_be_visible()
    expect(player.get_by_text("The curve is the head's own comparison")).to_be_visible()
    for run in ("zero-shot", "hcmi-1"):
        expect(page.get_by_role("region", name=f"Results of {run}").locator(".card").first).to_be_visible()
    page.get_by_role("region", name="Results of zero-shot").locator(".card .open").first.click()
    expect(player.get_by_text("The head compares no words with frames")).to_be_visible()
    expect(page).to_have_url(re.compile(r"run=zero-shot&against=hcmi-1&video=\d+(&t=[\d.]+)?(&to=[\d.]+)?$"))


def test_the_next_wrong_query(visit: Open) -> None:
    page = visit("/?q=a+red+circle&run=zero-shot&against=hcmi-1")
    wrong = page.request.get("/api/runs/zero-shot/failures?split=test&top=2").json()["failures"]
    for place, failure in enumerate(wrong):
        page.get_by_role("button", name="Next wrong query").click()
        expect(page.get_by_role("searchbox")).to_have_value(failure["text"])
        expect(page).to_have_url(re.compile(f"failure={place}$"))
        expect(page.locator("[data-run='zero-shot'] .true-rank")).to_have_attribute(
            "data-rank", f"{failure['rank']:g}"
        )
    assert len(wrong) == 2


def test_keys_walk_and_open_cards(visit: Open) -> None:
    page = visit("/?q=a+red+circle")
    expect(page.locator(".card[data-rank='1']")).to_be_visible()
    links = page.locator(".card .open")
    page.keyboard.press("ArrowRight")
    expect(links.first).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(links.nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    player = page.get_by_role("complementary")
    expect(player.get_by_role("heading")).to_have_text(links.nth(1).text_content() or "")
    page.keyboard.press("ArrowRight")
    expect(player.get_by_role("heading")).to_have_text(links.nth(2).text_content() or "")
    page.keyboard.press("Escape")
    expect(player).to_be_hidden()
    expect(links.nth(2)).to_be_focused()
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox", name="Describe")).to_be_focused()


def test_what_a_reader_must_know_first_is_said(visit: Open) -> None:
    page = visit()
    caution = page.locator("#notices .strong")
    expect(caution).to_contain_text("knows drawings only")
    expect(caution).to_be_in_viewport()


def test_nothing_stands_out_is_said(visit: Open) -> None:
    page = visit("/?q=a+red+circle")
    answer = page.request.get("/api/search?q=a+red+circle").json()
    answer |= {"stands_out": False, "remark": "nothing stands out: chance gives as much"}
    answer["query"] |= {"cut": True, "read": "a red"}
    page.route("**/api/search**", lambda route: route.fulfill(json=answer))
    page.reload()
    expect(page.get_by_text("Nothing stands out: chance gives as much.")).to_be_visible()
    expect(page.get_by_text("It read: “a red”")).to_be_visible()


@pytest.mark.parametrize(
    "path", ["/?q=a+red+circle&run=nowhere", "/?like=999", "/?picture=gone", "/runs/nowhere"]
)
def test_a_request_fails(visit: Open, path: str) -> None:
    """What the server says is wrong is shown."""
    page = visit()
    with page.expect_response(lambda answer: answer.status >= 400 and "/frame" not in answer.url) as refused:
        page.goto(path)
    expect(page.locator("main").get_by_role("alert")).to_have_text(refused.value.json()["detail"])


def test_a_server_that_is_gone_is_said_and_found_again(visit: Open) -> None:
    page = visit()
    expect(page.locator(".card").first).to_be_visible()
    page.context.set_offline(True)
    ask(page, "a red circle")
    gone = page.get_by_text("The server does not answer.", exact=True)
    expect(page.locator("#gone")).to_be_visible()
    expect(gone.first).to_be_visible()
    page.context.set_offline(False)
    expect(page.locator("#gone")).to_have_count(0)
    expect(page.locator(".card[data-rank='1']")).to_be_visible()


def test_the_down_arrow_leads_from_the_box_to_the_first_card(visit: Open) -> None:
    page = visit("/?q=a+big+red+circle")
    expect(page.locator(".card .open").first).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.press("ArrowDown")
    expect(page.locator(".card .open").first).to_be_focused()
