from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tvr.data.contracts.file_names import MOST_BYTES, file_name, folder_name

from ...fixtures.fuzz import cases
from ...fixtures.hostile import HOSTILE_TEXTS

SOME = ("", ".", "..", "../../x", "a/b", "a_b", "A", "a", "\udcff", *HOSTILE_TEXTS)
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
