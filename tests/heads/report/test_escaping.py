"""What captions, ids and settings of strangers are in a report: text."""

from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from markdown_it import MarkdownIt
from PIL import Image
from tvr.data.contracts.errors import one_line
from tvr.heads.report.escaping import LONGEST, in_html, in_markdown, in_picture
from tvr.heads.report.plots import alignment_map, curves
from tvr.heads.report.published import METRICS
from tvr.heads.report.render import Illustration, Section, markdown, page
from tvr.heads.report.table import Heading, TableRow
from tvr.heads.search.alignment import Alignment

from ...fixtures.hostile import HOSTILE_TEXTS

GITHUB = MarkdownIt("commonmark").enable(["table", "strikethrough"])


class Seen(HTMLParser):
    """What a browser shows of a page: its texts by the tag they stand in, and its pictures."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.texts: dict[str, list[str]] = {}
        self.pictures: list[Mapping[str, str | None]] = []
        self._open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.pictures.append(dict(attrs))
        elif tag not in ("meta",):
            self._open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        assert tag == "img" or self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts[self._open[-1]][-1] += data


def section(text: str, folder: Path) -> Section:
    """A section that holds the text wherever there is room for one."""
    Image.new("RGB", (2, 2)).save(folder / "x.png")
    row = TableRow(
        heading=Heading(text, ""),
        name=text,
        dataset="",
        direction="t2v",
        figures=dict.fromkeys(METRICS, 1.0),
        intervals={},
        few=(),
        queries=1,
        tied=0,
        features=text,
        source="",
    )
    return Section(text, (f"is “{text}”", text), f"warns {text}", (row,), (Illustration("x.png", text),))


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
def test_markdown_shows_the_text_itself(text: str, tmp_path: Path) -> None:
    seen = Seen(GITHUB.render(markdown(f"a {text}", [section(text, tmp_path)])))
    shown = one_line(text)
    assert seen.texts["h1"] == [f"a {shown}".rstrip()]
    assert seen.texts["h2"] == [shown.strip()]
    assert seen.texts["strong"] == [f"warns {shown}", shown]
    assert seen.texts["li"][1:] == [f"is “{shown}”", shown]
    assert seen.texts["td"] == [shown, "t2v", *["1.0"] * len(METRICS), "1", "0", shown]
    assert [picture["alt"] for picture in seen.pictures] == [shown]
    assert seen.texts.keys() <= {
        "h1",
        "h2",
        "strong",
        "ul",
        "li",
        "p",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
    }


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
def test_html_shows_the_text_itself(text: str, tmp_path: Path) -> None:
    seen = Seen(page(f"a {text}", [section(text, tmp_path)], tmp_path))
    shown = one_line(text)
    assert seen.texts["title"] == seen.texts["h1"] == [f"a {shown}"]
    assert seen.texts["strong"] == [f"warns {shown}"]
    assert seen.texts["li"][1:] == [f"is “{shown}”", shown]
    assert seen.texts["td"] == [shown, "t2v", *["1.0"] * len(METRICS), "1", "0", shown]
    assert seen.texts["figcaption"] == [picture["alt"] for picture in seen.pictures] == [shown]
    assert "script" not in seen.texts


@pytest.mark.parametrize("text", ["\ud800", "\udcff\x00"])
def test_what_no_encoding_has_can_be_written(text: str, tmp_path: Path) -> None:
    for written in (
        markdown(text, [section(text, tmp_path)]),
        page(text, [section(text, tmp_path)], tmp_path),
    ):
        assert "\\ud800" in written.encode().decode() or "\\udcff" in written


def test_a_text_is_cut_where_it_would_fill_the_page() -> None:
    assert len(in_html("x" * 1_000_000)) == len(in_markdown("x" * 1_000_000)) == LONGEST
    assert len(in_picture("x" * 1_000_000)) == 40


def test_pictures_of_any_words_and_losses(tmp_path: Path) -> None:
    words, count = [*HOSTILE_TEXTS], len(HOSTILE_TEXTS)
    alignment_map(
        Alignment("$$", words, [0.0, 1.0], torch.zeros(count, 2), True, torch.ones(1, 2)), tmp_path / "a.png"
    )
    line = {"epoch": 1, "loss": dict.fromkeys(words, 1.0), "val": None, "is_best": False, "seconds": 1.0}
    curves([line, {**line, "epoch": 2, "loss": {"$$": 1.0}}], tmp_path / "c.png")
    for name in ("a.png", "c.png"):
        with Image.open(tmp_path / name) as picture:
            assert picture.size[0] > 100
