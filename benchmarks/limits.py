"""What stage one costs beside what this machine can do: decoding, resampling, and both on their way to the encoder.

``python -m benchmarks.limits --videos FOLDER``. Everything is measured in turns, in seconds of processor time on one
thread, so that what else the machine does meets all of it; ratios are of medians.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import av
import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from tvr.data.contracts.errors import UsageError
from tvr.pipeline.decoding.pool import DecoderPool, DecodeTask
from tvr.pipeline.preprocessing import Preprocessing, Resize, resize, usual_resize
from tvr.pipeline.sampling import Sampling

from .decoding_cost.measuring import PLAIN, Cost, costs_of, processes
from .record import keep

SIDE = 224
PREPROCESSING = Preprocessing(SIDE, SIDE, "shortest", "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
NOW = "now"
SUFFIXES = (".mp4", ".mov", ".mkv", ".webm")
MOST_OF_PLAIN = {12: 1.2, 60: 1.4}
"""By number of frames: what decoding and resampling may take, as a multiple of a plain decode without resampling."""
MOST_OF_TORCH = 1.2
"""What resampling may take at 640x360 and 1920x1080, as a multiple of torch's."""
HEIGHTS = {360: 640, 1080: 1920, 2160: 3840}
WITH_GOAL = (360, 1080)


def main() -> None:
    """Measure, print and keep every row; ends with 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=Path, nargs="+", required=True, help="folders of clips")
    parser.add_argument("--clips", type=int, default=84, help="at most so many of them, spread")
    parser.add_argument("--num-frames", type=int, nargs="+", default=[12, 24, 60])
    parser.add_argument("--decoder", nargs="+", default=["pyav", "decord"])
    parser.add_argument("--repeats", type=int, default=3)
    chosen = parser.parse_args()
    every = sorted(path for folder in chosen.videos for path in folder.iterdir() if path.suffix in SUFFIXES)
    if not every:
        raise UsageError(f"--videos {' '.join(map(str, chosen.videos))} hold no {', '.join(SUFFIXES)}")
    clips = every[:: max(1, len(every) // chosen.clips)][: chosen.clips]
    decoding = decoding_rows(clips, chosen.decoder, chosen.num_frames, chosen.repeats)
    resizing = resizing_rows(clips, chosen.repeats)
    rows = [*decoding, *resizing, *hand_over_rows(clips, chosen.repeats)]
    goals = [row for row in rows if "goal" in row]
    met = all(row["ratio"] <= row["goal"] for row in goals)
    keep("limits", {"clips": len(clips), "repeats": chosen.repeats, "rows": rows, "met": met})
    sys.exit(0 if met else 1)


def decoding_rows(
    clips: Sequence[Path], decoders: Sequence[str], numbers: Sequence[int], repeats: int
) -> list[dict[str, Any]]:
    """From a file to frames at the size of the model's input, beside a plain decode that only keeps the same frames."""
    questions = [(decoder, number) for decoder in decoders for number in numbers]
    with processes({NOW: sys.executable}) as versions:
        costs = [costs_of(path, versions, questions, repeats) for path in clips]
    return [_decoding_row(question, [each[question] for each in costs]) for question in questions]


def _decoding_row(question: tuple[str, int], costs: Sequence[Cost]) -> dict[str, Any]:
    decoder, number = question
    ours, plain = (sum(cost.typical(who) for cost in costs) for who in (NOW, PLAIN))
    row: dict[str, Any] = {
        "what": f"decode and resize, {number} frames, {decoder}",
        "ms_a_clip": round(1000 * ours / len(costs), 1),
        "plain_decode_ms_a_clip": round(1000 * plain / len(costs), 1),
        "ratio": round(ours / plain, 3),
    }
    return row | ({"goal": MOST_OF_PLAIN[number]} if decoder == "pyav" and number in MOST_OF_PLAIN else {})


