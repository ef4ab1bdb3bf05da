"""A run's report: figures, curves, what went wrong, and what the head looks at. Markdown, and HTML in one file."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from ...data.base import Video
from ...data.contracts.errors import UsageError
from ...data.contracts.records import restored
from ...pipeline.store.atomic_files import atomic_write
from ..evaluation.evaluate_runs import Scored, Subject
from ..runs.denoising import Denoising
from ..runs.run_folder import read_metrics, read_result
from ..search.alignment import Alignment, align
from .misses import Miss, misses, worst_queries
from .plots import alignment_map, curves, rank_histogram, strip
from .render import Illustration, Section, markdown, page
from .table import comparison_remarks, table_rows, worse_than_untrained
from .thumbnails import thumbnail_name, thumbnails

WORST, ALIGNED = 8, 3
"""How many of the worst queries and of the alignments are shown."""


def write_report(
    subject: Subject,
    scored: Sequence[Scored],
    videos: Mapping[str, Video] | None = None,
    *,
    compare: bool = True,
) -> Path:
    """``report.md`` and ``report.html`` in the run folder, pictures in ``report/`` below it.

    Args:
        subject: the run.
        scored: its evaluation and, before it, that of zero-shot mean pooling.
        videos: the files of the data set, for thumbnails of the worst queries; None: without.
        compare: add published figures of the same test split.

    Raises:
        UsageError: what is called ``report`` in the run is a link.

    Returns:
        The HTML file, which holds its pictures and can be sent to others.
    """
    folder = subject.run / "report"
    if folder.is_symlink():  # in a run of somebody else it may lead to any folder of this user
        raise UsageError(f"{folder} is a link, and pictures are written into a folder of the run: remove it")
    folder.mkdir(exist_ok=True)
    own = next(some for some in scored if some.run == subject.run)
    sections = [
        _figures_section(subject, scored, compare=compare),
        *_curves_section(subject, folder),
        _ranks_section(own, folder),
        _worst_section(subject, own, folder, videos),
        _alignment_section(subject, own, folder),
    ]
    title = f"{subject.record.head} on {own.facts['dataset']}"
    _write(subject.run / "report.md", markdown(title, sections))
    _write(subject.run / "report.html", page(title, sections, subject.run))
    return subject.run / "report.html"


def _figures_section(subject: Subject, scored: Sequence[Scored], *, compare: bool) -> Section:
    facts, record = scored[0].facts, subject.record
    lines = (
        f"{own_parameters(subject):,} trained parameters on features of {facts['model']} {facts['pretrained']}.",
        *dict.fromkeys(f"Coverage: {some.evaluation.coverage}." for some in scored),
        *(f"{line}." for line in worse_than_untrained(scored)),
        *(f"Published figures: {line}." for line in (comparison_remarks(scored) if compare else ())),
        f"Head settings: {_settings(record.head_config)}.",
        f"Training settings: {_settings(record.training)}.",
        "Intervals hold 95 % of bootstrap samples over videos. R@K counts the share of a tie's orders that put the "
        "true match among the first K, MdR and MnR its mean place.",
    )
    caution = scored[0].caution
    warning = f"{caution}." if caution else ""
    rows = tuple(table_rows(scored, intervals=True, compare=compare))
    return Section("Figures", lines, warning, rows)


def own_parameters(subject: Subject) -> int:
    """How many numbers of the head are trained."""
    return sum(parameter.numel() for parameter in subject.head.parameters())


def _settings(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())


def _curves_section(subject: Subject, folder: Path) -> list[Section]:
    metrics = read_metrics(subject.run)
    if not metrics:
        return []
    curves(metrics, folder / "curves.png")
    picture = Illustration("report/curves.png", "loss and validation recall by epoch")
    return [Section("Training", _denoising(subject.run), pictures=(picture,))]


def _denoising(run: Path) -> tuple[str, ...]:
    """What label denoising came to, where the head does any and the run is finished."""
    found = (read_result(run) or {}).get("denoising")
    return () if found is None else (f"{restored(Denoising, found)}.",)


def _ranks_section(own: Scored, folder: Path) -> Section:
    rank_histogram(own.evaluation.ranks.t2v, own.evaluation.ranks.v2t, folder / "ranks.png")
    tied = own.evaluation.ranks.t2v.tied_queries, own.evaluation.ranks.v2t.tied_queries
    lines = (f"Queries whose true match ties with another candidate: t2v {tied[0]:,}, v2t {tied[1]:,}.",)
    return Section("Ranks", lines, pictures=(Illustration("report/ranks.png", "ranks of the true matches"),))


def _worst_section(
    subject: Subject, own: Scored, folder: Path, videos: Mapping[str, Video] | None
) -> Section:
    found = worst_misses(subject, own, WORST)
    if not found:
        return Section("Worst queries", ("Every query has its video at rank 1.",))
    lines = tuple(
        f"rank {miss.rank:,.1f}: “{miss.text}” describes {miss.true_video}, found {miss.found_video}"
        for miss in found
    )
    if videos is None:
        return Section("Worst queries", lines)
    frames = thumbnails(videos, [i for miss in found for i in (miss.true_video, miss.found_video)])
    pictures = tuple(
        picture
        for number, miss in enumerate(found, start=1)
        for which, video in (("described", miss.true_video), ("found", miss.found_video))
        for picture in _thumbnail(frames, video, f"{number}: “{miss.text}” {which}: {video}", folder)
    )
    return Section("Worst queries", lines, pictures=pictures)


def worst_misses(subject: Subject, own: Scored, count: int) -> list[Miss]:
    """The texts whose video comes last, the worst first."""
    ranks = own.evaluation.ranks.t2v.ranks
    return misses(subject.head, subject.features, ranks, worst_queries(ranks, count))


def _thumbnail(
    frames: Mapping[str, UInt8[np.ndarray, "frame height width 3"]], video: str, caption: str, folder: Path
) -> list[Illustration]:
    if video not in frames:
        return []
    name = thumbnail_name(video)
    strip(frames[video], folder / name)
    return [Illustration(f"report/{name}", caption)]


def _alignment_section(subject: Subject, own: Scored, folder: Path) -> Section:
    ranks = own.evaluation.ranks.t2v.ranks
    chosen = np.argsort(ranks, kind="stable")[:ALIGNED].tolist()
    features = subject.features
    found = [align(subject.head, features, i, int(features.text_video[i])) for i in chosen]
    pictures: list[Illustration] = []
    for number, (item, alignment) in enumerate(zip(chosen, found, strict=True), start=1):
        alignment_map(alignment, folder / f"alignment-{number}.png")
        video = features.video_ids[int(features.text_video[item])]
        pictures.append(Illustration(f"report/alignment-{number}.png", f"“{alignment.text}” and {video}"))
    lines = tuple(f"Clips of “{a.text}”: {_spans(a)}." for a in found if a.spans)
    return Section("What the head looks at", lines, pictures=tuple(pictures))


def _spans(alignment: Alignment) -> str:
    digits = alignment.decimals
    spans = [(f"{start:.{digits}f}", f"{end:.{digits}f}") for start, end in alignment.spans]
    return ", ".join(f"at {start} s" if start == end else f"{start}-{end} s" for start, end in spans)


def _write(file: Path, text: str) -> None:
    with atomic_write(file) as beside:
        beside.write_text(text, encoding="utf-8")
