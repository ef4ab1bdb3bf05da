"""Where the time of an extraction went, which stage held it up, and what would help."""

from collections.abc import Mapping
from dataclasses import dataclass

from .encoders.base import Precision

STAGES = ("decode", "resize", "encode", "write", "wait")
"""Of the seconds in a video shard's receipt: ``decode`` and ``resize`` summed over the decoding children, ``encode``
and ``write`` in the process that owns the features (writing beside the encoding of the next shard), ``wait`` while
that had no frames to encode."""

_IDLE_SHARE = 0.2
"""Children that rest for more than this share of the time were not what was waited for."""


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """The stage that held the run up."""

    stage: str
    advice: str
    """Which option would help."""


def shares(seconds: Mapping[str, float], num_children: int) -> dict[str, float]:
    """Of each stage the share of the time that it was busy: 1.0 is all of the run, on every child where these do it."""
    wall = max(seconds.get("wall", 0.0), 1e-9)
    available = {"decode": wall * num_children, "resize": wall * num_children}
    return {stage: seconds.get(stage, 0.0) / available.get(stage, wall) for stage in STAGES}


def bottleneck(
    seconds: Mapping[str, float], num_children: int, num_cores: int, precision: Precision
) -> Bottleneck:
    """What held a run up.

    Args:
        seconds: by stage, summed over its video shards.
        num_children: decoding processes.
        num_cores: of the machine.
        precision: of the encoder.
    """
    share = shares(seconds, num_children)
    if share["write"] > max(share["encode"], share["wait"]):
        return Bottleneck("writing", "put the store on a faster disk (--store)")
    if share["wait"] <= share["encode"]:
        return Bottleneck("encoding", _faster_encoding(precision))
    busy = "resizing" if share["resize"] > share["decode"] else "decoding"
    if share["decode"] + share["resize"] < 1 - _IDLE_SHARE:
        return Bottleneck(
            "reading",
            "the decoding processes rest (a short run is mostly their start): put the videos on a faster disk, or try "
            "more --decoding-processes",
        )
    if num_children < num_cores:
        return Bottleneck(busy, f"more --decoding-processes: {num_children} of {num_cores} cores decode")
    return Bottleneck(
        busy, "more machines (--shard i/n), or smaller copies of the videos with more key frames"
    )


def _faster_encoding(precision: Precision) -> str:
    if precision == "fp32":
        return "a GPU (--device cuda), or --precision bf16 where the processor multiplies it in hardware"
    return "a GPU where there is none (--device cuda), --compile, fewer --num-frames or more machines (--shard i/n)"
