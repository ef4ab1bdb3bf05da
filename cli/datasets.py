"""``tvr datasets``: what each data set expects, and what of it is there."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from ..data.annotation_files.folder_tree import FolderTree
from ..data.base import About, Dataset, ExpectedFile, Preset, load_dataset, unreadable
from ..data.contracts.cautions import DRAWINGS_DATASET, DRAWINGS_MODEL
from ..data.contracts.errors import DataError, counted, one_line, pasteable
from ..data.contracts.plug_ins import load_plug_in, plug_in_names
from ..data.contracts.settings import Setting, settings_of
from .input.options import JsonOption, key_values
from .output.next_command import print_next
from .terminal import out, print_json, print_table_whole

_MISSING_SHOWN = 3
"""How many missing videos of a split are named."""


def datasets(
    name: Annotated[str | None, typer.Argument(help="A data set; without one, all are listed.")] = None,
    root: Annotated[
        Path | None, typer.Option(help="Check what of the data set lies in this folder and below.")
    ] = None,
    data: Annotated[list[str] | None, typer.Option(help="key=value for the data set's Config.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the data sets, say which files one needs, and check what of them is there."""
    if name is None:
        _show_all(
            {known: load_plug_in("tvr.data", known).ABOUT for known in plug_in_names("tvr.data")}, as_json
        )
        return
    plug_in = load_plug_in("tvr.data", name)
    if root is None:
        _show_one(name, plug_in.ABOUT, settings_of(plug_in.Config, getattr(plug_in, "LIMITS", {})), as_json)
        return
    _check(name, plug_in.ABOUT, root, key_values(data, "--data"), as_json)


def _show_all(abouts: dict[str, About], as_json: bool) -> None:
    if as_json:
        print_json({name: asdict(about) | _stored(about.preset) for name, about in abouts.items()})
        return
    table = Table("name", "data set", "protocol", "frames", "stored", "fps", "words", "seconds", box=None)
    for name, about in abouts.items():
        frames, fps, words, seconds = _preset_values(about.preset)
        stored = str(_stored(about.preset)["stored_frames"])
        table.add_row(name, about.title, about.protocol, frames, stored, fps, words, seconds)
    print_table_whole(table, spare=("fps", "seconds", "protocol"))
    out.print(
        "frames: what heads see of a video; stored: what tvr extract keeps, for other views of it. Presets all: "
        "tvr extract and tvr train-head take others",
        soft_wrap=True,
    )
    out.print(
        "protocol: what is one query. single: the caption that a video has; multi: each of its several captions; "
        "paragraph: all sentences of a video, joined",
        soft_wrap=True,
    )
    print_next("datasets", "NAME")


def _preset_values(preset: Preset) -> tuple[str, str, str, str]:
    seconds = "all" if preset.max_seconds is None else f"{preset.max_seconds:g}"
    return str(preset.num_frames), f"{preset.fps:g}", str(preset.max_words), seconds


def _stored(preset: Preset) -> dict[str, int]:
    """How many frames of a video tvr extract keeps where nobody says otherwise."""
    from ..pipeline.options import sampling_of  # numpy: not for a list of data sets' names and files

    return {"stored_frames": sampling_of(preset, None, None, None).num_frames}


def _preset_line(preset: Preset) -> str:
    _, fps, _, seconds = _preset_values(preset)
    frames, words = counted(preset.num_frames, "frame"), counted(preset.max_words, "word")
    stored = _stored(preset)["stored_frames"]
    return (
        f"{frames} for heads, of {stored} stored (--sampling fps: {fps} a second); {words}, {seconds} seconds"
    )


def _show_one(name: str, about: About, settings: Sequence[Setting], as_json: bool) -> None:
    if as_json:
        defaults = {setting.name: setting.default for setting in settings}
        described = {setting.name: asdict(setting) for setting in settings}
        print_json(asdict(about) | _stored(about.preset) | {"settings": defaults, "described": described})
        return
    out.print(Text.assemble((about.title, "bold"), f"  {about.citation}"), soft_wrap=True)
    out.print(f"protocol   {about.protocol}")
    out.print(f"preset     {_preset_line(about.preset)} (tvr extract takes others)", soft_wrap=True)
    if not about.files:
        out.print("files      none: it is generated")
    for file in about.files:
        size = f", {file.size}" if file.size else ""
        described = f"{_optional(file)}: {file.contents}{size}. Source: {file.source}"
        out.print(Text.assemble("file       ", (_names(file), "bold"), described), soft_wrap=True)
    for setting in settings:
        out.print(
            f"setting    --data {pasteable(f'{setting.name}={setting.default}')} ({setting.allowed}): "
            f"{setting.description}",
            soft_wrap=True,
        )
    if about.files:
        print_next("datasets", name, "--root", "DIR")
    else:
        _print_extraction(name)


def _names(file: ExpectedFile) -> str:
    return " or ".join((file.name, *file.alternatives))


