"""Makes an H.264 MP4 file of frames, the same bytes every time on one machine."""

import io

import av
import numpy as np
from jaxtyping import UInt8

X264 = {"preset": "superfast", "tune": "animation", "crf": "17", "bf": "0"}
"""Nearly lossless at this picture size. Slower presets weigh blocks by what refers to them (mbtree), and with that
x264 writes other bytes now and then on processors with AVX-512."""


def mp4_bytes(frames: UInt8[np.ndarray, "frame height width 3"], fps: int) -> bytes:
    """The contents of an MP4 file. Height and width must be even, as H.264 with 4:2:0 colour has them."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fps, options=X264)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        # Several threads would cut the frames differently on machines with different numbers of cores.
        stream.codec_context.thread_count = 1
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return file.getvalue()
