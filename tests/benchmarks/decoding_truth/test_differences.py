"""Decoders that lie are caught, and the plainest file that shows it is found."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tvr.pipeline.decoding.pool import DecodedVideo, DecoderPool, DecodeTask

from benchmarks.decoding_truth.differences import Outcome, check
from benchmarks.decoding_truth.encodes import Encode
from benchmarks.decoding_truth.shrinking import shrunk
from benchmarks.decoding_truth.table import counted, has_faults, lines

PLAIN = Encode(frames=24, b_frames=2)


class Liar:
    """Answers as PyAV does, and then changes every answer."""

    def __init__(self, lie: str, pool: DecoderPool) -> None:
        self._lie, self._pool = lie, pool
        self._told = 0

    def decode(self, tasks: Iterable[DecodeTask]) -> Iterator[DecodedVideo]:
        for video in self._pool.decode(tasks):
            self._told += 1
            yield self._changed(video)

    def _changed(self, video: DecodedVideo) -> DecodedVideo:
        match self._lie:
            case "by one frame":
                return replace(video, frames=np.roll(video.frames, 1, axis=0))
            case "turned":
                return replace(video, frames=np.rot90(video.frames, 1, axes=(1, 2)).copy())
            case "late":
                return replace(video, frame_seconds=video.frame_seconds + np.float32(0.04))
            case "other frames":
                return replace(
                    video,
                    frames=video.frames[:-1],
                    frame_index=video.frame_index[:-1],
                    frame_seconds=video.frame_seconds[:-1],
                )
            case "partial":
                return replace(video, status="partial", reason="a hair in the gate")
            case "moody" if self._told > 8:
                return replace(video, status="failed", reason="enough", frames=video.frames[:0])
            case _:
                return video


@pytest.fixture(scope="module")
def pool() -> Iterator[DecoderPool]:
    with DecoderPool(1, "pyav") as opened:
        yield opened


def kinds(outcome: Outcome) -> set[str]:
    return {finding.kind for finding in outcome.findings}


def test_an_honest_decoder_has_no_finding(tmp_path: Path, pool: DecoderPool) -> None:
    outcome = check(PLAIN, tmp_path, {"honest": Liar("", pool)})
    assert (outcome.unusable, list(outcome.findings)) == ("", [])
    assert outcome.frames["honest"] > 60
    assert not has_faults(counted([outcome], ["honest"]))


@pytest.mark.parametrize(
    ("lie", "kind", "words"),
    [
        ("by one frame", "wrong", "where frame_index says"),
        ("turned", "wrong", "not upright"),
        ("late", "wrong", "times up to 0.040 s off"),
        ("other frames", "wrong", "instead of"),
        ("partial", "partial", "a hair in the gate"),
        ("moody", "order", "enough"),
    ],
)
def test_a_decoder_that_lies_fails(
    tmp_path: Path, pool: DecoderPool, lie: str, kind: str, words: str
) -> None:
    outcome = check(PLAIN, tmp_path, {"liar": Liar(lie, pool)})
    assert kind in kinds(outcome)
    assert any(words in finding.words for finding in outcome.findings)
    rows = counted([outcome], ["liar"])
    assert has_faults(rows)
    assert max(map(len, lines(rows))) <= 100


def test_damage_that_is_passed_as_sound_fails(tmp_path: Path, pool: DecoderPool) -> None:
    class Careless(Liar):
        def _changed(self, video: DecodedVideo) -> DecodedVideo:
            frames = video.frames.copy()
            frames[:, :16] = 128
            return replace(video, frames=frames, status="ok", reason="")

    encode = replace(PLAIN, damage="zeroed", seed=1)
    assert kinds(check(encode, tmp_path, {"careless": Careless("", pool)})) == {"silent"}


def test_what_no_encoder_writes_proves_nothing(tmp_path: Path, pool: DecoderPool) -> None:
    outcome = check(replace(PLAIN, width=97), tmp_path, {"honest": Liar("", pool)})
    assert "Error" in outcome.unusable
    assert not outcome.findings


def test_the_plainest_encode_that_fails_is_found() -> None:
    encode = Encode(
        codec="libx265",
        container="mkv",
        frames=75,
        group_size=25,
        open_group=True,
        b_frames=8,
        rotation=90,
        rate="12",
        damage="cut",
        seed=7,
    )
    tried: list[Encode] = []

    def fails(candidate: Encode) -> bool:
        tried.append(candidate)
        return candidate.open_group and candidate.b_frames > 1 and candidate.frames > 10

    plain = shrunk(encode, fails)
    assert plain == Encode(codec="libx265", frames=11, open_group=True, b_frames=2, seed=7)
    assert len(tried) <= 60


def test_nothing_plainer_is_found_where_nothing_plainer_fails() -> None:
    encode = Encode(frames=30, rotation=90)
    assert shrunk(encode, lambda candidate: False) == encode
