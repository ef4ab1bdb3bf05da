from pathlib import Path

import pytest
from tvr.data.contracts.identity import Difference, differing_settings, sha256_of

STORED = {"seed": 0, "encoder": {"model": "a", "mean": [0.5, 0.5], "torch_version": "1"}, "only_stored": 1}


def test_sha256_of(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert sha256_of(tmp_path / "x").startswith("ba7816bf8f01cfea")


def test_sha256_of_fails(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        sha256_of(tmp_path / "x")


def test_differing_settings() -> None:
    wanted = {
        "seed": 1,
        "encoder": {"model": "b", "mean": (0.5, 0.5), "torch_version": "2"},
        "only_wanted": None,
    }
    assert differing_settings(STORED, wanted, lambda name: name == "encoder.torch_version") == [
        Difference("encoder.model", "a", "b"),
        Difference("only_stored", 1, None),
        Difference("seed", 0, 1),
    ]


def test_settings_that_are_the_same_or_may_differ() -> None:
    assert differing_settings(STORED, STORED, lambda name: False) == []
    assert differing_settings(STORED, {}, lambda name: True) == []
    # What is compared as a whole is not one of the settings that may differ.
    assert differing_settings(1, 2, lambda name: True, "seed") == [Difference("seed", 1, 2)]
