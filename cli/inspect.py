"""``tvr inspect``: what is in a store."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.text import Text

from ..data.contracts.cautions import label_of
from ..data.contracts.errors import StoreError, counted, one_line, pasteable
from ..pipeline.decoding.messages import READING_RULES
from ..pipeline.probe.pairs import of_record
from ..pipeline.request import Named, extract_command
from ..pipeline.store.entries import store_entry
from ..pipeline.store.manifest import Manifest
from ..pipeline.store.reader import FeatureStore
from ..pipeline.store.rows import VideoStatus, worst_first
from ..pipeline.store.shards import MISSING
from ..pipeline.trust.changes import FileComparison, compared_by_request
from ..pipeline.trust.files import verdicts_by_request
from ..pipeline.trust.verdicts import Verdict
from ..pipeline.workspace import Workspace
from .input.chosen_store import taken_store
from .input.options import (
    DEFAULT_WORKSPACE,
    DatasetOption,
    JsonOption,
    NamedDataOption,
    RootOption,
    StoreArgument,
    StoreOption,
    WorkspaceOption,
    key_values,
    one_store,
    workspace_words,
)
from .output.after_store import completing_words, print_next_of_store
from .output.interruptions import interruptible
from .terminal import Meter, out, print_json, print_row

_LINES = 20
_WORST = 5


@interruptible("nothing was changed")
def inspect(
    at: StoreArgument = None,
    store: StoreOption = None,
    dataset: DatasetOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    failed: Annotated[
        bool,
        typer.Option("--failed", help="List every video that is not ok, the worst first, with its reason."),
    ] = False,
    untrusted: Annotated[
        bool,
        typer.Option(
            "--untrusted",
            help="Look at the files of videos that an earlier version read by other rules, and list those that would "
            "be read otherwise now.",
        ),
    ] = False,
    changed: Annotated[
        bool,
        typer.Option(
            "--changed",
            help="Compare the videos' files with those that the store was made of, and list the ones that differ.",
        ),
    ] = False,
    root: RootOption = None,
    data: NamedDataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a store holds, what made it, and how its videos fared."""
    opened = FeatureStore.open(
        taken_store(Workspace(workspace), one_store(at, store), dataset, complete=False), complete=False
    )
    statuses = opened.statuses()
    named = Named(root, key_values(data, "--data"))
    verdicts = _verdicts(opened, named) if untrusted else None
    compared = _compared(opened, named) if changed else None
    if as_json:
        looked = {"verdicts": verdicts, "files": compared}
        print_json(_as_json(opened, statuses, looked, failed=failed))
        return
    _print_store(opened, statuses)
    _print_failures(statuses, every=failed)
    if verdicts is not None:
        _print_verdicts(opened, verdicts)
    if compared is not None:
        _print_compared(opened, compared)
    print_next_of_store(opened, workspace_words(workspace))


def _verdicts(store: FeatureStore, named: Named) -> list[Verdict]:
    with Meter("looking at files", "files") as meter:
        return verdicts_by_request(store, named, meter.update)


def _compared(store: FeatureStore, named: Named) -> FileComparison:
    with Meter("looking at files", "files") as meter:
        return compared_by_request(store, named, meter.update)


def _as_json(
    store: FeatureStore, statuses: list[VideoStatus], looked: Mapping[str, Any], *, failed: bool
) -> dict[str, object]:
    """Everything; ``looked`` is what was asked of the files, None where it was not."""
    listed = [asdict(row) for row in (worst_first(statuses) if failed else statuses)]
    return {
        **{name: _plain(found) for name, found in looked.items() if found is not None},
        "folder": str(store.folder),
        "manifest": asdict(store.manifest),
        "grown": _grown(store),
        "caution": label_of(store.manifest.caution),
        "absent_shards": store.absent_shards(),
        "status": dict(Counter(row.status for row in statuses)),
        "reasons": dict(Counter(row.reason for row in statuses if row.reason).most_common()),
        "older_rules": dict(Counter(row.decoder for row in store.older_rows(READING_RULES))),
        "videos": listed,
    }


def _grown(store: FeatureStore) -> dict[str, object] | None:
    """What the newest generation brought; None of a store that has not grown."""
    newest = store.generation
    if newest is None:
        return None
    counts = {"videos": asdict(newest.counted_videos), "texts": asdict(newest.counted_texts)}
    return {"generation": newest.number, **counts}


