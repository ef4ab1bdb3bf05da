"""What is thought of a stored row whose file was read by older rules, once the file has been looked at again."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..decoding.messages import DecodedVideo
from ..store.rows import OlderRow
from ..store.shards import NO_VIDEO

_SAME_SECONDS = 1e-3
"""Times are stored as float32, and containers count in milliseconds: less is no other time."""
_COUNTED = "its packets do not tell its frames, which older rules may have counted otherwise"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a row is what its file would give by the rules of today, as far as is seen without decoding it."""

    id: str
    decoder: str
    """The decoder that served it."""
    verdict: Literal["trusted", "untrusted", "unknown"]
    """unknown: its file cannot be asked."""
    reason: str = ""
    """Why it is not trusted."""


def verdict_of(row: OlderRow, now: DecodedVideo) -> Verdict:
    """What is thought of a row.

    Args:
        row: as it is stored.
        now: the ``forecast`` of its file.
    """
    if now.status == "failed":
        is_told = now.reason.startswith(NO_VIDEO)
        return Verdict(row.id, row.decoder, "untrusted" if is_told else "unknown", now.reason)
    why = _why_untrusted(row, now)
    return Verdict(row.id, row.decoder, "untrusted" if why else "trusted", why)


def _why_untrusted(row: OlderRow, now: DecodedVideo) -> str:
    # Where frames are counted, counting them again takes a decoding of the whole file, which is most of what extracting
    # it takes. But what PyAV counted is right where it is what the packets suggest.
    differs, is_guess = not _has_same_frames(row, now), now.status == "suspect" or len(now.frame_index) == 0
    reasons = (
        (row.decoder != "pyav" and bool(now.reason), f"{row.decoder}: {now.reason}"),
        (row.status == "ok" and now.status == "partial", "damaged, and every frame was taken for sound"),
        (differs and is_guess, _COUNTED),
        (differs, "its frames are named otherwise now"),
    )
    return next((why for applies, why in reasons if applies), "")


def _has_same_frames(row: OlderRow, now: DecodedVideo) -> bool:
    """Whether the frames of the row are those that would be chosen now, at the same times; of a partial one, some."""
    stored = np.isin(now.frame_index, row.frame_index)
    return (
        np.array_equal(now.frame_index[stored], row.frame_index)
        and (row.status != "ok" or bool(stored.all()))
        and np.allclose(now.frame_seconds[stored], row.frame_seconds, rtol=0, atol=_SAME_SECONDS)
    )
