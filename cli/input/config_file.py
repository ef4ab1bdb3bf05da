"""``--config FILE``: options of a command from a TOML file, in front of those that are typed, which win."""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import typer

from ...data.contracts.errors import UsageError, one_line, unknown_name
from ..terminal import err
from .options import WHAT, is_there, usual_workspace

ConfigOption = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Options from a TOML file, such as the one that every run keeps of its own; those that are typed win.",
        rich_help_panel=WHAT,
    ),
]
"""For a command's last argument ``config``, which needs nothing done: ``with_file`` has put the options in by then."""

NAME = "config"
SETTINGS, TRAINING, GRID, STORE, DATASET = "settings", "training", "grid", "store", "dataset"
STORE_DIGEST, WORKSPACE = "store-digest", "workspace"
"""Arguments of commands that exclude each other in part."""
BELONGINGS: Mapping[str, tuple[str, ...]] = {
    "head": ("set",),
    DATASET: ("root", "data"),
    "model": ("pretrained",),
}
"""Options that mean something only together with the value of another one."""
REPEATED = ("model", "pretrained")
"""Options that are given once for each of several encoders: in a file a text, or a list of them."""
TELLING = {GRID: "sweep", "head": "train-head", "model": "extract"}
"""What only the file of one command has."""
SHARED, PREFIX = (SETTINGS, TRAINING), f"{TRAINING}."
"""Of a sweep: both give what all trials share, and what says that a setting is one of the training."""

_ALLOWED: Mapping[Any, tuple[tuple[type, ...], str]] = {
    bool: ((bool,), "true or false"),
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
    str: ((str, int, float), "a text"),
    Path: ((str,), "a path in quotes"),
}
"""What TOML's values may be for each type of an option, and that in words."""


def with_file(command: Any, context: Any, words: Sequence[str]) -> list[str]:
    """The words of a command with those in front that the file of ``--config`` stands for.

    Args:
        command: typer's, of any version.
        context: the command's own.
        words: what was typed behind the command's name.

    Raises:
        UsageError: the file cannot be read or is no TOML, a key is no option of the command, or a value is not of the
            option's type.
    """
    if context.resilient_parsing or not any(word.startswith("--config") for word in words):
        return list(words)
    typed: dict[str, Any] = command.make_parser(context).parse_args(args=list(words))[0]
    file = typed.get(NAME)
    if not isinstance(file, str) or typed.get("help"):
        return list(words)
    read = _File(file, command, typed)
    return [*read.words(read.of_typed(_read(file))), *words]


def _read(file: str) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        why = "there is no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise UsageError(f"--config {file}: {why}. Name a TOML file, such as a run's run.toml") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f'--config {file} is not TOML ({error}). A line is option = value, with text in quotes: head = "hcmi"'
        ) from error


