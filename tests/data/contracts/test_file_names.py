import os
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tvr.data.contracts.file_names import MOST_BYTES, file_name, folder_name, printable

from ...fixtures.fuzz import cases
from ...fixtures.hostile import HOSTILE_TEXTS

SOME = ("", ".", "..", "../../x", "a/b", "a_b", "A", "a", "\udcff", *HOSTILE_TEXTS)
RAW_NAMES = st.lists(
    st.sampled_from(
        [b"a", b"\\", b"x", b"\\xff", b"\xff", b"\xe9", "é".encode(), "漢".encode(), b"\n", b" "]
    ),
    min_size=1,
    max_size=8,
).map(lambda parts: os.fsdecode(b"".join(parts)))
NAMES = st.text(max_size=300) | st.sampled_from(SOME)


@settings(max_examples=cases(400), deadline=None)
@given(NAMES, NAMES)
@example("video/1", "video_1")
@example("video:1", "video/1")
@example("AbC", "abc")
@example("x" * 300, "x" * 301)
def test_names_are_unique_and_bounded(one: str, other: str) -> None:
    for made in (file_name, folder_name):
        name = made(one)
        assert 0 < len(name.encode(errors="surrogatepass")) <= MOST_BYTES
        assert Path("folder", name).parent == Path("folder")
        assert name not in (".", "..")
        assert "\0" not in name
        assert one == other or name != made(other)
    assert one == other or file_name(one).lower() != file_name(other).lower()


@pytest.mark.parametrize("name", ["video7020", "v_-1dhejebn", "a-b_c"])
def test_a_plain_name_stays(name: str) -> None:
    assert file_name(name) == name


@pytest.mark.parametrize("name", ["folder-[bold]\\xff", "msrvtt", "Città 2", "ViT-B-32-openai", "a.b"])
def test_a_folder_is_called_as_its_data_set(name: str) -> None:
    assert folder_name(name) == name


@pytest.mark.parametrize("name", ["", ".", "..", "../../x", "/etc", "a\nb", "\ud800", "x" * 200, "é" * 100])
def test_a_folder_that_cannot_be_called_so(name: str, tmp_path: Path) -> None:
    made = tmp_path / folder_name(name)
    made.mkdir()
    assert made.resolve().parent == tmp_path.resolve()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (b"plain name.mp4", "plain name.mp4"),
        ("ä 漢字 🎬.mp4".encode(), "ä 漢字 🎬.mp4"),
        (b"new\nline.mp4", "new\nline.mp4"),
        (b"back\\slash.mp4", "back\\slash.mp4"),
        (b"bad\xff.mp4", r"bad\xff.mp4"),
        (b"caf\xe9/\xe2\x82.mp4", r"caf\xe9/\xe2\x82.mp4"),
        (b"bad\\\xff.mp4", r"bad\\\xff.mp4"),
        (rb"bad\xff.mp4", r"bad\\xff.mp4"),
        (rb"a\b/bad\xff.mp4", r"a\b/bad\\xff.mp4"),
    ],
)
def test_printable(name: bytes, text: str) -> None:
    assert printable(os.fsdecode(name)) == text


@settings(deadline=None)  # a busy machine is no fault
@given(RAW_NAMES, RAW_NAMES)
def test_two_names_never_have_one_text(one: str, other: str) -> None:
    assert (printable(one) == printable(other)) == (one == other)
    printable(one).encode()
