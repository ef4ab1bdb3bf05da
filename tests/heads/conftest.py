"""Oracles: ``@pytest.mark.oracle("xpool")`` runs a test for every ``xpool_seed*.npz``."""

from pathlib import Path

import pytest

from ..fixtures.oracles import Oracle, oracle_files, read_oracle, require


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "oracle_file" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("oracle")
        assert marker is not None, "which oracle? @pytest.mark.oracle(name)"
        files = [path for name in marker.args for path in oracle_files(name)]
        metafunc.parametrize("oracle_file", files, ids=[path.stem for path in files], indirect=True)


@pytest.fixture
def oracle_file(request: pytest.FixtureRequest) -> Path:
    """The path of one seed of the marked oracle."""
    return require(request.param)


@pytest.fixture
def oracle(oracle_file: Path) -> Oracle:
    """One seed of the marked oracle, read."""
    return read_oracle(oracle_file)
