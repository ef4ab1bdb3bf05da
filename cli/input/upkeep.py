"""What ``tvr runs`` and ``tvr stores`` do with the one that is named: rename it, keep a note with it, delete it."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from ...data.contracts.errors import StoreError, UsageError, counted, cut_short
from ...data.contracts.file_names import folder_name
from ...pipeline.store.entries import name_in_workspace
from ...pipeline.store.housekeeping import delete, keep_note, note_of, rename, size_in_words, size_of
from ..output.interruptions import interruptible
from ..output.next_command import as_typed
from ..terminal import err, out, print_json
from .of_dataset import refuse_other_dataset

RenameOption = Annotated[str | None, typer.Option(metavar="NAME", help="Give it this name.")]
NoteOption = Annotated[str | None, typer.Option(help="Keep this line with it; an empty one takes it away.")]
DeleteOption = Annotated[
    bool, typer.Option("--delete", help="Delete it, after a question that says how many bytes go.")
]
YesOption = Annotated[bool, typer.Option("--yes", help="With --delete: without a question.")]


@dataclass(frozen=True)
class Needed:
    """What can do nothing any more without the store that is to be deleted."""

    runs: Mapping[str, str] = field(default_factory=dict[str, str])
    """Their folders by their names."""
    trials: Sequence[str] = ()
    """Folders of trials of sweeps."""
    again: Callable[[], str | None] = lambda: None
    """The command that makes the store again, asked for once it is gone."""

    @property
    def words(self) -> str:
        """In a sentence; empty where nothing needs it."""
        runs = f"{counted(len(self.runs), 'run')} ({cut_short(list(self.runs))})" if self.runs else ""
        trials = f"{counted(len(self.trials), 'trial')} of sweeps" if self.trials else ""
        who = " and ".join(filter(None, (runs, trials)))
        if not who:
            return ""
        return f"without this store {who} can be neither scored nor searched with"

    @property
    def folders(self) -> list[str]:
        """Of all of them."""
        return [*self.runs.values(), *self.trials]


@dataclass(frozen=True)
class Upkeep:
    """What is asked for."""

    rename: str | None
    note: str | None
    delete: bool
    yes: bool
    as_json: bool = False

    def is_asked(self, name: str | None) -> bool:
        """Whether anything is to be done.

        Raises:
            UsageError: to nothing, or several things at once.
        """
        asked = len(self._asked)
        if asked and name is None:
            raise UsageError("say which: put its name before --rename, --note or --delete")
        if asked > 1:
            raise UsageError("--rename, --note and --delete are done one at a time")
        return asked == 1

    def needs_one(self, command: str, name: str | None, found: Sequence[Path], place: Sequence[str]) -> Path:
        """The only one that a name fits: what is done to it cannot be taken back from another one.

        Args:
            command: ``runs`` or ``stores``.
            name: what was typed.
            found: the folders that it fits.
            place: options that name the workspace.

        Raises:
            UsageError: there are several; the message has the command of each.
        """
        if len(found) == 1:
            return found[0]
        done = f"--{self._asked[0]}"
        lines = [as_typed(command, name_in_workspace(one), *self._typed, *place) for one in found]
        said = (
            f"{name!r} is the name of {len(found)} {command}, and {done} is done to one. Type one of these:"
        )
        raise UsageError("\n".join([said, *lines]))

    @property
    def _asked(self) -> list[str]:
        """The options that ask for something."""
        asked = {"rename": self.rename is not None, "note": self.note is not None, "delete": self.delete}
        return [option for option, is_asked in asked.items() if is_asked]

    @property
    def _typed(self) -> list[str]:
        """The options as they were typed."""
        values = {"--rename": self.rename, "--note": self.note}
        words = [word for option, value in values.items() if value is not None for word in (option, value)]
        return words + ["--delete"] * self.delete + ["--yes"] * self.yes

    def do(self, folder: Path, kind: str, *, in_use: str | None, needed: "Needed | None" = None) -> None:
        """Do it, and say what was done.

        Args:
            folder: of a run or a store.
            kind: what it is, in a word.
            in_use: who writes into it now; None: nobody.
            needed: what needs it, where it is to be deleted; None: nothing can.

        Raises:
            StoreError: somebody writes into it, or the system refuses.
            UsageError: the new name cannot be, or nobody is there to answer a question.
        """
        if self.note is not None:
            keep_note(folder, self.note)
            self._say(f"noted with {folder}", {"folder": str(folder), "note": note_of(folder)})
            return
        if in_use is not None:
            raise StoreError(f"{in_use} writes into {folder} now. Wait until it has ended")
        if self.rename is not None:
            renamed = rename(folder, self.rename)
            self._say(f"{kind} {folder} is {renamed} now", {"renamed": str(folder), "folder": str(renamed)})
            return
        self._delete(folder, kind, needed or Needed())

    def _delete(self, folder: Path, kind: str, needed: "Needed") -> None:
        size = size_of(folder)
        with interruptible("nothing was deleted"):
            agreed = self.yes or _agrees(needed.words, f"Delete {kind} {folder}, {size_in_words(size)}?")
        if not agreed:
            self._say("nothing was deleted", {"deleted": None})
            return
        delete(folder)
        again = needed.again()
        said = [f"deleted {folder}, {size_in_words(size)}"]
        if needed.words and self.yes:  # who was asked has read it
            said.append(needed.words)
        if again is not None:
            said.append(f"to make it again: {again}")
        self._say(
            "\n".join(said),
            {"deleted": str(folder), "bytes": size, "needed_by": needed.folders, "again": again},
        )

    def _say(self, said: str, record: Mapping[str, Any]) -> None:
        if self.as_json:
            print_json(record)
        else:
            out.print(said, soft_wrap=True)


def named_folders(
    kind: str,
    name: str | None,
    known: Iterable[Path],
    by_name: Callable[[str], Sequence[Path]],
    dataset: str | None = None,
) -> Sequence[Path]:
    """The folders of runs or stores of the workspace that a name fits, or the one that a path there is of; none if
    none is named.

    Args:
        kind: what they are, in a word.
        name: what was typed.
        known: the folders of all of them.
        by_name: looks them up by their name.
        dataset: only those of this one; None: of any.

    Raises:
        UsageError: nothing there has that name, or nothing can have it; or only what is of other data sets.
    """
    if name is None:
        return []
    try:
        folders = {folder.resolve(): folder for folder in known}
        at_path = folders.get(Path(name).resolve())
        found = by_name(name) if at_path is None else [at_path]
    except OSError as error:
        raise UsageError(f"no {kind} is called {name!r}: {error.strerror or error}") from error
    if dataset is None:
        return found
    refuse_other_dataset(kind, {name_in_workspace(folder): folder.parent.name for folder in found}, dataset)
    return [folder for folder in found if folder.parent.name == folder_name(dataset)]


def _agrees(words: str, question: str) -> bool:
    """Whether somebody says yes; a question that nobody hears is no answer.

    Args:
        words: what is to be known before; empty: nothing.
        question: with its mark.

    Raises:
        UsageError: standard input is no terminal, or has ended.
    """
    if sys.stdin and sys.stdin.isatty():
        if words:
            err.print(words, soft_wrap=True)
        try:
            return input(f"{question} [y/N]: ").strip().lower() in ("y", "yes")
        except EOFError:
            out.print()
        except KeyboardInterrupt:  # the question stays, and what is said of it stands below
            out.print()
            raise
    raise UsageError(
        "\n".join(filter(None, [f"{question} Nobody is here to answer: add --yes if that is meant", words]))
    )
