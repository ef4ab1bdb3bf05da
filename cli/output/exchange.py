"""What ``tvr import-features`` and ``tvr export`` say."""

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...data.contracts.cautions import UNKNOWN
from ...data.contracts.errors import counted, one_line
from ...pipeline.exchange.exporting import ExportPlan, ExportSummary
from ...pipeline.exchange.importing import ImportSummary, Planned
from ...shown import OnDone, bar_a_stage
from ..terminal import Meter, out, print_caution, print_json
from .next_command import print_next, words_after

SENTENCES_HEAD = "seq_transformer"
"""A head that reads one feature of a caption."""
DIGITS = 12
"""Of a digest that a person is shown."""


def words_after_import(planned: Planned, folder: Path, place: Sequence[str]) -> Sequence[object]:
    """What can be done with the store: train what its captions are enough for, or search where the encoder is known."""
    made, kind = planned.manifest, planned.described.text_features
    can_train = made.num_texts > 0 and "train" in made.splits and made.splits["train"].found > 0
    if can_train and kind == "pooled":
        return ["train-head", "--head", SENTENCES_HEAD, *place, "--store", folder]
    if not can_train and made.model == UNKNOWN:
        return ["inspect", "--store", folder]
    return words_after(folder, can_train=can_train, place=place)


def import_record(planned: Planned, summary: ImportSummary) -> dict[str, Any]:
    """For programs."""
    return {**asdict(planned.described), **asdict(summary), "folder": str(summary.folder)}


def print_import_plan(planned: Planned, folder: Path, *, as_json: bool) -> None:
    """What is to be imported, or was."""
    found = planned.described
    if as_json:
        print_json({**asdict(found), "folder": str(folder), "dry_run": True})
        return
    print_caution(planned.manifest.caution)
    out.print(f"store      {one_line(str(folder))}", soft_wrap=True)
    out.print(f"data set   {one_line(found.dataset)}, as {found.layout}", soft_wrap=True)
    splits = ", ".join(f"{one_line(name)} {count:,}" for name, count in found.splits.items())
    out.print(f"videos     {found.videos:,} ({splits})", soft_wrap=True)
    out.print(
        f"captions   {found.captions:,}, {_TEXTS[found.text_features]}{_encoded(planned)}", soft_wrap=True
    )
    out.print(
        f"features   {found.dim} wide, {found.dtype}, {_LENGTH[found.unit_length]}; encoder {one_line(found.encoder)}",
        soft_wrap=True,
    )
    for note in found.notes:
        out.print(f"note       {one_line(note)}", soft_wrap=True)


def _encoded(planned: Planned) -> str:
    return "" if planned.encoder is None else f", made by {planned.encoder.identity.model}"


_TEXTS = {
    "words": "with features of words",
    "pooled": "with one feature each: heads that read words do not work on them",
    "hidden": "with hidden states that are not in the space of frames",
    "none": "without features",
}
_LENGTH = {True: "of unit length", False: "not normalised", None: "some of unit length"}


def print_import(planned: Planned, summary: ImportSummary) -> None:
    """What an import came to."""
    shards = f"{summary.shards_done:,} written, {summary.shards_skipped:,} already there"
    out.print(f"shards     {shards}", soft_wrap=True)
    if summary.shards_left:
        out.print(
            f"incomplete {counted(summary.shards_left, 'shard')} that another process is at", soft_wrap=True
        )
        return
    if summary.rounding:
        out.print(
            f"rounded    float32 rows are kept as float16, at most {summary.rounding:.1e} of their length away; "
            "--dtype float32 keeps them as they are",
            soft_wrap=True,
        )
    assert summary.content is not None
    out.print(f"digests    {_digests(asdict(summary.content))}", soft_wrap=True)
    if planned.sidecar is not None:
        _print_compared(planned, summary.differs)


def _print_compared(planned: Planned, differs: Sequence[str]) -> None:
    """Whether what was exported has come back."""
    assert planned.sidecar is not None
    if differs:
        out.print(
            f"differs    {', '.join(differs)}: not what the store held that was exported", soft_wrap=True
        )
    else:
        out.print(
            f"equal      {', '.join(planned.sidecar.kept)}: as in the store that was exported", soft_wrap=True
        )


def _digests(content: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value[:DIGITS]}" for name, value in content.items() if isinstance(value, str))


def print_export_plan(plan: ExportPlan, *, as_json: bool) -> None:
    """What is to be exported."""
    made = plan.store.manifest
    if as_json:
        print_json(
            {
                "path": str(plan.request.path),
                "layout": plan.request.layout,
                "videos": made.num_videos,
                "texts": made.num_texts,
                "losses": list(plan.losses),
                "goes_on": plan.is_begun,
                "dry_run": True,
            }
        )
        return
    goes_on = ", which goes on" if plan.is_begun else ""
    size = f"{counted(made.num_videos, 'video')} and {counted(made.num_texts, 'caption')}"
    out.print(f"would write {size} to {one_line(str(plan.request.path))}{goes_on}", soft_wrap=True)
    _print_losses(plan.losses)


def _print_losses(losses: Sequence[str]) -> None:
    for loss in losses:
        out.print(f"not held   {loss}", soft_wrap=True)


def print_export(summary: ExportSummary) -> None:
    """What an export came to."""
    size = f"{counted(summary.videos, 'video')} and {counted(summary.texts, 'caption')}"
    parts = f"{counted(summary.parts_written, 'part')} written, {summary.parts_skipped:,} already there"
    out.print(f"{size} in {one_line(str(summary.path))}; {parts}", soft_wrap=True)
    _print_losses(summary.losses)
    assert summary.content is not None
    out.print(f"digests    {_digests(asdict(summary.content))}", soft_wrap=True)
    print_next("import-features", summary.layout, summary.path)


def stage_meters() -> AbstractContextManager[Callable[[str, int, int], None]]:
    """A bar for each stage, one after another."""
    return bar_a_stage(_meter)


@contextmanager
def _meter(stage: str) -> Generator[OnDone]:
    with Meter(stage, "shards" if stage == "digests" else stage, at_once=False) as meter:
        yield meter.update
