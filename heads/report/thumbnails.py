"""A few small frames of a video, for the eye."""

from collections.abc import Iterable, Mapping

import numpy as np
from jaxtyping import UInt8

from ...data.base import Video
from ...data.contracts.file_names import file_name
from ...pipeline.decoding.messages import DecodeTask
from ...pipeline.decoding.pool import DecoderPool
from ...pipeline.preprocessing import Preprocessing, usual_resize
from ...pipeline.sampling import Sampling

FRAMES = Sampling(policy="uniform", num_frames=4)
SIZE = Preprocessing(
    height=90,
    width=120,
    resize_mode="longest",
    interpolation="bilinear",
    mean=(0.0, 0.0, 0.0),
    std=(1.0, 1.0, 1.0),
)


def thumbnails(
    videos: Mapping[str, Video], wanted: Iterable[str]
) -> dict[str, UInt8[np.ndarray, "frame height width 3"]]:
    """Frames of the wanted videos that are there and can be decoded, by id."""
    tasks = [_task(videos[i]) for i in dict.fromkeys(wanted) if i in videos and videos[i].path is not None]
    with DecoderPool(num_children=2) as pool:
        return {video.id: video.frames for video in pool.decode(tasks) if len(video.frames)}


def thumbnail_name(video_id: str) -> str:
    """The picture's file: bounded, and of no other video, whatever the id holds."""
    return f"video-{file_name(video_id)}.png"


def _task(video: Video) -> DecodeTask:
    assert video.path is not None, "only videos that are there are decoded"
    return DecodeTask(
        video.id, video.path, FRAMES, SIZE, video.start_seconds, video.end_seconds, resize=usual_resize()
    )
