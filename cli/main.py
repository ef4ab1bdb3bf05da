"""The ``tvr`` command: every sub-command, and what an error looks like to the shell."""

import os
import sys

import typer

from ..data.contracts.errors import TvrError
from .datasets import datasets
from .demo import demo
from .doctor import doctor
from .eval import eval_
from .extract import extract
from .import_checkpoint import import_checkpoint
from .index import index
from .inspect import inspect
from .search import search
from .sweep import sweep
from .train_head import train_head
from .verify import verify

EXIT_CODES = (
    "Exit codes: 0 done, 2 a wrong option or value, 3 bad annotation or data, 4 bad store, 5 cannot decode, "
    "6 weights missing or wrong, 7 training stopped, 8 more failed than --max-failed allows, "
    "9 the cluster cannot do it, 130 interrupted."
)

app = typer.Typer(
    name="tvr",
    help="Cache frozen CLIP features of videos once, then train and compare text-video retrieval heads.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command()(doctor)
app.command()(demo)
app.command()(datasets)
app.command()(extract)
app.command()(inspect)
app.command()(verify)
app.command("train-head")(train_head)
app.command("eval")(eval_)
app.command()(search)
app.command()(index)
app.command()(sweep)
app.command("import-checkpoint")(import_checkpoint)


def run() -> None:
    """Entry point of the shell command: a ``TvrError`` becomes one sentence and an exit code."""
    # Torch's threads spin at barriers unless told otherwise before torch is imported. With decoding children on the
    # same cores that made the encoder four to ten times slower (3.3 ms against 0.9 ms a frame on two busy cores).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        app()
    except TvrError as error:
        typer.echo(f"tvr: {error}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        typer.echo("tvr: interrupted; run the same command again to go on", err=True)
        sys.exit(130)
