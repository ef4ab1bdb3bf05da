"""What a run found, as a table of codecs, containers and decoders."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from .differences import FAULTS, Outcome

_HEADS = (
    ("files", 7),
    ("unfit", 6),
    ("damaged", 8),
    ("frames", 10),
    ("wrong", 8),
    ("wrong", 7),
    ("failed", 7),
    ("partial", 8),
    ("order", 6),
    ("silent", 7),
    ("unnoticed", 10),
)
_COLUMNS = ("encodes", "unusable", "damaged", "frames", "wrong frames", *FAULTS, "unnoticeable")


def counted(outcomes: Sequence[Outcome], decoders: Sequence[str]) -> dict[str, dict[str, Any]]:
    """For all, and by codec, container and decoder: encodes, frames compared, and how many encodes show what."""
    rows = {"all": _row(outcomes, decoders)}
    for kind, name in (("codec", _codec), ("container", _container)):
        for value in sorted({name(outcome) for outcome in outcomes}):
            chosen = [outcome for outcome in outcomes if name(outcome) == value]
            rows[f"{kind} {value}"] = _row(chosen, decoders)
    return rows | {f"decoder {decoder}": _row(outcomes, [decoder]) for decoder in decoders}


def lines(rows: dict[str, dict[str, Any]]) -> Iterable[str]:
    """The table, in 100 columns."""
    yield f"{'':16}{'frames, and how many of them wrong':>39}{'files with something':>45}"
    yield " " * 16 + "".join(f"{head:>{width}}" for head, width in _HEADS)
    for name, row in rows.items():
        cells = (f"{row[column]:>{width},}" for column, (_, width) in zip(_COLUMNS, _HEADS, strict=True))
        yield f"{name:16}" + "".join(cells)


def has_faults(rows: dict[str, dict[str, Any]]) -> bool:
    """Whether anything was not right."""
    return any(rows["all"][kind] for kind in FAULTS)


def _row(outcomes: Sequence[Outcome], decoders: Sequence[str]) -> dict[str, Any]:
    usable = [outcome for outcome in outcomes if not outcome.unusable]
    found: Counter[str] = Counter()
    wrong_frames = 0
    for outcome in usable:
        own = [finding for finding in outcome.findings if finding.decoder in decoders]
        found.update({finding.kind for finding in own})
        wrong_frames += sum(finding.wrong_frames for finding in own if finding.kind in FAULTS)
    return {
        "encodes": len(outcomes),
        "unusable": len(outcomes) - len(usable),
        "damaged": sum(outcome.encode.is_damaged for outcome in usable),
        "frames": sum(outcome.frames.get(decoder, 0) for outcome in usable for decoder in decoders),
        "wrong frames": wrong_frames,
        **{kind: found[kind] for kind in (*FAULTS, "unnoticeable")},
    }


def _codec(outcome: Outcome) -> str:
    return outcome.encode.codec


def _container(outcome: Outcome) -> str:
    return outcome.encode.container
