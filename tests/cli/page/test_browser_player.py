"""Playing what was found, and seeing why, in a real browser."""

import re
from collections.abc import Callable
from urllib.parse import parse_qs, quote_plus, urlsplit

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from ...fixtures.shown_archive import HEVC_FILE, ShownArchive

Open = Callable[..., Page]

WATCH = """(video) => {
    window.seen = { positions: [], starts: [] };
    video.addEventListener("timeupdate", () => video.seeking || seen.positions.push(video.currentTime));
    video.addEventListener("seeked", () => seen.starts.push(video.currentTime));
}"""
PLAYING = """() => { const v = document.querySelector("video"); return !v.paused && v.readyState > 2 && !v.seeking; }"""


@pytest.fixture
def query(shown: ShownArchive) -> str:
    """A sentence with two shapes, as the address has it."""
    return quote_plus(shown.captions["test-00005.mp4"])


@pytest.fixture
def player(visit: Open, query: str) -> Locator:
    """Opened on the first hit of the query, by the head that compares words, and playing."""
    page = visit(f"/?q={query}&run=hcmi-1")
    page.locator(".card .open").first.click()
    page.wait_for_function(PLAYING)
    expect(page.get_by_role("group", name="Words")).to_be_visible()
    return page.get_by_role("complementary")


def span(player: Locator) -> tuple[float, float]:
    mark = player.locator(".span-mark")
    return float(mark.get_attribute("data-from") or "nan"), float(mark.get_attribute("data-to") or "nan")


def position(player: Locator) -> float:
    return float(player.get_by_role("slider").get_attribute("aria-valuenow") or "nan")


def curve(player: Locator, kind: str) -> str:
    return player.locator(f".curve[data-curve='{kind}'] .line").get_attribute("d") or ""


def test_the_video_plays_its_span_over_and_over(player: Locator) -> None:
    first, last = span(player)
    assert 0 <= first < last < player.locator("video").evaluate("(video) => video.duration") - 1
    player.locator("video").evaluate(WATCH)
    player.page.wait_for_function("() => seen.starts.length >= 2")
    seen = player.page.evaluate("seen")
    assert seen["starts"] == pytest.approx([first] * len(seen["starts"]), abs=0.1)
    # A busy machine notices the end late; a video that played on would be elsewhere most of the time.
    assert min(seen["positions"]) > first - 0.1
    assert sum(at <= last for at in seen["positions"]) > len(seen["positions"]) / 2, (seen, last)


def test_a_span_of_a_blink_plays_with_what_is_around_it(visit: Open, shown: ShownArchive) -> None:
    page = visit("/?name=test-00005")
    page.locator(".card .open").click()
    page.wait_for_function(PLAYING)
    page.goto(f"{page.url.partition('&t=')[0]}&t=1.5&to=1.6")
    page.wait_for_function(PLAYING)
    page.locator("video").evaluate(WATCH)
    page.wait_for_function("() => seen.starts.length >= 1")
    assert page.evaluate("Math.max(...seen.starts)") == pytest.approx(1.05, abs=0.1)
    expect(page.locator(".span-words")).to_have_text(re.compile("1.5.1.6"))


def test_a_switch_plays_all(player: Locator) -> None:
    _, last = span(player)
    player.get_by_role("combobox", name="Speed").select_option("2")
    player.get_by_role("switch", name="Whole video").check()
    expect(player.page).to_have_url(re.compile("whole=1"))
    player.page.wait_for_function("(at) => document.querySelector('video').currentTime > at", arg=last + 1)
    player.locator("video").evaluate(WATCH)
    player.page.wait_for_function("() => seen.starts.length >= 1")
    assert player.page.evaluate("seen.starts[0]") == pytest.approx(0, abs=0.1)


def test_what_closes_it_stays_in_view(player: Locator) -> None:
    player.evaluate("(panel) => panel.scrollTo(0, panel.scrollHeight)")
    player.get_by_role("button", name="Close the player").click()
    expect(player).to_be_hidden()


def test_a_word_has_a_curve_of_its_own(player: Locator) -> None:
    words = player.get_by_role("group", name="Words").get_by_role("button")
    curves = []
    for place in (1, 3):
        words.nth(place).click()
        expect(words.nth(place)).to_have_attribute("aria-pressed", "true")
        label = f"“{words.nth(place).text_content()}”"
        expect(player.locator(".curve[data-curve='word']")).to_have_attribute("data-label", label)
        expect(player.get_by_role("img", name=re.compile("^Match of"))).to_have_attribute(
            "aria-label", re.compile(re.escape(f"Match of {label}: highest "))
        )
        curves.append(curve(player, "word"))
    assert len({*curves, curve(player, "query")}) == 3
    expect(player.page).to_have_url(re.compile("word=3$"))
    player.get_by_role("button", name="All words").click()
    expect(player.locator(".curve[data-curve='word']")).to_have_count(0)


