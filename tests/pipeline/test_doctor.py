"""What the doctor says of servers, without asking one."""

from importlib.util import find_spec

import pytest
from tvr.data.sources import fetching
from tvr.pipeline import doctor


def test_it_says_which_addresses_can_be_read() -> None:
    found = doctor._servers()
    assert (found.ok, found.skipped) == (True, False)
    assert found.detail == "videos are read from s3:// gs:// https:// http://"


def test_packages_that_are_lacking_are_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "find_spec", lambda name: None if name == "gcsfs" else find_spec(name))
    assert doctor._servers().detail == (
        "videos are read from s3:// https:// http://; optional: gs:// needs gcsfs (pip install 'tvr[gcs]')"
    )
    monkeypatch.setattr(fetching, "find_spec", lambda name: None)
    found = doctor._servers()
    assert (found.ok, found.skipped) == (True, True)
    assert "s3:// needs fsspec and s3fs (pip install 'tvr[remote]')" in found.detail
