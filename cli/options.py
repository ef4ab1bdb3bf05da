"""Options that several commands share, each spelled once."""

from pathlib import Path
from typing import Annotated

import typer

from ..data.contracts.errors import UsageError

WorkspaceOption = Annotated[
    Path,
    typer.Option(envvar="TVR_WORKSPACE", help="Folder that holds features and runs.", show_default=True),
]
StoreOption = Annotated[Path | None, typer.Option(help="A feature store, instead of the workspace's newest.")]
DatasetOption = Annotated[
    str | None, typer.Option(help="Data set whose features to use; default: the newest.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
DeviceOption = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ..., or auto.")]

ShardOption = Annotated[
    str | None,
    typer.Option(
        metavar="i/n",
        help="Only every n-th piece of the work, i from 1 to n: job i of an array on a shared folder. "
        "auto/n or auto asks Slurm or PBS for i.",
    ),
]

DEFAULT_WORKSPACE = Path("tvr-workspace")


def key_values(pairs: list[str] | None, option: str) -> dict[str, str]:
    """``["a=1", "b=2"]`` as a dictionary.

    Raises:
        UsageError: one of them has no ``=``.
    """
    values: dict[str, str] = {}
    for pair in pairs or []:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise UsageError(f"{option} takes key=value, got {pair!r}")
        values[key] = value
    return values
