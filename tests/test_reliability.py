"""docs/reliability.md names tests that there are, and promises nothing to anybody without one."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
TESTS = re.compile(r"`([\w./]*\btest_\w+\.py)`")


@pytest.mark.parametrize("name", sorted(set(TESTS.findall(TEXT))))
def test_every_named_test_is_there(name: str) -> None:
    """A name is below tests/pipeline, below tests where it begins with a folder of it, or below the repository."""
    assert any((ROOT / folder / name).is_file() for folder in ("tests/pipeline", "tests", "."))


def test_every_promise_of_the_page_of_threats_has_a_test() -> None:
    section = TEXT[TEXT.index("## Who may give what") :]
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in section.splitlines() if line[:1] == "|"
    ]
    header, _, *rows = rows
    assert header == ["from", "may it be a stranger's?", "promised", "held by", "not promised"]
    assert len(rows) >= 10
    for who, _, promised, held_by, _ in rows:
        assert bool(promised) == bool(TESTS.findall(held_by)), who


def test_links_to_sections_lead_somewhere() -> None:
    """A heading is found by its words in lower case, joined by hyphens."""
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target, section in re.findall(r"\]\(([\w./-]*)#([\w-]+)\)", page.read_text(encoding="utf-8")):
            text = ((page.parent / target) if target else page).read_text(encoding="utf-8")
            headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
            assert section in anchors, f"{page.name}: {target}#{section}"
