"""Fixtures that every room's tests use."""

import os
from pathlib import Path

import pytest

# Before anything imports torch: its threads would spin at barriers on cores that tests' children are using.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real clips, annotation files and oracles beside the repository."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        if os.environ.get("CI"):
            pytest.fail("../shared must be there in CI")
        pytest.skip("needs ../shared, which is not beside this repository")
    return folder
