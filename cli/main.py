"""The ``tvr`` command: every sub-command, and what an error looks like to the shell."""

import os
import signal
import sys
import warnings
from importlib import import_module
from importlib.metadata import version
from io import TextIOWrapper
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from ..data.contracts.errors import INTERRUPTED, TvrError, cut, one_line
from .output.verbosity import LogFileOption, QuietOption, VerboseOption, keep_error, options

EXIT_CODES = (
    "Exit codes: 0 done, 2 a wrong option or value, 3 bad annotation or data, 4 bad store, 5 cannot decode, "
    "6 weights missing or wrong, 7 training stopped, 8 more failed than --max-failed allows, "
    "9 the cluster cannot do it, 130 interrupted."
)

UNFINISHED = "files that were written before are whole, and lost is only what the command had not written yet"
"""What Ctrl-C leaves of a command that keeps nothing half-way."""

COMMANDS = {
    "doctor": (
        "doctor:doctor",
        "Decode a frame with every decoder, show the encoder drawn stills, try GPU, weights, disk and HDF5 locking.",
    ),
    "demo": (
        "demo:demo",
        "The whole path on generated videos, or with --videos ten searches of your own. No network, a few minutes.",
    ),
    "datasets": (
        "datasets:datasets",
        "List the data sets, say which files one needs, and check what of them is there.",
    ),
    "extract": (
        "extract:extract",
        "Decode videos and cache frozen CLIP features of their frames and captions. Running it again resumes.",
    ),
    "inspect": ("inspect:inspect", "Show what a store holds, what made it, and how its videos fared."),
    "verify": (
        "verify:verify",
        "Compare every shard with the sha256 in its receipt; exit code 4 if one is damaged or missing.",
    ),
    "compact": (
        "stores:compact_",
        "Write a store that has grown anew, as if it had been extracted at once: in less room, and fewer files.",
    ),
    "train-head": (
        "train_head:train_head",
        "Train a head on cached features; the best epoch is chosen on the validation split, never on test.",
    ),
    "eval": (
        "eval:eval_",
        "Rank every video for every text and every text for every video, next to zero-shot mean pooling.",
    ),
    "search": (
        "search:search",
        "Compare a sentence, a video or a picture with every video of a store and show the best ones.",
    ),
    "serve": (
        "serve:serve",
        "Search, play and compare in a browser: a page on this machine, and the same as an HTTP API.",
    ),
    "index": (
        "index:index",
        "Keep a run's encodings and index its videos: `tvr search` can then compare a few. Again, it goes on.",
    ),
    "sweep": (
        "sweep:sweep",
        "Train every combination of a grid, several at once; a table by validation score, over seeds.",
    ),
    "runs": (
        "runs:runs",
        "List trained heads with their validation scores, the newest first; rename one, keep a note, delete it.",
    ),
    "stores": (
        "stores:stores",
        "List feature stores, the newest first; rename one, keep a note with it, delete it.",
    ),
    "import-features": (
        "exchange.importing:import_features",
        "Make a store of features that others extracted, in the layout of their tool. Again, it goes on.",
    ),
    "export": (
        "exchange.exporting:export",
        "Write a store as other tools read features; what a layout cannot hold is said. Again, it goes on.",
    ),
    "import-checkpoint": (
        "import_checkpoint:import_checkpoint",
        "Make a run of a head that its authors released (CLIP4Clip, X-CLIP, DRL, X-Pool, UATVR, HBI).",
    ),
}
"""In the order of the help: where each command is, ``module:function``, and the first line of its docstring."""


HELP_NAMES = {"help_option_names": ["--help", "-h"]}
WORDS = {"bool": "", "path": "PATH", "int": "NUMBER", "float": "NUMBER", "str": "TEXT"}
"""What the help calls the values of options, by what typer calls their types; a flag has none."""


USAGE_ERROR: Any = typer.BadParameter.__mro__[1]
"""Of click, which some versions of typer bring along and others import: a command line that cannot be."""


class PlainHelp:
    """A command whose help speaks of PATH, NUMBER and TEXT, not of Python's types."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The options and arguments, ``--help`` among them."""
        parameters: list[Any] = super().get_params(ctx)  # pyright: ignore[reportAttributeAccessIssue]
        for parameter in parameters:
            if parameter.param_type_name == "argument":
                parameter.display_type_rich = lambda **_: ""  # its name says it
            elif parameter.metavar is None and hasattr(parameter, "display_type"):
                kind = parameter.display_type(ctx).strip("<>").removeprefix("list[").removesuffix("]")
                parameter.metavar = WORDS.get(kind)
        return parameters