@dataclass(frozen=True)
class _File:
    """One file for one command."""

    name: str
    command: Any
    typed: Mapping[str, Any]
    """What was typed, by the names of the command's arguments."""

    def of_typed(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """The file's values, without what belongs to a head, a data set or a model of its own where another one was
        typed, which is said."""
        values, left_out = self._of_typed_heads(values), dict[str, str]()
        for owner, belongings in BELONGINGS.items():
            own = values.get(owner)
            if own is not None and self.typed.get(owner) not in (None, own, [own]):
                left_out |= {key: f"the {owner} {own}" for key in belongings if key in values}
        for key, whose in left_out.items():
            if key not in self.typed or isinstance(values[key], Mapping | list):
                self._note_without(key, whose)
        return {key: value for key, value in values.items() if key not in left_out}

    def _of_typed_heads(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Of a sweep for which heads were typed: without the file's heads, and without the settings that these have and
        those have not, which is said."""
        if not self._is_sweep:
            return values
        from ...heads.sweep.grid import USUAL_HEAD, foreign_settings, heads_of, parse_grid

        typed = [self.typed.get(name) or () for name in (GRID, "more", SETTINGS)]
        if not (heads := heads_of(parse_grid([*typed[0], *typed[1]]), _by_key(typed[2]))):
            return values
        written = {
            name: self._all_pairs(name, name, values[name]) for name in ("grid", "set") if name in values
        }
        grid, fixed = parse_grid(written.get("grid", ())), _by_key(written.get("set", ()))
        own = heads_of(grid, fixed) or [USUAL_HEAD]
        foreign = foreign_settings(own, heads)
        found = dict(values)
        for name, pairs in written.items():
            keys = [pair.partition("=")[0] for pair in pairs]
            for key in foreign.intersection(keys):
                self._note_without(f"{name}.{key}", f"the head {', '.join(own)}")
            found[name] = [
                pair for pair, key in zip(pairs, keys, strict=True) if key not in {*foreign, "head"}
            ]
        return found

    def _note_without(self, key: str, whose: str) -> None:
        err.print(f"note: without `{key}` of {self.name}, which is of {one_line(whose)}", soft_wrap=True)

    def words(self, values: Mapping[str, Any]) -> list[str]:
        """Every option of the file that none takes the place of which was typed."""
        options, hints = self._options(), get_type_hints(self.command.callback)
        words: list[str] = []
        for key, value in values.items():
            option = key.replace("_", "-")
            if option == STORE_DIGEST and STORE in options:
                continue  # it belongs to the store
            if option not in options:
                raise UsageError(f"--config {self.name}: {self._unknown(key, values, options)}")
            name = options[option]
            kind = next((part for part in get_args(hints[name]) if part is not type(None)), hints[name])
            if kind not in _ALLOWED:
                words += [f"--{option}={pair}" for pair in self._pairs(name, key, value)]
                continue
            text = self._text(key, value, kind)
            if name in self.typed or (name == STORE and self._names_dataset):
                continue
            if name == STORE:
                text = self._found_store(text, values)
            if kind is bool:
                words += [f"--{option}"] if value else []
            else:
                words.append(f"--{option}={text}")
        return words

    def _found_store(self, store: str, values: Mapping[str, Any]) -> str:
        """The folder of the file's store; where it was renamed, as the workspace has it now, and a line says so."""
        digest = values.get(STORE_DIGEST)
        if not isinstance(digest, str) or not Path(store).is_absolute() or is_there(Path(store)):
            return store
        from ...heads.runs.find_store import renamed_store
        from ...pipeline.workspace import Workspace

        workspace = self.typed.get(WORKSPACE) or values.get(WORKSPACE) or usual_workspace()
        found = renamed_store(Workspace(Path(workspace)), digest)
        if found is None:
            return store
        err.print(f"note: the store {one_line(store)} of {self.name} is {found} now", soft_wrap=True)
        return str(found)

    def _unknown(self, key: str, values: Mapping[str, Any], options: Mapping[str, str]) -> str:
        """What is wrong with a key that is no option, most of all where the file is another command's."""
        owner = next(
            (command for name, command in TELLING.items() if name in values and name not in options), None
        )
        if owner is None:
            return unknown_name("option", key, options)
        return f"{key!r} is no option of this command: the file is one of `tvr {owner}`"

    def _options(self) -> dict[str, str]:
        """The command's arguments by their long options."""
        own = get_type_hints(self.command.callback).keys() - {NAME}
        parameters = [each for each in self.command.params if each.param_type_name == "option"]
        return {each.opts[0].removeprefix("--"): each.name for each in parameters if each.name in own}

    @property
    def _names_dataset(self) -> bool:
        """Whether the data set was typed of which the newest store is taken: then the file's store is not meant."""
        chooses = any(each.name == DATASET and not each.required for each in self.command.params)
        return chooses and DATASET in self.typed

    def _pairs(self, name: str, key: str, value: Any) -> list[str]:
        """``key=value`` of ``--set`` and the like, but for keys that were typed."""
        if name in REPEATED:
            several = value if isinstance(value, list) else [value]
            return [] if name in self.typed else [self._text(key, one, str) for one in several]
        pairs = self._all_pairs(name, key, value)
        # A sweep's --set takes what its --train takes, too: what was typed by either wins over the file's.
        told = {SETTINGS: SHARED, TRAINING: SHARED, GRID: (GRID, "more")} if self._is_sweep else {}
        typed = [str(word) for option in told.get(name, (name,)) for word in self.typed.get(option) or ()]
        taken = {word.partition("=")[0].removeprefix(PREFIX) for word in typed}
        if name == TRAINING:  # --epochs is short for --train epochs
            taken |= self.typed.keys()
        return [pair for pair in pairs if pair.partition("=")[0].removeprefix(PREFIX) not in taken]

    def _all_pairs(self, name: str, key: str, value: Any) -> list[str]:
        if isinstance(value, Mapping):
            return [f"{one}={self._joined(name, f'{key}.{one}', some)}" for one, some in value.items()]
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            return [self._text(key, one, str) for one in value]
        raise self._refusal(key, 'a table of settings, or a list of "setting=value"', value)

    @property
    def _is_sweep(self) -> bool:
        return any(each.name == GRID for each in self.command.params)

    def _joined(self, name: str, key: str, value: Any) -> str:
        """A setting's value, or its several values, as they are typed."""
        if not isinstance(value, list):
            return self._setting(key, value)
        texts = [self._setting(key, one) for one in value]
        if name == GRID and any("," in text for text in texts):
            return "".join(f"{text};" for text in texts)
        return ",".join(texts)

    def _setting(self, key: str, value: Any) -> str:
        return str(value).lower() if isinstance(value, bool) else self._text(key, value, str)

    def _text(self, key: str, value: Any, kind: Any) -> str:
        types, allowed = _ALLOWED[kind]
        is_boolean = isinstance(value, bool) and kind is not bool  # Python counts them as whole numbers
        if not isinstance(value, types) or is_boolean or "\0" in str(value):
            raise self._refusal(key, allowed, value)
        return str(value)

    def _refusal(self, key: str, allowed: str, value: Any) -> UsageError:
        return UsageError(f"--config {self.name}: {key} must be {allowed}, got {one_line(repr(value))[:200]}")


def _by_key(pairs: Iterable[str]) -> dict[str, str]:
    return {key: value for key, _, value in (pair.partition("=") for pair in pairs)}
