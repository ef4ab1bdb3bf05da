"""Real clips in codecs whose pictures refer to pictures behind the next key frame."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.video.frame import PictureType

WIDTH, HEIGHT, RATE, SECONDS = 640, 360, 25, 10


@dataclass(frozen=True)
class Encoding:
    """An encoder, its options and where its packets go."""

    encoder: str
    suffix: str
    options: dict[str, str]


ENCODINGS = {
    "H.264, x264 default": Encoding("libx264", ".mp4", {}),
    "HEVC, x265 default (open GOP)": Encoding(
        "libx265", ".mp4", {"x265-params": "log-level=error:pools=none"}
    ),
    "MPEG-4 ASP, B-frames": Encoding("mpeg4", ".mp4", {"bf": "2", "g": "60", "b": "1500000"}),
    "MPEG-2, B-frames, MKV": Encoding("mpeg2video", ".mkv", {"bf": "2", "g": "15", "b": "3000000"}),
    "MPEG-2, B-frames, TS": Encoding("mpeg2video", ".ts", {"bf": "2", "g": "15", "b": "3000000"}),
}


def re_encode(clip: Path, encoding: Encoding, target: Path) -> None:
    """The clip's pictures, again from its beginning when it ends, as ten seconds of 640x360 at 25 frames a second."""
    with av.open(str(target), "w") as output:
        stream: Any = output.add_stream(encoding.encoder, rate=RATE, options=encoding.options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        number = 0
        while number < RATE * SECONDS:
            with av.open(str(clip)) as source:
                for frame in source.decode(video=0):
                    picture = frame.reformat(WIDTH, HEIGHT, "yuv420p")
                    # Each in its own type and time: the source's would be the encoder's orders.
                    picture.pict_type = PictureType.NONE
                    picture.pts, picture.time_base = number, Fraction(1, RATE)
                    output.mux(stream.encode(picture))
                    number += 1
                    if number == RATE * SECONDS:
                        break
        output.mux(stream.encode())
