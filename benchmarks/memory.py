"""Peak memory of the extracting process over a two-hour video at ``--fps 1``: ``python -m benchmarks.memory``.

The video is generated: 7,200 frames, which at the size of the model's input would take 1.08 GB if they were held. The
extraction runs in a process of its own on Linux, whose memory with the model loaded is taken off its peak; what the
decoding children take is not the parent's and is bounded apart.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from .record import keep

MAX_GIGABYTES = 1.5
HEIGHT, WIDTH = 144, 256

PROGRAM = """
import json, sys
from pathlib import Path
from tvr.data.base import load_dataset
from tvr.pipeline.encoders import clip
from tvr.pipeline.extract import extract
from tvr.pipeline.options import ExtractionOptions
from tvr.pipeline.sampling import Sampling
root, model, patches, workers = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
encoder = clip.load(model, None if model == "tvr-storyboard" else "random")
size = encoder.identity.preprocessing
options = ExtractionOptions(
    Sampling("fps", num_frames=100_000, fps=1.0),
    num_children=workers,
    frames_per_batch=encoder.frames_per_batch,
    patches_dtype=patches or None,
)
def gigabytes(what):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e9 for line in lines if line.startswith(what))
encoder.encode_frames(__import__("numpy").zeros((options.frames_per_batch, size.height, size.width, 3), "uint8"))
Path("/proc/self/clear_refs").write_text("5")  # the peak of loading the model is not that of the extraction
before = gigabytes("VmRSS")
summary = extract(load_dataset("folder", root, {}), encoder, options, root.parent / "store")
print(json.dumps({
    "frames": summary.frames,
    "frames_if_held_gigabytes": round(summary.frames * size.height * size.width * 3 / 1e9, 2),
    "with_model_gigabytes": round(before, 3),
    "peak_gigabytes": round(gigabytes("VmHWM"), 3),
    "seconds": round(summary.seconds["videos"], 1),
    "precision": encoder.identity.precision,
}))
"""


def main() -> None:
    """Generate the video, extract it, keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="ViT-B-32")
    parser.add_argument("--seconds", type=int, default=7200, help="length of the video")
    parser.add_argument("--videos", type=int, default=1, help="how many such videos")
    parser.add_argument("--patches", default="", help="float16 or int8: keep patches as well")
    parser.add_argument("--workers", type=int, default=2)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "videos"
        root.mkdir()
        for number in range(chosen.videos):
            _write_video(root / f"{number}.mp4", chosen.seconds)
        arguments = [str(root), chosen.model, chosen.patches, str(chosen.workers)]
        answer = subprocess.check_output([sys.executable, "-c", PROGRAM, *arguments], text=True)
    measured = json.loads(answer.splitlines()[-1])
    added = measured["peak_gigabytes"] - measured["with_model_gigabytes"]
    keep(
        "memory",
        {
            "model": chosen.model,
            "videos": chosen.videos,
            "video_seconds": chosen.seconds,
            "patches": chosen.patches or None,
            **measured,
            "beside_model_gigabytes": round(added, 3),
            "allowed_beside_model_gigabytes": MAX_GIGABYTES,
            "met": added < MAX_GIGABYTES,
        },
    )


def _write_video(path: Path, num_frames: int) -> None:
    """One frame a second: a slope that moves, so that no two frames are equal."""
    slope = np.add.outer(np.arange(HEIGHT), np.arange(WIDTH))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=1)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"preset": "ultrafast"}
        stream.codec_context.time_base = Fraction(1, 1)
        for number in range(num_frames):
            grey = ((slope + number) % 256).astype(np.uint8)
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(np.stack([grey] * 3, axis=2), format="rgb24"))
            )
        container.mux(stream.encode())


if __name__ == "__main__":
    main()