def _plain(found: FileComparison | list[Verdict]) -> object:
    return asdict(found) if isinstance(found, FileComparison) else [asdict(verdict) for verdict in found]


def _print_store(store: FeatureStore, statuses: list[VideoStatus]) -> None:
    m, frames = store.manifest, sum(row.frames for row in statuses)
    weights = "random weights" if m.random_weights else f"weights sha256 {m.encoder['weights_digest'][:12]}"
    out.print(Text(one_line(str(store.folder)), "bold"), soft_wrap=True)
    size = f"{counted(m.num_videos, 'video')}, {counted(m.num_texts, 'caption')}"
    out.print(f"data set   {one_line(m.dataset)} ({m.protocol}): {size}", soft_wrap=True)
    for name, split in m.splits.items():
        out.print(
            f"  {name}: {split.found:,} of {counted(split.expected, 'video')}, {split.source}", soft_wrap=True
        )
    out.print(
        f"encoder    {m.model} {m.pretrained}, {m.dim} wide, {m.encoder['precision']}, {weights}{_run_by(m)}",
        soft_wrap=True,
    )
    if m.caution:
        out.print(
            Text.assemble("caution    ", (m.caution.label, "yellow"), f": {m.caution.sentence}"),
            soft_wrap=True,
        )
    _print_probe(store)
    out.print(
        f"sampling   {m.sampling['policy']}, {counted(m.sampling['num_frames'], 'frame')}, {m.pixels} pixels, "
        f"{m.resize} resize",
        soft_wrap=True,
    )
    out.print(
        f"frames     {frames:,}; decoded: {_by_decoder(row.decoder for row in statuses)}",
        soft_wrap=True,
    )
    _print_versions(store)
    older = [row.decoder for row in store.older_rows(READING_RULES)]
    if older:
        out.print(
            f"older      {counted(len(older), 'video')} read by an earlier version's rules ({_counted(older)}); those "
            f"that are not trusted any more: tvr inspect --store {pasteable(store.folder)} --untrusted",
            soft_wrap=True,
        )
    if m.patches_dtype:
        out.print(f"patches    {_patches_in_words(m)}", soft_wrap=True)
    if m.num_texts:
        reads = m.encoder.get("context_length")  # stores of earlier versions may lack it
        most = "the encoder reads" if reads is None else f"{reads} tokens"
        out.print(f"captions   longer than {most}: {m.text_policy}")
    _print_lacking(store)
    if store.generation:
        counts = asdict(store.generation.counted_videos)
        told = ", ".join(f"{count:,} {what}" for what, count in counts.items())
        out.print(
            f"grown      {counted(store.generation.number, 'time')}, last by these videos: {told}; one generation of "
            f"it: tvr compact --store {pasteable(store.folder)}",
            soft_wrap=True,
        )
    for note in m.notes:
        out.print(f"note       {one_line(note)}", soft_wrap=True)


def _print_lacking(store: FeatureStore) -> None:
    """How many shards are not there, and what makes them: who makes them now is not to be joined by a second one."""
    entry = store_entry(store.folder)
    if not entry.lacking:
        return
    how = "is being written now by another process"
    if not entry.is_being_written:
        how = completing_words(store.folder, is_damaged=entry.is_damaged)
    out.print(Text.assemble(("incomplete", "yellow"), f": {entry.lacking}; {how}"), soft_wrap=True)


def _run_by(manifest: Manifest) -> str:
    """Which library ran the encoder; stores of earlier versions have the versions of all packages alone."""
    library = manifest.encoder.get("library_version")
    return f", run by {one_line(str(library))}" if library else ""


def _print_probe(store: FeatureStore) -> None:
    if store.manifest.probe is None:
        return
    try:
        said = str(of_record(store.manifest.probe))
    except StoreError as error:  # all the rest of the store is as good as it was
        said = f"not readable: {one_line(str(error))}"
    out.print(f"stills     {said}", soft_wrap=True)


