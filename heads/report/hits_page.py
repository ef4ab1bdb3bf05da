"""What a search found, as one HTML file to look at: the best frame of each video beside its path and captions."""

import base64
from collections.abc import Mapping, Sequence
from io import BytesIO

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from ...pipeline.decoding.messages import DecodeTask
from ...pipeline.decoding.pool import DecoderPool
from ...pipeline.sampling import Sampling
from ..search.answers import FoundVideo
from .escaping import in_html
from .render import document
from .thumbnails import SIZE

ONE_FRAME = Sampling(policy="uniform", num_frames=1)
AROUND = 1e-3
"""Seconds before and after the best frame's time in which it begins, and no other of up to 500 a second."""
CAPTIONS_SHOWN = 3


def hits_page(query: str, remark: str, found: Sequence[FoundVideo]) -> str:
    """The page.

    Args:
        query: what was looked for.
        remark: where, by which head, and what a reader must know of it.
        found: the hits, best first.
    """
    frames = best_frames(found)
    items = "".join(_item(rank, hit, frames) for rank, hit in enumerate(found, start=1))
    return document(query, f"<p>{in_html(remark)}</p>{items}")


def best_frames(found: Sequence[FoundVideo]) -> dict[str, UInt8[np.ndarray, "height width 3"]]:
    """The best frame of each hit whose file is there and can be decoded, by the video's id."""
    tasks = [task for hit in found if (task := _task(hit)) is not None]
    if not tasks:
        return {}
    with DecoderPool(num_children=min(2, len(tasks))) as pool:
        return {video.id: video.frames[0] for video in pool.decode(tasks) if len(video.frames)}


def _task(hit: FoundVideo) -> DecodeTask | None:
    if hit.path is None or not hit.path.is_file():
        return None
    at = hit.moment.frame_seconds
    around = AROUND + float(np.spacing(np.float32(at)))  # stores keep times in float32
    return DecodeTask(hit.video_id, hit.path, ONE_FRAME, SIZE, max(0.0, at - around), at + around)


def _item(rank: int, hit: FoundVideo, frames: Mapping[str, UInt8[np.ndarray, "height width 3"]]) -> str:
    picture = "<p>no picture: the file is not there, or shows none at that time</p>"
    if hit.video_id in frames:
        alt = in_html(f"{hit.video_id} at {hit.moment.frame_seconds:.1f} s")
        picture = f'<img src="data:image/png;base64,{_png(frames[hit.video_id])}" alt="{alt}">'
    captions = "".join(f"<li>{in_html(text)}</li>" for text in hit.captions[:CAPTIONS_SHOWN])
    more = len(hit.captions) - CAPTIONS_SHOWN
    captions += f"<li>and {more:,} more</li>" if more > 0 else ""
    place = in_html(str(hit.path)) if hit.path else "its file is not known here"
    return (
        f"<h2>{rank}. {in_html(hit.video_id)}</h2>{picture}"
        f"<p>score {hit.score:.3f}; {hit.moment}<br><code>{place}</code></p><ul>{captions}</ul>"
    )


def _png(frame: UInt8[np.ndarray, "height width 3"]) -> str:
    held = BytesIO()
    Image.fromarray(frame).save(held, "PNG")
    return base64.b64encode(held.getvalue()).decode()