def resizing_rows(clips: Sequence[Path], repeats: int) -> list[dict[str, Any]]:
    """A frame of real clips at several sizes, resampled in each way, beside torch's uint8 resampling on one thread."""
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    frames = [_frame_of(path) for path in clips[:: max(1, len(clips) // 6)]]
    for height, width in HEIGHTS.items():
        scaled = [np.asarray(Image.fromarray(frame).resize((width, height))) for frame in frames]
        ways = {way: _resampler(way) for way in dict.fromkeys(("exact", usual_resize()))}
        taken = _in_turns({**ways, "torch": by_torch}, scaled, 10 * repeats)
        apart = np.stack([np.abs(by_torch(frame).astype(int) - ways["exact"](frame)) for frame in scaled])
        for way, resampled in ways.items():
            found = np.stack(
                [np.abs(resampled(frame).astype(int) - ways["exact"](frame)) for frame in scaled]
            )
            row = {
                "what": f"resize of {width}x{height} to {SIDE}, {way}",
                "ms": round(1000 * taken[way], 3),
                "torch_ms": round(1000 * taken["torch"], 3),
                "ratio": round(taken[way] / taken["torch"], 3),
                "largest_difference": int(found.max()),
                "mean_difference": round(float(found.mean()), 5),
                "torch_mean_difference": round(float(apart.mean()), 5),
            }
            is_goal = way == "fast" and height in WITH_GOAL
            rows.append(row | ({"goal": MOST_OF_TORCH} if is_goal else {}))
    return rows


def hand_over_rows(clips: Sequence[Path], repeats: int) -> list[dict[str, Any]]:
    """Wall-clock time of a clip from its file to the parent's memory, by one child that runs already: with each way of
    resampling, as a multiple of the usual one."""
    ways = tuple(dict.fromkeys((usual_resize(), "exact")))
    taken: dict[str, list[float]] = {way: [] for way in ways}
    with DecoderPool(1) as pool:
        for repeat in range(repeats + 1):
            for way in ways[:: -1 if repeat % 2 else 1]:
                tasks = [
                    DecodeTask(str(path), path, Sampling("uniform", 12), PREPROCESSING, resize=way)
                    for path in clips
                ]
                started = time.perf_counter()
                assert all(video.status == "ok" for video in pool.decode(tasks))
                taken[way].append(time.perf_counter() - started)
    seconds = {way: median(each[1:]) for way, each in taken.items()}  # the first turn starts the child
    return [
        {
            "what": f"file to the parent's memory, 12 frames, one child, {way}",
            "ms_a_clip": round(1000 * seconds[way] / len(clips), 1),
            "ratio": round(seconds[way] / seconds[ways[0]], 3),
        }
        for way in ways
    ]


def _in_turns(
    functions: Mapping[str, Callable[[np.ndarray], object]], frames: Sequence[np.ndarray], repeats: int
) -> dict[str, float]:
    """The median seconds of processor time that each function takes for a frame."""
    taken: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats):
        for frame in frames:
            for name, function in functions.items():
                started = time.process_time()
                function(frame)
                taken[name].append(time.process_time() - started)
    return {name: median(seconds) for name, seconds in taken.items()}


def _resampler(way: Resize) -> Callable[[np.ndarray], np.ndarray]:
    return lambda frame: resize(frame, PREPROCESSING, way=way)


def by_torch(frame: UInt8[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "side side 3"]:
    """The whole frame scaled by torch, and its centre."""
    width = int(SIDE * frame.shape[1] / frame.shape[0])
    left = round((width - SIDE) / 2)
    pixels = torch.from_numpy(np.require(frame, requirements="W")).permute(2, 0, 1)[None]
    scaled = torch.nn.functional.interpolate(pixels, (SIDE, width), mode="bicubic", antialias=True)
    return scaled[0, :, :, left : left + SIDE].permute(1, 2, 0).contiguous().numpy()


def _frame_of(path: Path) -> UInt8[np.ndarray, "height width 3"]:
    """The first frame of a clip."""
    with av.open(str(path)) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")


if __name__ == "__main__":
    main()