def test_a_phrase_has_a_curve_of_its_own(player: Locator) -> None:
    player.get_by_role("group", name="Phrases").get_by_role("button").first.click()
    expect(player.locator(".curve[data-curve='phrase']")).to_be_visible()
    assert curve(player, "phrase") != curve(player, "query")
    expect(player.get_by_text("The curve is the head's own comparison")).to_be_visible()


def test_a_head_without_words_says_what_the_curve_is_of(visit: Open, query: str) -> None:
    page = visit(f"/?q={query}&run=zero-shot&video=0")
    expect(page.get_by_text("The head compares no words with frames")).to_be_visible()


def test_the_word_that_decided_is_named(player: Locator) -> None:
    said = player.locator(".decision")
    expect(said).to_have_text(
        re.compile(r"^Decided by (the \w+ )?“[a-z]+”: without it .* is -?0\.\d{3}, with it -?0\.\d{3}\.$")
    )
    word = said.locator("b").inner_text().strip("“”")
    expect(player.locator(".word.decided .text")).to_have_text(word)
    words = player.locator(".word[data-curve='word'] .text").all_inner_texts()
    assert ("Decided by the" in said.inner_text()) == (words.count(word) > 1), "which of them is said"


@pytest.mark.parametrize(
    ("without", "decided"),
    [
        ([0.1, 0.2, 0.3, 0.9], 1),  # "a" alone matters more
        ([0.9, 0.4, 0.3, 0.9], 2),
        ([0.1, 0.9, 0.9, 0.2], 0),  # nothing else matters
        ([0.9, 0.9, 0.9, 0.9], None),
        ([], None),
    ],
)
def test_a_function_word_decides_only_where_no_other_does(
    without: list[float], decided: int | None, player: Locator
) -> None:
    found = player.page.evaluate(
        "async (asked) => (await import('/static/words.js')).decidingWord(asked)",
        {"words": ["A", "red", "star,", "and"], "score": 0.5, "scores_without": without},
    )
    assert found == decided


def test_keys_set_the_span(player: Locator) -> None:
    page = player.page
    page.keyboard.press(" ")
    expect(player.get_by_role("button", name="Play", exact=True)).to_be_visible()
    line = player.get_by_role("slider")
    line.press("Home")
    for key, name in (("[", "t"), ("]", "to")):
        at = position(player)
        page.keyboard.press(key)
        expect(page).to_have_url(re.compile(rf"[?&]{name}="))
        assert float(parse_qs(urlsplit(page.url).query)[name][0]) == pytest.approx(at, abs=0.01)
        for _ in range(3):
            line.press("ArrowRight")
    first, last = span(player)
    assert first == 0 < last
    expect(player.locator(".span-words")).to_have_text(re.compile(r"^Span 0\.0.\d"))


def test_a_span_that_ends_where_it_begins_keeps_its_beginning(player: Locator) -> None:
    player.get_by_role("button", name="Pause").click()
    player.page.keyboard.press("[")
    first, _ = span(player)
    player.page.keyboard.press("]")
    expect(player.page).to_have_url(re.compile(r"t=[\d.]+&to=[\d.]+"))
    assert span(player) == pytest.approx((first, first + 0.1), abs=0.002)


def test_the_time_line_is_pressed_and_dragged(player: Locator) -> None:
    page, line = player.page, player.get_by_role("slider")
    page.keyboard.press(" ")
    length = float(line.get_attribute("aria-valuemax") or "nan")
    box = line.bounding_box()
    assert box is not None

    def x(seconds: float) -> float:
        return box["x"] + box["width"] * seconds / length

    page.mouse.click(x(0.9 * length), box["y"] + 20)
    page.wait_for_function(
        "(at) => Math.abs(document.querySelector('video').currentTime - at) < 0.1", arg=0.9 * length
    )
    first, last = span(player)
    page.mouse.move(x(last), box["y"] + 20)
    page.mouse.down()
    page.mouse.move(x((first + last) / 2 + 0.2), box["y"] + 20, steps=3)
    page.mouse.up()
    expect(page).to_have_url(re.compile("to="))
    assert span(player)[1] < last


