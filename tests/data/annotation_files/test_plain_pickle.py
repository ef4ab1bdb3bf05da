"""A pickle of captions is data: it may not run code."""

import os
import pickle
from collections import OrderedDict
from pathlib import Path

import pytest
from tvr.data.annotation_files.plain_pickle import plain_pickle
from tvr.data.contracts.errors import DataError

CAPTIONS = {"clip_0_5": [["a", "cat", "plays"], ["ein", "Kätzchen"]], "clip_1_3": []}


@pytest.mark.parametrize("version", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_data_of_every_pickle_protocol(version: int) -> None:
    assert plain_pickle(pickle.dumps(CAPTIONS, version), Path("x.pkl")) == CAPTIONS


class Harmful:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.mark}",)


@pytest.mark.parametrize("version", range(pickle.HIGHEST_PROTOCOL + 1))
def test_code_is_refused_and_not_run_fails(tmp_path: Path, version: int) -> None:
    data = pickle.dumps({"clip": [Harmful(tmp_path / "mark")]}, version)
    with pytest.raises(DataError, match=r"x\.pkl: refused: it asks for \w+\.system, and data needs no code"):
        plain_pickle(data, Path("x.pkl"))
    assert not (tmp_path / "mark").exists()


def test_even_a_harmless_class_is_refused() -> None:
    with pytest.raises(DataError, match=r"collections\.OrderedDict"):
        plain_pickle(pickle.dumps(OrderedDict(a=1)), Path("x.pkl"))


@pytest.mark.parametrize("data", [b"", b"no pickle", pickle.dumps(CAPTIONS)[:-20], b"\x80\x04P1\n."])
def test_broken_pickles_fail(data: bytes) -> None:
    with pytest.raises(DataError, match=r"x\.pkl: refused: .*Fetch the file again"):
        plain_pickle(data, Path("x.pkl"))