def _patches_in_words(made: Manifest) -> str:
    """How many, of what kind, how wide; of raw ones also what pools them."""
    if made.patch_kind == "projected":
        how_many = made.encoder.get("num_patches", "those")
        return f"{how_many} of each frame, projected, {made.patch_dim} wide, {made.patches_dtype}"
    raw = made.encoder["raw_patches"]
    begun = ", ".join(one_line(str(name)) for name in raw["pooling"])
    return (
        f"{raw['per_frame']} raw tokens of each frame ({raw['prefix']} of them before its patches), {made.patch_dim} "
        f"wide, {made.patches_dtype}; pooled by weights {begun} (sha256 {str(raw['pooling_digest'])[:12]})"
    )


def _print_versions(store: FeatureStore) -> None:
    """Which packages made the shards; an earlier version's receipts do not say, then those that began the store."""
    names = store.shard_names("video") + store.shard_names("text")
    receipts = [receipt for name in names if (receipt := store.receipt(name))]
    makers = Counter(_named_versions(receipt.versions or store.manifest.versions) for receipt in receipts)
    for packages, count in makers.most_common():
        whose = "" if len(makers) == 1 else f" ({counted(count, 'shard')})"
        out.print(f"made by    {packages}{whose}", soft_wrap=True)


def _named_versions(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {one_line(version)}" for name, version in versions.items())


def _print_failures(statuses: list[VideoStatus], *, every: bool) -> None:
    if not statuses:
        out.print("status     not known: no shard of videos is there")
        return
    named = ("missing" if row.reason == MISSING else row.status for row in statuses)
    out.print(f"status     {_counted(named)}")
    bad = worst_first(statuses)
    for reason, count in Counter(f"{row.status}: {row.reason}" for row in bad).most_common(_LINES):
        out.print(f"  {count:>7,} x {one_line(reason)}", soft_wrap=True)
    if bad:
        out.print("every video that is not ok:" if every else "worst (--failed lists all):")
    elif every:
        out.print("every video is ok")
    for row in bad if every else bad[:_WORST]:
        print_row(row.id, row.status, row.reason)


def _print_verdicts(store: FeatureStore, verdicts: Sequence[Verdict]) -> None:
    counts = Counter(verdict.verdict for verdict in verdicts)
    out.print(
        f"files      of {counted(len(verdicts), 'video')} read by older rules: {counts['trusted']:,} trusted, "
        f"{counts['untrusted']:,} untrusted, {counts['unknown']:,} cannot be told",
        soft_wrap=True,
    )
    doubted = [verdict for verdict in verdicts if verdict.verdict != "trusted"]
    doubted.sort(key=lambda verdict: (verdict.verdict != "untrusted", verdict.reason, verdict.id))
    for reason, count in Counter(map(_why, doubted)).most_common(_LINES):
        out.print(f"  {count:>7,} x {one_line(reason)}", soft_wrap=True)
    for verdict in doubted:
        print_row(verdict.id, verdict.verdict, verdict.reason)
    if counts["untrusted"]:
        _print_retry(store, "untrusted")


def _print_compared(store: FeatureStore, compared: FileComparison) -> None:
    out.print(
        f"files      {compared.same:,} are those that the store was made of, {len(compared.changed):,} are other ones, "
        f"{compared.gone:,} are gone, {compared.unknown:,} cannot be told",
        soft_wrap=True,
    )
    for video, difference in compared.changed.items():
        typer.echo(f"{one_line(video)}\tchanged\t{difference}")
    if compared.changed:
        _print_retry(store, "changed")


def _print_retry(store: FeatureStore, which: str) -> None:
    again = extract_command(store.folder, "--retry", which)
    words = f"the `tvr extract` that made the store, with all its options and --retry {which}"
    out.print(f"extract these again: {again or words}", soft_wrap=True)


def _why(verdict: Verdict) -> str:
    return f"{'untrusted' if verdict.verdict == 'untrusted' else 'cannot be told'}: {verdict.reason}"


def _by_decoder(decoders: Iterable[str]) -> str:
    """``12 videos by decord``."""
    counts = Counter(name for name in decoders if name).most_common()
    return ", ".join(f"{counted(count, 'video')} by {one_line(name)}" for name, count in counts) or "none"


def _counted(values: Iterable[str]) -> str:
    return ", ".join(
        f"{count:,} {value}" for value, count in Counter(value for value in values if value).most_common()
    )
