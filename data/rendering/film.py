"""Turns a story into frames: where every shape is at every moment."""

import io
import math
from collections.abc import Iterator

import av
import numpy as np
from jaxtyping import UInt8

from .raster import Sprite, picture_of
from .world import Event, Motion, Point, Shape, Size, Story

Frames = UInt8[np.ndarray, "frame side side 3"]

RADII: dict[Size, float] = {"small": 0.1, "big": 0.19}
"""Radius of a shape at the size its caption names, as a share of the picture's side."""

EDGE = 0.22
"""Moving shapes set out and arrive this far from the picture's edge."""

TURNS_A_SECOND = 0.45
"""Quarter seconds between sampled frames turn a shape by 40 degrees, which no kind is symmetric to."""


def film(story: Story, side_pixels: int, fps: int) -> Frames:
    """The frames of a story, as many as its duration holds."""
    return np.stack(list(_pictures(story, side_pixels, fps)))


def sprites_at(event: Event, share: float) -> list[Sprite]:
    """The event's shapes when that share of its duration has passed."""
    return [
        _sprite(event, shape, place, share) for shape, place in zip(event.shapes, event.places, strict=True)
    ]


def _pictures(story: Story, side_pixels: int, fps: int) -> Iterator[UInt8[np.ndarray, "side side 3"]]:
    spans = story.spans()
    for number in range(round(story.seconds * fps)):
        seconds = number / fps
        index = next(i for i, (_, end) in enumerate(spans) if seconds < end)
        start, end = spans[index]
        sprites = sprites_at(story.events[index], (seconds - start) / (end - start))
        yield picture_of(story.background, sprites, side_pixels)


def _sprite(event: Event, shape: Shape, place: Point, share: float) -> Sprite:
    radians = 2 * math.pi * TURNS_A_SECOND * event.seconds * share if event.motion == "spin" else 0.0
    middle, radius = _middle(event.motion, place, share), _radius(event.motion, shape.size, share)
    return Sprite(shape.kind, shape.colour, middle, radius, radians)


def _middle(motion: Motion, place: Point, share: float) -> Point:
    forth, back = EDGE + (1 - 2 * EDGE) * share, 1 - EDGE - (1 - 2 * EDGE) * share
    paths: dict[Motion, Point] = {
        "right": (forth, place[1]),
        "left": (back, place[1]),
        "fall": (place[0], forth),
        "rise": (place[0], back),
    }
    return paths.get(motion, place)


def _radius(motion: Motion, size: Size, share: float) -> float:
    small, big = RADII["small"], RADII["big"]
    changing: dict[Motion, float] = {
        "grow": small + (big - small) * share,
        "shrink": big - (big - small) * share,
    }
    return changing.get(motion, RADII[size])


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
