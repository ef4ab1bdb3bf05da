"""One frame of a video, as a decoding process is asked for it: the picture beside a hit, or of a moment."""

import numpy as np

from ...data.sources.video_file import VideoFile
from ...pipeline.decoding.messages import DecodeTask
from ...pipeline.preprocessing import Preprocessing, usual_resize
from ...pipeline.sampling import Sampling

AROUND_SECONDS = 1e-3
"""Before and after the time of a frame, in which it begins, and no other of up to 500 a second."""
_ONE = Sampling(policy="uniform", num_frames=1)


def frame_task(name: str, path: VideoFile, seconds: float, size: Preprocessing) -> DecodeTask:
    """Asks for the frame that begins at that time, as a store has it; where none does, for the one on display.

    Args:
        name: of the task.
        path: the video's file.
        seconds: when, counted from the first frame of the file.
        size: of the picture.
    """
    around = AROUND_SECONDS + float(np.spacing(np.float32(seconds)))  # stores keep times in float32
    return DecodeTask(
        name, path, _ONE, size, max(0.0, seconds - around), seconds + around, resize=usual_resize()
    )


def picture_size(height: int, width: int) -> Preprocessing:
    """The whole picture at a size that has its proportions, for the eye."""
    return Preprocessing(height, width, "squash", "bilinear", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
