from typing import Any

import numpy as np
import pytest
from tvr.pipeline.decoding.messages import DecodedVideo
from tvr.pipeline.store.rows import OlderRow
from tvr.pipeline.trust.verdicts import verdict_of

INDICES, SECONDS = [1, 3, 5], [0.125, 0.375, 0.625]


def row(**changes: Any) -> OlderRow:
    values: dict[str, Any] = {
        "status": "ok",
        "decoder": "decord",
        "index": INDICES,
        "seconds": SECONDS,
    } | changes
    seconds, index = np.array(values["seconds"], np.float32), np.array(values["index"], np.int32)
    return OlderRow("v", "video-00000-of-00001.h5", values["status"], values["decoder"], seconds, index)


def now(**changes: Any) -> DecodedVideo:
    values: dict[str, Any] = {"status": "ok", "reason": "", "index": INDICES, "seconds": SECONDS} | changes
    return DecodedVideo(
        id="v",
        frames=np.zeros((0, 1, 1, 3), np.uint8),
        num_chunks=0,
        frame_seconds=np.array(values["seconds"], np.float32),
        frame_index=np.array(values["index"], np.int32),
        status=values["status"],
        reason=values["reason"],
        decoder="",
        decode_seconds=0.0,
    )


@pytest.mark.parametrize(
    ("stored", "today"),
    [
        (row(), now()),
        (row(decoder="pyav"), now(reason="does not mirror")),  # PyAV served it then as it would now
        (row(seconds=[0.1251, 0.3749, 0.625]), now()),  # written in milliseconds, read in ticks
        (row(status="partial", index=[1, 5], seconds=[0.125, 0.625]), now()),
        (row(status="partial", decoder="pyav"), now(status="partial", reason="the file breaks off")),
        (row(decoder="pyav"), now(status="suspect", reason="not trusted to seek in mpeg4 in avi")),
    ],
)
def test_what_is_as_it_would_be_now_is_trusted(stored: OlderRow, today: DecodedVideo) -> None:
    verdict = verdict_of(stored, today)
    assert (verdict.id, verdict.verdict, verdict.reason) == ("v", "trusted", "")


@pytest.mark.parametrize(
    ("stored", "today", "reason"),
    [
        (row(), now(reason="does not mirror"), "decord: does not mirror"),
        (row(decoder="torchcodec"), now(reason="does not mirror"), "torchcodec: does not mirror"),
        (row(decoder="pyav"), now(status="suspect", index=[], seconds=[]), "packets do not tell its frames"),
        (row(decoder="pyav"), now(status="suspect", index=[1, 3, 6]), "packets do not tell its frames"),
        (row(), now(status="suspect", reason="not trusted to seek"), "decord: not trusted to seek"),
        (
            row(status="partial"),
            now(status="partial", index=[], seconds=[]),
            "packets do not tell its frames",
        ),
        (row(decoder="pyav"), now(status="partial", reason="cut off"), "damaged, and every frame"),
        (row(), now(index=[1, 3, 6]), "named otherwise"),
        (row(), now(index=[1, 3, 5, 7], seconds=[*SECONDS, 0.875]), "named otherwise"),
        (row(), now(seconds=[0.125, 0.375, 0.63]), "named otherwise"),
        (row(index=[1, 3, 5, 60], seconds=[*SECONDS, 2.0]), now(), "named otherwise"),
        (row(status="partial", index=[2], seconds=[0.25]), now(), "named otherwise"),
    ],
)
def test_what_would_be_otherwise_now_is_untrusted(stored: OlderRow, today: DecodedVideo, reason: str) -> None:
    verdict = verdict_of(stored, today)
    assert verdict.verdict == "untrusted"
    assert reason in verdict.reason


def test_of_a_file_that_cannot_be_read_nothing_is_known() -> None:
    verdict = verdict_of(
        row(), now(status="failed", reason="not a readable video file", index=[], seconds=[])
    )
    assert (verdict.verdict, verdict.reason) == ("unknown", "not a readable video file")


def test_a_file_that_is_known_to_hold_no_video_is_untrusted() -> None:
    reason = "no video stream (only audio and a cover picture)"
    verdict = verdict_of(row(), now(status="failed", reason=reason, index=[], seconds=[]))
    assert (verdict.verdict, verdict.reason) == ("untrusted", reason)
