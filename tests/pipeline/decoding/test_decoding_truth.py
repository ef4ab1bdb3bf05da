"""Random files whose pictures say their number: every decoder gives the frames that a plain decode gives.

``TVR_TRUTH_SEED`` draws other files: a number, or ``today`` for the date. ``python -m benchmarks.decoding_truth`` tries
thousands, and reduces a file that fails to the plainest one that does.
"""

import os
from datetime import UTC, datetime

import pytest

from benchmarks.decoding_truth.differences import FAULTS, Outcome
from benchmarks.decoding_truth.running import available_decoders, numbered, run

from ...fixtures.fuzz import cases

pytestmark = pytest.mark.slow

COUNT = cases(150)
DECODERS = available_decoders()


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    named = os.environ.get("TVR_TRUTH_SEED", "0")
    seed = int(datetime.now(UTC).strftime("%Y%m%d") if named == "today" else named)
    return list(run(numbered(seed, COUNT), DECODERS, processes=2))


def shown(outcomes: list[Outcome], kind: str) -> list[str]:
    """A line for each decoder and file that shows this kind of fault, with what reproduces it."""
    return [
        f"{decoder}: {first.question}: {first.words}: --encode '{outcome.encode.as_json()}'"
        for outcome in outcomes
        for decoder in DECODERS
        for first in [each for each in outcome.findings if (each.decoder, each.kind) == (decoder, kind)][:1]
    ]


@pytest.mark.parametrize("kind", [kind for kind in FAULTS if kind != "silent"])
def test_every_decoder_gives_the_right_frames(outcomes: list[Outcome], kind: str) -> None:
    found = shown(outcomes, kind)
    assert not found, "\n".join(found)


def test_damage_is_hardly_ever_passed_as_sound(outcomes: list[Outcome]) -> None:
    # A few bytes may read as another valid picture, of which no decoder says a word.
    damaged = sum(outcome.encode.is_damaged for outcome in outcomes)
    found = shown(outcomes, "silent")
    assert len(found) <= max(1, 0.02 * damaged) * len(DECODERS), "\n".join(found)


def test_nearly_every_file_proves_something(outcomes: list[Outcome]) -> None:
    usable = [outcome for outcome in outcomes if not outcome.unusable]
    assert len(usable) >= 0.97 * COUNT, [outcome.unusable for outcome in outcomes if outcome.unusable]
    for decoder in DECODERS:
        assert sum(outcome.frames[decoder] for outcome in usable) > 100 * COUNT
    assert sum(outcome.encode.is_damaged for outcome in usable) > COUNT / 5
