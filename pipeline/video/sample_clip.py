"""A clip that tells whether it was decoded right."""

from fractions import Fraction
from pathlib import Path

import numpy as np


def write_sample(path: Path) -> None:
    """Eight frames of 64x64 pixels, H.264, each of one brightness: 20, 40, ... 160."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(8), options={"crf": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for brightness in range(20, 161, 20):
            picture = np.full((64, 64, 3), brightness, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
