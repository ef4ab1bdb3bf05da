"""What is said of the stills that an encoder was shown."""

import pytest
from tvr.cli.output.extraction import BLIND, extraction_meters
from tvr.pipeline.probe.pairs import ProbeResult
from tvr.pipeline.progress import Progress


def said_of(told_apart: int, capsys: pytest.CaptureFixture[str], *, is_random: bool = False) -> str:
    result = ProbeResult(told_apart, 496, 325, {"colours": 28, "shapes": 20}, 28)
    with extraction_meters(is_random=is_random) as show:
        show(Progress("probe", done=1, total=1, probe=result))
    return " ".join(capsys.readouterr().err.split())


def test_what_an_encoder_sees_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    said = said_of(461, capsys)
    assert "encoder: tells 93 % of 496 pairs of drawn stills apart (chance 50" in said
    assert "colours 100, shapes 71" in said
    assert "warning" not in said


def test_an_encoder_that_sees_nothing_is_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    assert f"warning: {BLIND}" in said_of(325, capsys)


def test_of_one_that_was_never_trained_nobody_is_warned_twice(capsys: pytest.CaptureFixture[str]) -> None:
    assert "warning" not in said_of(200, capsys, is_random=True)
