"""Who is let into a cluster: what listens, to whom it answers, and what is said where two sides do not agree."""

import stat
import sys
import tempfile
from pathlib import Path

import dask.config
import psutil
import pytest
from distributed import Client
from distributed.security import Security
from tvr.data.contracts.errors import ClusterError, UsageError
from tvr.pipeline.cluster.config import ClusterConfig
from tvr.pipeline.cluster.connection import connected
from tvr.pipeline.cluster.credentials import folder_for_jobs, in_files, temporary_credentials
from tvr.pipeline.cluster.preflight import on_each

from ...fixtures.listening import listening

pytestmark = pytest.mark.filterwarnings("ignore")  # distributed leaves sockets to the garbage collector


def refused(address: str, security: Security | None) -> bool:
    """Whether a client with these credentials cannot so much as connect."""
    try:
        Client(address, security=security, timeout=5, set_as_default=False).close()
    except (OSError, TypeError):
        return True
    return False


def own_path() -> list[str]:
    return list(sys.path)


def test_a_local_cluster_is_for_its_command_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What a stranger may have made before: by its name Dask would take it for its own, and import from there.
    (tmp_path / "dask-scratch-space").mkdir(mode=0o777)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    before = listening(psutil.Process())
    with connected(ClusterConfig(workers=1)) as client:
        address = client.scheduler_info()["address"]
        ((worker, about),) = client.scheduler_info()["workers"].items()
        doors = listening(psutil.Process()) - before
        assert {door.host for door in doors} == {"127.0.0.1"}
        assert address.startswith("tls://127.0.0.1:")
        for place in (address, worker, about["nanny"]):
            assert refused(place, Security.temporary()), "the key of another cluster"
            assert refused(place.replace("tls://", "tcp://"), None)
        assert client.submit(sum, [1, 2]).result() == 3
        for path in (own_path(), *on_each(client, [worker], own_path).values()):
            folders = [Path(each).relative_to(tmp_path) for each in path if each.startswith(str(tmp_path))]
            assert folders, "Dask imports from where it keeps its files"
            for folder in folders:
                assert folder.parts[0] != "dask-scratch-space"
                assert stat.S_IMODE((tmp_path / folder.parts[0]).stat().st_mode) == 0o700
    assert list(tmp_path.glob("tvr-dask-*")) == []


def test_no_certificates_can_be_made_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(ClusterError, match="pip install cryptography"), connected(ClusterConfig(workers=1)):
        pass


def test_files_of_credentials_are_private(tmp_path: Path) -> None:
    with in_files(temporary_credentials(), tmp_path) as credentials:
        (folder,) = tmp_path.iterdir()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
        assert credentials.get_connection_args("worker")["ssl_context"]
        assert "\n" not in str(credentials.tls_worker_key), "dask-jobqueue would write it elsewhere"
    assert list(tmp_path.iterdir()) == []


def test_files_of_credentials_fail(tmp_path: Path) -> None:
    with (
        pytest.raises(ClusterError, match=r"cannot write the workers' certificate to .*gone: No such file"),
        in_files(temporary_credentials(), tmp_path / "gone"),
    ):
        pass


def test_the_folder_for_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a b").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path / "a b")
    assert folder_for_jobs("slurm") == tmp_path, "a name with a space would fall apart in the job script"
    (tmp_path / "ab").mkdir()
    monkeypatch.chdir(tmp_path / "ab")
    assert folder_for_jobs("slurm") == tmp_path / "ab"
    with dask.config.set({"jobqueue.pbs.shared-temp-directory": "$HOME"}):
        assert folder_for_jobs("pbs") == tmp_path


def test_the_folder_for_jobs_fails(tmp_path: Path) -> None:
    with (
        dask.config.set({"jobqueue.slurm.shared-temp-directory": str(tmp_path / "gone")}),
        pytest.raises(UsageError, match=r"cannot be written to .*gone.*DASK_JOBQUEUE__SLURM__SHARED_TEMP"),
    ):
        folder_for_jobs("slurm")
