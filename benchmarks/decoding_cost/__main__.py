"""Measure and print: see the package."""

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import av

from ..record import keep
from .measuring import PLAIN, Cost, costs_of, processes
from .re_encoded import ENCODINGS, re_encode

MAX_RATIO = 1.05
NOW, BEFORE = "now", "before"
SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".ts", ".mpg")


def main() -> None:
    """Decode every clip in turns, and keep what that took; ends with 1 where it costs more than before."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=Path, nargs="+", required=True, help="folders of clips")
    parser.add_argument("--num-frames", type=int, nargs="+", default=[12, 24])
    parser.add_argument("--decoder", nargs="+", default=["decord", "pyav"])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--re-encode", type=int, default=0, help="so many clips in other codecs, instead of all clips"
    )
    parser.add_argument(
        "--against", help="interpreter with another version of tvr, measured in turns with this one"
    )
    parser.add_argument("--keep", action="store_true", help="write the figures to benchmarks/results")
    chosen = parser.parse_args()
    pythons = {NOW: sys.executable} | ({BEFORE: chosen.against} if chosen.against else {})
    questions = [(decoder, number) for decoder in chosen.decoder for number in chosen.num_frames]
    clips = sorted(path for folder in chosen.videos for path in folder.iterdir() if path.suffix in SUFFIXES)
    with ExitStack() as stack:
        groups = _groups(clips)
        if chosen.re_encode:
            scratch = stack.enter_context(tempfile.TemporaryDirectory())
            groups = _re_encoded(
                clips[:: max(1, len(clips) // chosen.re_encode)][: chosen.re_encode], Path(scratch)
            )
        versions = stack.enter_context(processes(pythons))
        costs = {
            path: costs_of(path, versions, questions, chosen.repeats)
            for group in groups.values()
            for path in group
        }
    rows = [
        _row(kind, question, {path: costs[path][question] for path in group})
        for kind, group in groups.items()
        for question in questions
    ]
    _print(rows)
    if chosen.keep:
        _keep(chosen, rows)


def _groups(clips: Sequence[Path]) -> dict[str, list[Path]]:
    """The clips by codec and container."""
    groups: dict[str, list[Path]] = {}
    for path in clips:
        with av.open(str(path)) as container:
            codec = container.streams.video[0].codec_context.name
        groups.setdefault(f"{codec} {path.suffix}", []).append(path)
    return groups


def _re_encoded(clips: Sequence[Path], folder: Path) -> dict[str, list[Path]]:
    groups: dict[str, list[Path]] = {}
    for place, (kind, encoding) in enumerate(ENCODINGS.items()):
        for number, clip in enumerate(clips):
            target = folder / f"{place}-{number}{encoding.suffix}"
            re_encode(clip, encoding, target)
            groups.setdefault(kind, []).append(target)
    return groups


def _row(kind: str, question: tuple[str, int], costs: Mapping[Path, Cost]) -> dict[str, Any]:
    """One line of the table: sums over the clips of the medians over the repeats."""
    decoder, num_frames = question
    versions = [version for version in next(iter(costs.values())).seconds if version != PLAIN]
    seconds = {
        version: sum(cost.typical(version) for cost in costs.values()) for version in (*versions, PLAIN)
    }
    row: dict[str, Any] = {"kind": kind, "clips": len(costs), "decoder": decoder, "num_frames": num_frames}
    row |= {f"{name}_cpu_seconds_a_clip": round(total / len(costs), 4) for name, total in seconds.items()}
    row |= {f"{name}_to_plain": round(seconds[name] / seconds[PLAIN], 3) for name in versions}
    row |= {
        f"{name}_served_by": _counts([cost.outcome[name] for cost in costs.values()]) for name in versions
    }
    if BEFORE in versions:
        row["now_to_before"] = round(seconds[NOW] / seconds[BEFORE], 3)
        row["dearest_clip_now_to_before"] = round(
            max(cost.typical(NOW) / cost.typical(BEFORE) for cost in costs.values()), 3
        )
    return row


def _counts(outcomes: Sequence[str]) -> str:
    return ", ".join(f"{outcome} {outcomes.count(outcome)}" for outcome in sorted(set(outcomes)))


def _print(rows: Sequence[Mapping[str, Any]]) -> None:
    names = list(rows[0])
    print("| " + " | ".join(name.replace("_", " ") for name in names) + " |")
    print("|" + "---|" * len(names))
    for row in rows:
        print("| " + " | ".join(str(row[name]) for name in names) + " |")


def _keep(chosen: argparse.Namespace, rows: Sequence[Mapping[str, Any]]) -> None:
    figures: dict[str, Any] = {"repeats": chosen.repeats, "input_side": 224, "rows": rows}
    if chosen.against and not chosen.re_encode:
        figures |= {"allowed": MAX_RATIO, "met": all(row["now_to_before"] <= MAX_RATIO for row in rows)}
    keep("decoding_cost_re_encoded" if chosen.re_encode else "decoding_cost", figures)
    if not figures.get("met", True):
        sys.exit(1)


if __name__ == "__main__":
    main()
