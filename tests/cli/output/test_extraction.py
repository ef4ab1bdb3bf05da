"""What is said of the stills that an encoder was shown, and of the pace of a stage."""

from types import SimpleNamespace

import pytest
from tvr.cli import terminal
from tvr.cli.output import extraction
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


def pace_of_captions(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, workers: int = 0
) -> str:
    """What is said of captions, of which 120 take 60 seconds behind videos that took 1,000."""
    now = [0.0]
    for module in (terminal, extraction):  # not everybody's clock
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    with extraction_meters() as show:
        for seconds, progress in (
            (1000.0, Progress("videos", 10, 10, frames=100, workers=workers)),
            (1020.0, Progress("texts", 40, 200, workers=workers)),
            (1060.0, Progress("texts", 120, 200, workers=workers)),
        ):
            now[0] = seconds
            show(progress)
    return capsys.readouterr().err


def test_captions_have_a_clock_of_their_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = pace_of_captions(monkeypatch, capsys)
    assert "captions: 120 of 200 (2.0 captions/s), 0:00:40 left" in " ".join(said.split())


def test_workers_are_at_captions_from_the_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """At videos too, at the same time: the pace of one is that since both began."""
    assert "8.8 s/caption" in " ".join(pace_of_captions(monkeypatch, capsys, workers=2).split())