class PlainCommand(PlainHelp, TyperCommand):
    """A command itself, with its options, those of the file of ``--config`` among them."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """What is left of the words when every option has its value."""
        from .input.config_file import with_file

        try:
            return super().parse_args(ctx, with_file(self, ctx, args))
        except USAGE_ERROR as error:
            raise self._with_what_is_allowed(error) from None

    def _with_what_is_allowed(self, error: Any) -> Exception:
        """Where an option has no value, what its help says of it: which values there are."""
        named = getattr(error, "option_name", None)
        parameters: list[Any] = self.params
        said = [each.help for each in parameters if named in each.opts and getattr(each, "help", None)]
        if said and error.message.endswith("requires an argument."):
            error.message = f"{error.message} {said[0]}"
        return error

    def invoke(self, ctx: Any) -> Any:
        """What the command's function gives; Ctrl-C ends it in words, if the function has none of its own."""
        from .output.interruptions import interruptible

        with interruptible(UNFINISHED):
            return super().invoke(ctx)


ELSEWHERE = {
    **{
        ("sweep", f"--{name.replace('_', '-')}"): f"--train {name}=..."
        for name in ("epochs", "lr", "batch_size", "seed", "device")
    },
    ("sweep", "--head"): "--grid head=...",
    **{
        (name, "--run"): f"the run without --run, as in tvr {name} RUN" for name in ("index", "eval", "serve")
    },
}
"""How a command takes what another one has an option for: whoever types that is told."""


class LazyCommand(TyperCommand):
    """A command of ``COMMANDS`` whose module is imported when it is run, or asked for its options.

    So `tvr --help`, a completed command name and a mistyped one need no torch.
    """

    # Any: click's Context and Command, which some versions of typer bring along and others import.
    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """The context of the command itself, with its options parsed."""
        try:
            return self.loaded().make_context(info_name, args, parent, **extra)
        except Exception as error:
            meant = ELSEWHERE.get((self.name or "", getattr(error, "option_name", "")))
            if meant is not None:
                vars(error)["possibilities"] = [meant]
            raise

    def loaded(self) -> Any:
        """The command itself, with its options."""
        assert self.name is not None
        module, function = COMMANDS[self.name][0].split(":")
        alone = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)
        with_help = alone.command(self.name, cls=PlainCommand, context_settings=HELP_NAMES)
        with_help(getattr(import_module(f"..{module}", __name__), function))
        command: Any = typer.main.get_command(alone)
        command.params += options()
        return command


class LazyGroup(PlainHelp, TyperGroup):
    """``tvr``, which has every command of ``COMMANDS``."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for name, (_, line) in COMMANDS.items():
            self.add_command(LazyCommand(name, help=line, rich_markup_mode="rich"))


app = typer.Typer(
    name="tvr",
    cls=LazyGroup,
    help="Cache frozen CLIP features of videos once, then train and compare text-video retrieval heads.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    context_settings=HELP_NAMES,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _print_version(asked: bool) -> bool:
    if asked:
        typer.echo(f"tvr {version('tvr')}")
        raise typer.Exit
    return asked


@app.callback()
def tvr(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit."),
    ] = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
    log_file: LogFileOption = None,
) -> None:
    """What holds for every command: options before its name."""


def _tell(message: str, error: BaseException) -> None:
    """Say what went wrong. Names of files may hold anything, and may be as long as their owner likes."""
    from .output.wrapping import for_standard_error  # rich, which `tvr --help` has no time for

    told = "\n".join(one_line(line) for line in message.split("\n"))
    keep_error(told, error)
    # Not by echo, which writes UTF-8 to a terminal that has none.
    sys.stderr.write(for_standard_error(f"tvr: {told}") + "\n")


def _open_closed_streams() -> None:
    """``tvr ... >&-`` has no standard output at all: what is written to it is to vanish, not to end the command."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115  # open as long as the process


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """A warning of Python's is one line, like those of tvr: neither a path of a module nor a line of its source."""
    from .terminal import warn  # rich takes a tenth of a second, which `tvr --help` does not have

    warn(str(message))


def _end_at_once(_signum: int, _frame: FrameType | None) -> None:
    """Ctrl-C while modules are imported, and behind a command: an exception that C++ code meets there aborts it."""
    os.write(
        2, b"\ntvr: interrupted\n" if os.isatty(2) else b"tvr: interrupted\n"
    )  # behind the keys it shows
    os._exit(INTERRUPTED)


def run() -> None:
    """Entry point of the shell command: a ``TvrError`` becomes one sentence and an exit code."""
    # Torch's threads spin at barriers unless told otherwise before torch is imported. With decoding children on the
    # same cores that made the encoder four to ten times slower (3.3 ms against 0.9 ms a frame on two busy cores).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end_at_once)
    _open_closed_streams()
    warnings.showwarning = _show_warning
    if isinstance(sys.stdout, TextIOWrapper):
        # A path that is not UTF-8, or a name that the terminal's encoding lacks, is shown escaped, as on stderr.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        app()
    except TvrError as error:
        _tell(str(error), error)
        sys.exit(error.exit_code)
    except OSError as error:
        refusal = cut(str(error))
        advice = "Check the disk, the path and who may use it, and run it again"
        _tell(f"the system refused: {refusal}. {advice}", error)
        sys.exit(TvrError.exit_code)
    except Exception as error:
        keep_error("an error of tvr itself", error)
        raise
