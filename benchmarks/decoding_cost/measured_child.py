"""The process that is measured: ``python -m benchmarks.decoding_cost.measured_child``.

It imports whichever version of tvr its interpreter has, so it uses only what every version has. One line of JSON asks
for one clip, one answers. Its own processor time is read around the decoding, so starting up costs nothing.
"""

import json
import logging
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
from tvr.data.contracts.plug_ins import load_plug_in
from tvr.pipeline import preprocessing
from tvr.pipeline.decoding.decode_video import Watch, decode_video
from tvr.pipeline.decoding.messages import DecodedVideo, DecodeTask
from tvr.pipeline.decoding.shared_frames import FrameWriter, SharedFrames
from tvr.pipeline.preprocessing import Preprocessing
from tvr.pipeline.sampling import Sampling

from .measuring import PLAIN

SIDE = 224
PREPROCESSING = Preprocessing(SIDE, SIDE, "shortest", "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
MAX_ERROR_BYTES = 1 << 16


def main() -> None:
    """Answer what stdin asks for until it ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # a decoder that prints must not answer
    memory = SharedFrames()
    for line in sys.stdin:
        wanted = json.loads(line)
        measure = _plain if wanted["decoder"] == PLAIN else _tvr
        answers.write(json.dumps(measure(wanted, memory)) + "\n")
        answers.flush()


def _tvr(wanted: dict[str, Any], memory: SharedFrames) -> dict[str, Any]:
    """Seconds, and what came, by tvr's own way from a file to frames at the size of the model's input."""
    task = DecodeTask("a", Path(wanted["path"]), Sampling("uniform", wanted["num_frames"]), PREPROCESSING)
    # Earlier versions lack some of these settings, and each resamples as it does in a new store.
    if hasattr(task, "resize"):
        task = replace(task, resize=preprocessing.usual_resize())
    settings = [getattr(task, name) for name in ("pixels", "resize") if hasattr(task, name)]
    writer = FrameWriter(memory.descriptor, PREPROCESSING, task.frames_per_chunk, _keep_nothing, *settings)
    # New ones each time: a decoder keeps the file that it looked at last open.
    names = dict.fromkeys((wanted["decoder"], "pyav"))
    decoders = [(name, load_plug_in("tvr.pipeline.decoders", name).Decoder()) for name in names]
    started = time.process_time()
    video = decode_video(task, decoders, Watch(_announce_to_nobody, _taken_errors), writer)
    return {"seconds": time.process_time() - started, **_described(video)}


def _described(video: DecodedVideo) -> dict[str, Any]:
    return {
        "status": video.status,
        "reason": video.reason,
        "decoder": video.decoder,
        "indices": video.frame_index.tolist(),
    }


def _plain(wanted: dict[str, Any], memory: SharedFrames) -> dict[str, Any]:
    """Seconds of decoding the whole file once on one thread and converting the same frames, as anybody would."""
    logging.getLogger("libav").setLevel(logging.CRITICAL)
    indices = set(wanted["indices"])
    kept: list[np.ndarray] = []
    started = time.process_time()
    with av.open(str(wanted["path"]), "r") as container:
        stream: Any = container.streams.best("video")
        stream.codec_context.thread_type = "NONE"
        stream.codec_context.thread_count = 1
        for number, frame in enumerate(container.decode(stream)):
            if number in indices:
                kept.append(frame.to_ndarray(format="rgb24"))
    return {"seconds": time.process_time() - started, "frames": len(kept)}


def _announce_to_nobody(duration_seconds: float) -> None:
    """No limit of time is measured here."""


def _keep_nothing(number: int, num_frames: int) -> None:
    """The frames have been resized, which is what counts."""


def _taken_errors() -> str:
    """What was written to stderr, which is a file here as it is in a decoding child, since this was last asked."""
    if not os.lseek(2, 0, os.SEEK_CUR):
        return ""
    os.lseek(2, 0, os.SEEK_SET)
    text = os.read(2, MAX_ERROR_BYTES).decode(errors="replace")
    os.ftruncate(2, 0)
    os.lseek(2, 0, os.SEEK_SET)
    return "\n".join(line for line in text.splitlines() if line.strip() and "[swscaler @" not in line)


if __name__ == "__main__":
    main()
