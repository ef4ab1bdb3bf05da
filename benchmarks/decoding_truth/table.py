"""What a run found, as a table of codecs, containers and decoders."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from .differences import FAULTS, Outcome

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
    """The table in at most 100 columns."""
    heads = ("encodes", "unusable", "damaged", "frames", "wrong", *FAULTS, "unnoticed")
    yield f"{'':23}" + "".join(f"{head[:9]:>{_width(head)}}" for head in heads)
    yield f"{'':23}{'':{_width('') * 3 + 9}}{'frames':>7}{'(encodes ...)':>14}"
    for name, row in rows.items():
        cells = (f"{row[column]:>{_width(head)},}" for head, column in zip(heads, _COLUMNS, strict=True))
        yield f"{name:23}" + "".join(cells)


def has_faults(rows: dict[str, dict[str, Any]]) -> bool:
    """Whether anything was not right."""
    return any(rows["all"][kind] for kind in FAULTS)


def _width(head: str) -> int:
    return {"frames": 10, "encodes": 9, "unusable": 9, "damaged": 8, "unnoticed": 10}.get(head, 8)


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
