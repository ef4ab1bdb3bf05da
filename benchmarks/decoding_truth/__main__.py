"""Every decoder against a plain decode of random files: ``python -m benchmarks.decoding_truth --encodes 2000``.

Ends with 1 where anything is not right: a wrong picture with status ok, an undamaged file that is failed or partial,
an answer that depends on what was asked before, visible damage with status ok. Damage that nothing in the stream
betrays is counted in a column of its own.
"""

import argparse
import json
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.progress import track

from .. import record
from .differences import FAULTS, Finding, Outcome
from .encodes import Encode
from .running import Checker, available_decoders, numbered, run
from .shrinking import shrunk
from .table import counted, has_faults, lines
from .writing import write_encode

_TOLD_EVERY = 100


@dataclass(frozen=True)
class Example:
    """The plainest file found of one kind of fault."""

    encode: Encode
    finding: Finding
    encodes: int
    """How many of the run show this kind, with this decoder and codec and about this container."""


def main() -> int:
    """Run, print the table and the examples, and keep both."""
    options = _options()
    decoders = options.decoder or available_decoders()
    seed = int(datetime.now(UTC).strftime("%Y%m%d")) if options.seed_of_the_day else options.seed
    encodes = [Encode.from_json(options.encode)] if options.encode else numbered(seed, options.encodes)
    started = time.perf_counter()
    outcomes = _outcomes(encodes, decoders, options.processes)
    rows = counted(outcomes, decoders)
    examples = _examples(outcomes, options.examples)
    figures = {
        "seed": seed,
        "decoders": list(decoders),
        "seconds": round(time.perf_counter() - started),
        "rows": rows,
        "examples": [_described(example) for example in examples],
    }
    print("\n".join(lines(rows)))
    for example in examples:
        print("\n" + "\n".join(_words(example)))
        if options.keep:
            _keep(example, options.keep)
    if options.encode:
        _print_findings(outcomes[0])
    elif options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    elif options.record:
        record.keep("decoding_truth", figures)
    return int(has_faults(rows))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decoding_truth", description=__doc__)
    parser.add_argument("--encodes", type=int, default=2000, help="how many files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seed-of-the-day", action="store_true", help="today's date in UTC as the seed")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument(
        "--decoder",
        action="append",
        choices=available_decoders(),
        help="one of them alone; may be repeated. Default: all that work here",
    )
    parser.add_argument(
        "--examples", type=int, default=12, help="kinds of fault that are reduced to a plain file"
    )
    parser.add_argument("--encode", help="one file, as JSON: what an example prints")
    parser.add_argument("--keep", type=Path, help="folder for the files of the examples")
    parser.add_argument(
        "--record", action="store_true", help="write the figures to benchmarks/results/decoding_truth.json"
    )
    parser.add_argument("--json", type=Path, help="write the figures there")
    return parser.parse_args()


def _outcomes(encodes: Sequence[Encode], decoders: Sequence[str], processes: int) -> list[Outcome]:
    coming = run(encodes, decoders, min(processes, len(encodes)))
    if sys.stderr.isatty():
        return list(track(coming, "encodes", total=len(encodes)))
    outcomes: list[Outcome] = []
    for outcome in coming:
        outcomes.append(outcome)
        if fault := next((each for each in outcome.findings if each.kind in FAULTS), None):
            _tell(
                f"{fault.kind} ({fault.decoder}): {fault.words}\n  --encode {shlex.quote(outcome.encode.as_json())}"
            )
        if len(outcomes) % _TOLD_EVERY == 0:
            _tell(f"{len(outcomes):,} of {len(encodes):,} files")
    return outcomes


def _tell(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def _examples(outcomes: Sequence[Outcome], most: int) -> list[Example]:
    """The commonest kinds of fault, each by its plainest file."""
    groups: dict[tuple[str, ...], list[tuple[Encode, Finding]]] = {}
    for outcome in outcomes:
        for finding in outcome.findings:
            if finding.kind in FAULTS:
                kind = (finding.decoder, finding.kind, outcome.encode.codec, outcome.encode.container)
                groups.setdefault(kind, []).append((outcome.encode, finding))
    commonest = sorted(groups.values(), key=lambda group: -len({encode for encode, _ in group}))
    chosen = commonest[:most]
    return [_example(group) for group in track(chosen, "examples", disable=not sys.stderr.isatty())]


def _example(group: Sequence[tuple[Encode, Finding]]) -> Example:
    encode, finding = min(group, key=lambda pair: len(pair[0].as_json()))
    with Checker([finding.decoder]) as checker:

        def found(candidate: Encode) -> list[Finding]:
            return [each for each in checker.check(candidate).findings if each.kind == finding.kind]

        plain = shrunk(encode, lambda candidate: bool(found(candidate)))
        shown = next(iter(found(plain)), finding)
    return Example(plain, shown, len({encode for encode, _ in group}))


def _words(example: Example) -> list[str]:
    finding = example.finding
    return [
        f"{finding.kind} in {example.encodes} encodes ({finding.decoder}): {finding.question}: {finding.words}",
        f"  python -m benchmarks.decoding_truth --decoder {finding.decoder} "
        f"--encode {shlex.quote(example.encode.as_json())}",
    ]


def _described(example: Example) -> dict[str, object]:
    finding = example.finding
    return {
        "kind": finding.kind,
        "decoder": finding.decoder,
        "encodes": example.encodes,
        "question": finding.question,
        "words": finding.words,
        "encode": json.loads(example.encode.as_json()),
    }


def _keep(example: Example, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    finding, encode = example.finding, example.encode
    name = f"{finding.kind}_{finding.decoder}_{encode.codec}_{encode.seed}"
    path = write_encode(encode, folder / f"{name}.{encode.container}")
    path.with_suffix(".json").write_text(encode.as_json() + "\n", encoding="utf-8")


def _print_findings(outcome: Outcome) -> None:
    if outcome.unusable:
        print(f"proves nothing: {outcome.unusable}")
    for finding in outcome.findings:
        print(f"{finding.kind} ({finding.decoder}): {finding.question}: {finding.words}")


if __name__ == "__main__":
    sys.exit(main())
