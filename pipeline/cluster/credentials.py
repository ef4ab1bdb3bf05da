"""What lets workers into a cluster that a command starts, where whoever is in may run code: a certificate and a key."""

import os
import shlex
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import dask.config
from distributed.security import Security

from ...data.contracts.errors import ClusterError, UsageError
from .config import Queue

_ROLES = ("scheduler", "worker", "client")


def temporary_credentials() -> Security:
    """A key and its certificate for one cluster, in memory: who is not given them is not let in.

    Raises:
        ClusterError: the package that makes them is not there.
    """
    try:
        return Security.temporary()
    except ImportError:
        raise ClusterError(
            "workers are started with certificates, which need the package cryptography: "
            "pip install cryptography"
        ) from None


@contextmanager
def in_files(credentials: Security, folder: Path) -> Generator[Security, None, None]:
    """The same credentials in files that only this user may read; they end with the context.

    Args:
        credentials: in memory.
        folder: where jobs of this user find them.

    Raises:
        ClusterError: nothing can be written there.
    """
    try:
        place = tempfile.TemporaryDirectory(prefix=".tvr-credentials-", dir=folder)  # mode 700
    except OSError as error:
        raise ClusterError(f"cannot write the workers' certificate to {folder}: {error.strerror}") from error
    with place as name:
        files = {"cert": Path(name, "certificate.pem"), "key": Path(name, "key.pem")}
        for part, file in files.items():
            file.touch(mode=0o600)
            file.write_text(credentials.get_tls_config_for_role("worker")[part])
        by_role = {f"tls_{role}_{part}": str(file) for role in _ROLES for part, file in files.items()}
        yield Security(require_encryption=True, tls_ca_file=str(files["cert"]), **by_role)


def folder_for_jobs(queue: Queue) -> Path:
    """Where jobs of a queue find the files of this user: as dask-jobqueue is configured, here, or at home.

    Raises:
        UsageError: a job script could not name these folders, or nothing can be written there.
    """
    configured = dask.config.get(f"jobqueue.{queue}.shared-temp-directory", None)
    folders = [Path(os.path.expandvars(configured)).expanduser()] if configured else [Path.cwd(), Path.home()]
    for folder in folders:
        # dask-jobqueue quotes nothing.
        if shlex.quote(str(folder)) == str(folder) and os.access(folder, os.W_OK | os.X_OK):
            return folder
    raise UsageError(
        f"the workers' certificate cannot be written to {' or '.join(map(str, folders))}: it takes a folder that "
        "jobs see, that you may write, and whose name has no spaces or quotes. Name one: "
        f"export DASK_JOBQUEUE__{queue.upper()}__SHARED_TEMP_DIRECTORY=/shared/folder"
    )