def test_more_like_this_frame(player: Locator) -> None:
    player.get_by_role("button", name="More like this frame").click()
    expect(player.page.get_by_text("Like this frame", exact=True)).to_be_visible()
    expect(player.page).to_have_url(re.compile(r"\?like=\d+&at=\d"))
    expect(player.page.locator(".card[data-rank='1']")).to_be_visible()


def test_while_it_is_made_playable_frames_stand_in(visit: Open) -> None:
    page, answers = visit(), iter(["making", "making"])

    def playable(route: Route) -> None:
        answer = route.fetch().json()
        route.fulfill(json=answer | {"state": next(answers, answer["state"])})

    page.route("**/playable**", playable)
    page.goto("/?video=0")
    expect(page.get_by_text("Being made playable for browsers.")).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("^Frame at"))).to_be_visible()
    page.wait_for_function(PLAYING)
    expect(page.get_by_text("Being made playable for browsers.")).to_be_hidden()


@pytest.mark.parametrize("state", ["missing", "failed"])
def test_a_video_that_cannot_be_played_fails(visit: Open, state: str) -> None:
    page = visit()
    answer = {
        "state": state,
        "kind": "file",
        "url": "",
        "type": "",
        "begins_at": 0.0,
        "ends_at": None,
        "reason": "it went",
    }
    page.route("**/playable**", lambda route: route.fulfill(json=answer))
    page.goto("/?video=0")
    expect(page.get_by_text("Cannot be played: it went")).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("^Frame at"))).to_be_visible()
    expect(page.locator(".strip img")).to_have_count(8)
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_text("Cannot be played: it went")).to_be_visible()
    page.route("**/playable?*again=true**", lambda route: route.continue_())
    page.get_by_role("button", name="Try again").click()
    page.wait_for_function(PLAYING)
    expect(page.get_by_role("button", name="Try again")).to_be_hidden()


def test_a_video_that_is_not_in_the_store_fails_once(visit: Open, query: str) -> None:
    """Its details and its curve are asked for at the same time, and both are refused for the same reason."""
    page, held = visit(), list[Route]()

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/api/videos/9999", hold)
    page.goto(f"/?q={query}&video=9999")
    player = page.get_by_role("complementary")
    expect(player.get_by_text("No curve: there is no video 9999")).to_be_visible()
    held[0].continue_()
    expect(player.get_by_text("No curve")).to_be_hidden()
    expect(player.get_by_text("there is no video 9999")).to_have_count(1)
    for name in ("Try again", "Begin span here"):
        expect(player.get_by_role("button", name=name)).to_be_hidden()
    page.locator(".card .open").first.click()
    page.wait_for_function(PLAYING)
    expect(player.get_by_role("button", name="Begin span here")).to_be_visible()


def test_a_file_that_the_browser_cannot_read_fails(visit: Open) -> None:
    page = visit()
    page.route("**/videos/*/media**", lambda route: route.fulfill(body=b"no video", content_type="video/mp4"))
    page.goto("/?video=0")
    expect(page.get_by_text("Cannot be played: This browser cannot play the file.")).to_be_visible()


def test_a_video_without_frames_says_why(visit: Open) -> None:
    page = visit("/?name=empty")
    expect(page.locator(".card")).to_contain_text("failed")
    page.locator(".card .open").click()
    expect(page.get_by_text("0 frames could be read")).to_be_visible()
    expect(page.get_by_text(re.compile("^Cannot be played: "))).to_be_visible()


def test_nothing_moves_by_itself_where_that_is_asked_for(visit: Open) -> None:
    page = visit("/?video=0", reduced_motion="reduce")
    page.wait_for_function("() => document.querySelector('video').readyState > 0")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
    assert page.locator("video").evaluate("(video) => video.paused")


def test_on_a_small_screen_the_player_covers_all(visit: Open, query: str) -> None:
    page = visit(f"/?q={query}", viewport={"width": 360, "height": 740})
    page.locator(".card .open").first.click()
    player = page.get_by_role("complementary")
    expect(player).to_be_focused()
    box = player.bounding_box()
    assert box is not None and (box["width"], box["height"]) == (360, 740)
    player.get_by_role("button", name="Close the player").click()
    expect(page.locator(".card .open").first).to_be_focused()


def test_hevc_plays_through_its_proxy(visit: Open) -> None:
    """No Chromium without a licence for HEVC plays the file itself."""
    page = visit(f"/?name={HEVC_FILE}")
    page.locator(".card .open").click()
    page.wait_for_function(PLAYING)
    first = page.locator("video").evaluate("(video) => video.currentTime")
    page.wait_for_function("(at) => document.querySelector('video').currentTime !== at", arg=first)