def _optional(file: ExpectedFile) -> str:
    return "" if file.required else " (optional)"


def _check(name: str, about: About, root: Path, settings: dict[str, str], as_json: bool) -> None:
    """Say which files are there, then read them; a data set that cannot be read ends in its error."""
    if not about.files:
        out.print(f"{name} is generated by tvr extract: it needs no files")
        return
    try:
        found, where = _found_files(about, root, settings)
    except OSError as failure:
        raise DataError(unreadable(root, failure)) from failure
    dataset, error = None, None
    try:
        dataset = load_dataset(name, root, settings)
    except DataError as failure:
        error = failure
    if as_json:
        print_json(
            {
                "name": name,
                "root": str(root),
                "looked": where,
                "files": found,
                "dataset": _summary(dataset) if dataset else None,
                "error": str(error) if error else None,
            }
        )
    else:
        _print_check(name, about, found, where)
        if dataset:
            _print_dataset(dataset, name, root)
    if error:
        raise error


def _found_files(about: About, root: Path, settings: dict[str, str]) -> tuple[dict[str, str | None], str]:
    """The path of each expected file or None, and where they were looked for."""
    if root.is_file():
        return {}, str(root)
    tree = FolderTree(root, Path(settings["videos"]) if "videos" in settings else None)
    paths = {file.name: tree.find(file) for file in about.files}
    return {name: str(path) if path else None for name, path in paths.items()}, tree.where()


def _print_check(name: str, about: About, found: dict[str, str | None], where: str) -> None:
    out.print(Text.assemble((name, "bold"), f": looked in {one_line(where)}"), soft_wrap=True)
    for file in about.files:
        path = found.get(file.name)
        if path:
            out.print(Text.assemble(("found", "green"), f"    {one_line(path)}"), soft_wrap=True)
        elif file.name in found:
            state = ("missing", "red") if file.required else ("absent ", "dim")
            described = f"{_names(file)}{_optional(file)}: {file.contents}. Source: {file.source}"
            out.print(Text.assemble(state, f"  {described}"), soft_wrap=True)


def _summary(dataset: Dataset) -> dict[str, Any]:
    """What was read, as numbers and words."""
    coverages = {name: dataset.coverage(name) for name in dataset.splits}
    return {
        "name": dataset.name,
        "protocol": dataset.protocol,
        "preset": asdict(dataset.preset),
        "videos": len(dataset.videos),
        "captions": len(dataset.captions),
        "captions_too_long_at_least": dataset.num_over_long(dataset.preset.max_words),
        "splits": {
            name: {
                "videos": len(split.video_ids),
                "expected": split.expected,
                "found": coverages[name].found,
                "missing": list(coverages[name].missing),
                "source": split.source,
                "digest": split.digest,
            }
            for name, split in dataset.splits.items()
        },
        "annotation_digests": dict(dataset.annotation_digests),
        "normalisation": list(dataset.normalisation),
        "notes": list(dataset.notes),
    }


def _print_dataset(dataset: Dataset, name: str, root: Path) -> None:
    summary = _summary(dataset)
    for split, values in summary["splits"].items():
        tint = "green" if values["found"] == values["expected"] else "yellow"
        counts = f"{values['found']:,} of {counted(values['expected'], 'video')}"
        out.print(
            Text.assemble((f"{one_line(split):<8}", tint), f" {counts} ({one_line(values['source'])})"),
            soft_wrap=True,
        )
        if values["missing"]:
            some = ", ".join(map(one_line, values["missing"][:_MISSING_SHOWN]))
            more = ", ..." if len(values["missing"]) > _MISSING_SHOWN else ""
            out.print(f"         no file for {len(values['missing']):,}: {some}{more}", soft_wrap=True)
    too_long = (
        f"at least {summary['captions_too_long_at_least']:,} longer than {dataset.preset.max_words} tokens"
    )
    out.print(f"captions {summary['captions']:,} ({dataset.protocol}), {too_long}", soft_wrap=True)
    out.print(f"preset   {_preset_line(dataset.preset)}", soft_wrap=True)
    for note in (*dataset.normalisation, *dataset.notes):
        out.print(f"note     {one_line(note)}", soft_wrap=True)
    _print_extraction(name, "--root", root)


def _print_extraction(name: str, *where: object) -> None:
    """An extraction that works, whether there is a network or not."""
    from .output.missing_weights import (
        without_download,  # torch: not for a list of data sets' names and files
    )

    if name == DRAWINGS_DATASET:
        print_next("extract", "--dataset", name, *where, "--model", DRAWINGS_MODEL)
        return
    model, _, caution = without_download()
    said = f"needs no download ({caution.label}); without --model: ViT-B-32, which is downloaded once"
    out.print(f"encoder  --model {model} {said}", soft_wrap=True)
    print_next("extract", "--dataset", name, *where, "--model", model)
