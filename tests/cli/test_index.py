"""``tvr index`` as typed: of every frame, and what a search then says of it."""

import json
import shutil
from pathlib import Path

import pytest

from ..fixtures.shell import tvr

WRITTEN = Path(__file__).resolve().parents[1] / "fixtures" / "before_rooms"
TEXT = "a big red circle grows"


STORE = WRITTEN / "store"
SEARCH = ("search", TEXT, "--store", STORE, "--run")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a run of wti, which compares words with frames."""
    made = tmp_path_factory.mktemp("index")
    shutil.copytree(WRITTEN / "run", made / "run")
    return made


@pytest.mark.slow
def test_an_index_of_frames_is_used_by_itself_while_it_is_current(folder: Path) -> None:
    line = ("index", "run", "--store", STORE, "--kind", "frames")
    expected = json.loads(tvr(*line, "--dry-run", "--json", cwd=folder).out)
    assert {file.name for file in (folder / "run").iterdir()}.isdisjoint({"index", "encodings"})
    made = tvr(*line, cwd=folder)
    assert made.code == 0, made.err
    said = "1,000 candidates by index, recall@10 1.000 measured at build"
    assert f"{said} by " in made.out
    assert "--candidates" not in made.out.splitlines()[-1], "what is typed next takes the index by itself"
    arrays = (folder / "run" / "encodings").glob("*.array")
    assert sum(file.stat().st_size for file in arrays) == expected["encodings_bytes"]
    answer = json.loads(tvr(*SEARCH, "run", "--json", cwd=folder).out)
    assert (answer["candidates"], len(answer["hits"])) == (said, 5)
    [file] = (folder / "run" / "index").glob("*.faiss")
    file.write_bytes(file.read_bytes()[:-1])
    answer = tvr(*SEARCH, "run", cwd=folder)
    assert answer.code == 0, answer.err
    assert "every video is compared: run/index holds no whole index of frames. Make it again" in answer.out


@pytest.mark.slow
def test_index_fails_with_a_sentence(folder: Path) -> None:
    for words, message in (
        (("--kind", "frames", "--no-encodings"), "an index of frames is for a trained head"),
        (("--candidates", "9"), "--candidates is said to `tvr search`"),
        (("--kind", "frames", "--candidates", "0"), "candidates must be at least 1, got 0"),
    ):
        answer = tvr("index", "run", "--store", STORE, *words, cwd=folder)
        assert (answer.code, message in answer.err) == (2, True), answer.err
