"""How long the videos of a data set are, from the headers of a few of its files.

The files are opened in decoding children: a file from anywhere can crash whoever opens it.
"""

from collections.abc import Sequence

from ...data.contracts.byte_source import look_at
from ...data.sources.video_file import VideoFile
from ..preprocessing import Preprocessing
from ..sampling import Sampling
from .messages import DecodeTask
from .pool import DecoderPool

_SAMPLED = 12
_CHILDREN = 2
_PATIENCE_SECONDS = 10.0
_STILL_BYTES_PER_SECOND = 8_000
"""What a file of fewer bytes a second shows hardly moves, and is decoded at once however long it is."""
_NO_PICTURE = Preprocessing(1, 1, "squash", "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def usual_seconds(files: Sequence[VideoFile], short_seconds: float) -> float:
    """The mean duration of some files, spread over these, as their headers claim it.

    Args:
        files: in an order that is the same for every process that asks.
        short_seconds: where the sizes of the files say that they take less than that, none is opened.

    Returns:
        Seconds; 0 where the files are short, or none of those that were opened says it.
    """
    sample = files[:: max(1, -(-len(files) // _SAMPLED))]
    if sum(map(_size, sample)) <= len(sample) * short_seconds * _STILL_BYTES_PER_SECOND:
        return 0.0
    tasks = [
        DecodeTask(str(number), file, Sampling(), _NO_PICTURE, header_only=True)
        for number, file in enumerate(sample)
    ]
    with DecoderPool(_CHILDREN, "pyav", _PATIENCE_SECONDS) as pool:
        claims = [float(video.frame_seconds[0]) for video in pool.decode(tasks) if video.status == "ok"]
    return sum(claims) / len(claims) if claims else 0.0


def _size(file: VideoFile) -> int:
    """Bytes of a file; 0 where it is not to be had: why, is found out when its video is decoded."""
    try:
        return look_at(file).num_bytes
    except OSError:
        return 0
