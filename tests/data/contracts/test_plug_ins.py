from pathlib import Path

import pytest
from tvr.data.contracts.errors import UsageError
from tvr.data.contracts.plug_ins import load_plug_in, plug_in_names


def test_plug_ins_are_files() -> None:
    names = plug_in_names("tvr.heads")
    folder = Path(__file__).parents[3] / "heads"
    assert names == sorted(p.stem for p in folder.glob("*.py") if p.stem not in ("__init__", "base"))
    assert load_plug_in("tvr.heads", "mean_pool").Head.__name__ == "Head"


def test_load_plug_in_fails() -> None:
    with pytest.raises(
        UsageError, match=r"unknown head 'mean_pol'. Did you mean 'mean_pool'\? Known: .*mean_pool"
    ):
        load_plug_in("tvr.heads", "mean_pol")
