"""Options that several commands share, each spelled once, and the panels of the help that options stand in."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

import typer

from ...data.contracts.errors import UsageError, pasteable
from ..terminal import err

WHAT, MODEL, SAMPLING, TRAINING = "What", "Model", "Sampling", "Training"
FIGURES, GIVEN, REPORT = "Figures", "Scores of any system", "Report"
MACHINE, CLUSTER, FAILURES = "Machine", "Cluster", "Failures"
"""Panels of the help: what is worked on and where it lies, by which model, ..., where the work is done."""

WorkspaceOption = Annotated[
    Path,
    typer.Option(
        envvar="TVR_WORKSPACE",
        help="Folder that holds features and runs.",
        show_default=True,
        rich_help_panel=WHAT,
    ),
]
StoreOption = Annotated[
    Path | None,
    typer.Option(
        help="A feature store: its folder, or its name as `tvr stores` lists it. Default: the workspace's newest.",
        rich_help_panel=WHAT,
    ),
]
StoreArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="STORE",
        help="A feature store: its folder, its name as `tvr stores` lists it, or its data set. "
        "Default: the workspace's newest.",
    ),
]
DatasetOption = Annotated[
    str | None,
    typer.Option(help="Data set whose features to use; default: the newest.", rich_help_panel=WHAT),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
LayoutArgument = Annotated[
    str,
    typer.Argument(metavar="LAYOUT", help="univtg, npy, clip-video-encode, clip-retrieval or parquet."),
]
LookOption = Annotated[
    bool, typer.Option("--dry-run", help="Look at all there is, say what it would come to, write nothing.")
]
RootOption = Annotated[
    Path | None,
    typer.Option(help="Where the data set's files are, if they have moved or another user made the store."),
]
NamedDataOption = Annotated[
    list[str] | None,
    typer.Option(help="key=value of the data set, as for tvr extract, if another user made the store."),
]
NamedModelOption = Annotated[
    str | None,
    typer.Option(
        help="hf-hub:owner/name of the encoder, if another user made the store.", rich_help_panel=MODEL
    ),
]
RetryOption = Annotated[
    str | None,
    typer.Option(
        help="'failed', 'partial' or 'failed:<part of a reason>': extract again the shards that hold such videos; "
        "'untrusted' (or 'untrusted:<part>'): only the videos that an earlier version read by rules that do not "
        "hold for their files; 'changed': only those whose files are other ones than before.",
        rich_help_panel=FAILURES,
    ),
]
WatchOption = Annotated[
    bool,
    typer.Option(
        "--watch",
        help="Of a folder of your own: look again and again for what has come, changed or gone, until Ctrl-C.",
        rich_help_panel=WHAT,
    ),
]
PollOption = Annotated[
    float,
    typer.Option(
        help="With --watch: between two looks. A file that changes meanwhile is left for the next one."
    ),
]
PixelsOption = Annotated[
    str | None,
    typer.Option(
        help="square: frames as a player shows them; stored: whatever the shape of a pixel. "
        "Default: as the store has them, square in a new one.",
        rich_help_panel=SAMPLING,
    ),
]
ResizeOption = Annotated[
    str | None,
    typer.Option(
        help="fast: frames resampled by vector instructions; exact: by PIL, as open_clip does. "
        "Default: as the store has it, fast in a new one.",
        rich_help_panel=SAMPLING,
    ),
]
DeviceOption = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ..., or auto.", rich_help_panel=MACHINE)]

ShardOption = Annotated[
    str | None,
    typer.Option(
        metavar="i/n",
        help="Only every n-th piece of the work, i from 1 to n: job i of an array on a shared folder. "
        "auto/n or auto asks Slurm or PBS for i.",
        rich_help_panel=CLUSTER,
    ),
]

SchedulerOption = Annotated[
    str | None,
    typer.Option(
        help="local, the address of a Dask scheduler such as tls://node7:8786, or its --scheduler-file.",
        rich_help_panel=CLUSTER,
    ),
]
SlurmOption = Annotated[
    bool,
    typer.Option("--slurm", help="Submit --workers Dask workers as Slurm jobs.", rich_help_panel=CLUSTER),
]
PbsOption = Annotated[bool, typer.Option("--pbs", help="The same with PBS.", rich_help_panel=CLUSTER)]
JobOption = Annotated[
    list[str] | None,
    typer.Option(
        help="key=value of such a job as dask-jobqueue calls it: queue, account, walltime, cores, memory.",
        rich_help_panel=CLUSTER,
    ),
]
WaitOption = Annotated[
    float | None,
    typer.Option(
        "--wait-seconds",
        help="How long to wait for a worker. Default: 60; 3600 for jobs, which may queue.",
        rich_help_panel=CLUSTER,
    ),
]

DEFAULT_WORKSPACE = Path("tvr-workspace")
EXAMPLES = {"--html": "hits.html", "--save-similarity": "similarity.npy"}
"""Names of files that commands write."""


def usual_workspace() -> Path:
    """The workspace of commands that name none."""
    return Path(os.environ.get("TVR_WORKSPACE") or DEFAULT_WORKSPACE)


def workspace_words(workspace: Path) -> list[str]:
    """The option that names a workspace to the next command; nothing where that finds it by itself."""
    return [] if workspace == usual_workspace() else ["--workspace", str(workspace)]


def is_there(path: Path) -> bool:
    """Whether there is such a file or folder; a sentence may be longer than any name."""
    try:
        return path.exists()
    except OSError:
        return False


def check_readable(option: str, file: Path) -> None:
    """See that there is a file that a command is to read.

    Args:
        option: by which it was named.
        file: as it was typed.

    Raises:
        UsageError: there is none; the message says what is there instead.
    """
    if not file.is_file():
        why = "is a folder" if file.is_dir() else "is no file" if file.exists() else ""
        said = f" {why}" if why else ": there is no such file"
        raise UsageError(f"{option} {pasteable(file)}{said}. Name a file")


def check_writable(option: str, file: Path) -> None:
    """See that a file can be written, before it takes minutes to fill.

    Args:
        option: by which it was named.
        file: as it was typed.

    Raises:
        UsageError: it cannot.
    """
    folder = file.absolute().parent
    if not folder.is_dir():
        raise UsageError(f"{option} {file}: there is no folder {file.parent}. Make it, or name another")
    if file.is_dir():
        example = f"{option} {file / EXAMPLES[option]}"
        raise UsageError(f"{option} {file} is a folder. Name a file, such as {example}")
    if not os.access(folder, os.W_OK):
        raise UsageError(
            f"{option} {file}: nothing may be written into {file.parent}. Allow it, or name a file in another folder"
        )


def one_store(at: Path | None, store: Path | None) -> Path | None:
    """The store that was named, as STORE or by ``--store``.

    Raises:
        UsageError: it was named twice.
    """
    if at is not None and store is not None:
        raise UsageError(f"one store at a time, got {at} and --store {store}: leave one of them out")
    return at if store is None else store


def note_former_names(settings: Iterable[str], former: Mapping[str, str]) -> None:
    """Say of each setting with a former name, with a prefix or without, what it is called now."""
    for setting in settings:
        name = setting.rpartition(".")[2]
        if name in former:
            err.print(f"note: the setting {name} is called {former[name]} now", soft_wrap=True)


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
