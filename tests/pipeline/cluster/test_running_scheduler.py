"""A scheduler that somebody else started: who has its certificates is let in, who has not is told, and soon."""

import gc
import json
import socket
import threading
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dask.config
import pytest
from distributed import LocalCluster
from distributed.security import Security
from tvr.data.contracts.errors import ClusterError, UsageError
from tvr.pipeline.cluster import running_scheduler
from tvr.pipeline.cluster.config import ClusterConfig
from tvr.pipeline.cluster.connection import connected
from tvr.pipeline.cluster.credentials import in_files, temporary_credentials
from tvr.pipeline.cluster.preflight import connected_workers

pytestmark = pytest.mark.filterwarnings("ignore")  # distributed leaves sockets to the garbage collector


@pytest.fixture(scope="module", autouse=True)
def _collected() -> Generator[None, None, None]:  # pyright: ignore[reportUnusedFunction]
    """Of a connection that was given up distributed leaves the socket to the garbage collector."""
    yield
    gc.collect()  # here, where that is no error


@contextmanager
def stranger(greeting: bytes) -> Generator[int, None, None]:
    """The port of a server of something else, which says this to whoever comes and nothing more."""
    came: list[socket.socket] = []

    def greet() -> None:
        while True:
            try:
                came.append(server.accept()[0])
                came[-1].sendall(greeting)
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=greet, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
    for each in came:
        each.close()


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Generator[dict[str, str], None, None]:
    """Addresses and files: a scheduler with a certificate, one without, servers of something else, and keys."""
    folder = tmp_path_factory.mktemp("credentials")
    (folder / "text").write_text("no certificate")
    clusters: list[LocalCluster] = []
    with ExitStack() as stack:
        ours, others = (stack.enter_context(in_files(temporary_credentials(), folder)) for _ in range(2))
        for security in (ours, Security(require_encryption=False)):
            clusters.append(LocalCluster(n_workers=0, security=security, dashboard_address="127.0.0.1:0"))
            stack.callback(clusters[-1].close)
        tls, tcp = (cluster.scheduler_address for cluster in clusters)
        silent, ssh = (
            stack.enter_context(stranger(greeting)) for greeting in (b"", b"SSH-2.0-OpenSSH_9\r\n")
        )
        yield {
            "tls": tls,
            "tcp": tcp,
            "tcp to tls": tls.replace("tls", "tcp"),
            "tls to tcp": tcp.replace("tcp", "tls"),
            "silent tls": f"tls://127.0.0.1:{silent}",
            "silent tcp": f"tcp://127.0.0.1:{silent}",
            "ssh": f"tcp://127.0.0.1:{ssh}",
            "ours": str(ours.tls_client_cert),
            "others": str(others.tls_client_cert),
            "gone": str(folder / "gone"),
            "text": str(folder / "text"),
        }


def configured(places: dict[str, str], authority: str, certificate: str) -> dict[str, str]:
    """Dask's configuration of a client."""
    client = {"cert": places[certificate], "key": str(Path(places[certificate]).with_name("key.pem"))}
    names = {"ca-file": places[authority]} | {f"client.{name}": value for name, value in client.items()}
    return {f"distributed.comm.tls.{name}": value for name, value in names.items()}


@pytest.mark.parametrize("address", ["tls", "tcp"])
def test_a_scheduler_of_the_user_lets_in(address: str, places: dict[str, str], tmp_path: Path) -> None:
    config = configured(places, "ours", "ours") if address == "tls" else {}
    (tmp_path / "scheduler.json").write_text(json.dumps({"address": places[address]}))
    for scheduler in (places[address], str(tmp_path / "scheduler.json")):
        with dask.config.set(config), connected(ClusterConfig(scheduler)) as client:
            assert client.run_on_scheduler(max, 1, 2) == 2


@pytest.mark.parametrize(
    ("address", "keys", "message"),
    [
        ("tls", None, "wants certificates, and Dask's configuration here names none. Set DASK_DISTRIBUTED"),
        ("tls", ("others", "others"), "is not one of those that are trusted here"),
        ("tls", ("ours", "others"), "do not agree on TLS|no Dask scheduler answers"),
        ("tls", ("gone", "ours"), r"cannot use the certificates .*gone.*: .*No such file"),
        ("tls", ("text", "ours"), r"cannot use the certificates that Dask's configuration names .*text"),
        ("tls to tcp", ("ours", "ours"), "does not speak TLS. Start it with `dask scheduler --protocol tls`"),
        ("tcp to tls", None, "use the address that it prints, with tls:// where it has that"),
        ("silent tls", ("ours", "ours"), "no Dask scheduler answers at tls://"),
        ("silent tcp", None, "no Dask scheduler answers at tcp://"),
        ("ssh", None, "no Dask scheduler answers at tcp://"),
    ],
)
def test_unfit_credentials_fail(
    address: str,
    keys: tuple[str, str] | None,
    message: str,
    places: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(running_scheduler, "CONNECT_SECONDS", 1 if address.startswith("silent") else 10)
    with (
        dask.config.set(configured(places, *keys) if keys else {}),
        pytest.raises(ClusterError, match=message) as raised,
        connected(ClusterConfig(places[address])),
    ):
        pass
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("host", ["192.0.2.1", "[2001:db8::1]", "node7.invalid"])
def test_a_scheduler_without_encryption_is_noted(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running_scheduler, "CONNECT_SECONDS", 0.1)
    with (
        pytest.warns(UserWarning, match="is not encrypted and asks nobody who he is"),
        pytest.raises(ClusterError, match="no Dask scheduler answers at"),
        connected(ClusterConfig(f"tcp://{host}:9")),
    ):
        pass


@pytest.mark.filterwarnings("error:.*is not encrypted")
def test_a_scheduler_of_this_machine_is_not_noted(places: dict[str, str]) -> None:
    for address in (places["tcp"], places["tcp"].replace("127.0.0.1", "localhost")):
        with connected(ClusterConfig(address)) as client:
            assert client.run_on_scheduler(max, 1, 2) == 2


def test_encryption_that_is_required_here_fails(places: dict[str, str]) -> None:
    with (
        dask.config.set({"distributed.comm.require-encryption": True}),
        pytest.raises(
            ClusterError, match=r"requires encryption, and tcp://\S+ has none. Start the scheduler"
        ),
        connected(ClusterConfig(places["tcp"])),
    ):
        pass


def test_workers_without_certificates_fail(places: dict[str, str]) -> None:
    with (
        dask.config.set(configured(places, "ours", "ours")),
        pytest.raises(
            ClusterError, match=r"`dask worker tls://\S+ --nthreads 1` and the certificates of the scheduler"
        ),
        connected_workers(ClusterConfig(places["tls"], wait_seconds=0.1)),
    ):
        pass


@pytest.mark.parametrize("content", ["", "[]", "{}", "[" * 100_000, "\x00"])
def test_a_file_of_no_scheduler_fails(content: str, tmp_path: Path) -> None:
    (tmp_path / "scheduler.json").write_text(content)
    with (
        pytest.raises(UsageError, match=r"is no file that `dask scheduler --scheduler-file` wrote"),
        connected(ClusterConfig(str(tmp_path / "scheduler.json"))),
    ):
        pass
