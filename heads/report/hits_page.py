"""What searches found, as one HTML file to look at: the best frame of each video beside its path and captions."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from ...pipeline.decoding.messages import DecodeTask
from ...pipeline.decoding.pool import DecoderPool
from ..search.answers import FoundVideo
from ..search.frame_tasks import frame_task
from .escaping import in_html
from .render import document
from .thumbnails import SIZE

CAPTIONS_SHOWN = 3

_Frames = Mapping[tuple[str, float], UInt8[np.ndarray, "height width 3"]]


@dataclass(frozen=True, slots=True)
class HitsSection:
    """What one query found."""

    query: str
    remark: str
    """What is said of it below its heading; empty: nothing."""
    found: Sequence[FoundVideo]
    """The best first."""


def hits_page(query: str, remark: str, found: Sequence[FoundVideo]) -> str:
    """The page of one query.

    Args:
        query: what was looked for.
        remark: where, by which head, and what a reader must know of it.
        found: the hits, best first.
    """
    return document(query, f"<p>{in_html(remark)}</p>{_items(found, best_frames(found), 'h2')}")


def hits_html(query: str, remark: str, found: Sequence[FoundVideo]) -> str:
    """The same as a part of another page, such as a notebook."""
    said = f"<p>{in_html(remark)}</p>" if remark else ""
    columns = "display:grid;grid-template-columns:repeat(auto-fill,minmax(200px,1fr));gap:0 1.2em"
    items = _items(found, best_frames(found), "h4").replace(
        '<div class="hits">', f'<div style="{columns}">', 1
    )
    return f"<p><b>{in_html(query)}</b></p>{said}{items}"


def searches_page(title: str, remarks: Sequence[str], searches: Sequence[HitsSection]) -> str:
    """One page of several queries, a section each.

    Args:
        title: of the page.
        remarks: what holds for all of them, a paragraph each.
        searches: in the order of the sections.
    """
    frames = best_frames([hit for search in searches for hit in search.found])
    body = "".join(f"<p>{in_html(remark)}</p>" for remark in remarks)
    for search in searches:
        remark = f"<p>{in_html(search.remark)}</p>" if search.remark else ""
        items = _items(search.found, frames, "h3")
        body += f"\n<section><h2>{in_html(search.query)}</h2>{remark}{items}</section>"
    return document(title, body)


def best_frames(found: Iterable[FoundVideo]) -> dict[tuple[str, float], UInt8[np.ndarray, "height width 3"]]:
    """The best frame of each hit whose file is there and can be decoded, by the video's id and the frame's seconds;
    what several queries found at one time is decoded once."""
    hits = list({(hit.video_id, hit.moment.frame_seconds): hit for hit in found}.items())
    tasks = [task for number, (_, hit) in enumerate(hits) if (task := _task(str(number), hit)) is not None]
    if not tasks:
        return {}
    with DecoderPool(num_children=min(2, len(tasks))) as pool:
        return {hits[int(one.id)][0]: one.frames[0] for one in pool.decode(tasks) if len(one.frames)}


def _task(name: str, hit: FoundVideo) -> DecodeTask | None:
    if hit.path is None or (isinstance(hit.path, Path) and not hit.path.is_file()):
        return None
    return frame_task(name, hit.path, hit.moment.frame_seconds, SIZE)


def _items(found: Sequence[FoundVideo], frames: _Frames, heading: str) -> str:
    items = "".join(_item(rank, hit, frames, heading) for rank, hit in enumerate(found, start=1))
    return f'<div class="hits">{items}</div>'


def _item(rank: int, hit: FoundVideo, frames: _Frames, heading: str) -> str:
    picture = "<p>no picture: the file is not there, or shows none at that time</p>"
    frame = frames.get((hit.video_id, hit.moment.frame_seconds))
    if frame is not None:
        alt = in_html(f"{hit.video_id} at {hit.moment.frame_seconds:.1f} s")
        picture = f'<img src="data:image/png;base64,{_png(frame)}" alt="{alt}">'
    captions = "".join(f"<li>{in_html(text)}</li>" for text in hit.captions[:CAPTIONS_SHOWN])
    more = len(hit.captions) - CAPTIONS_SHOWN
    captions += f"<li>and {more:,} more</li>" if more > 0 else ""
    place = in_html(str(hit.path)) if hit.path else "its file is not known here"
    return (
        f"<article><{heading}>{rank}. {in_html(hit.video_id)}</{heading}>{picture}"
        f"<p>score {hit.score:.3f}; {hit.moment}<br><code>{place}</code></p>"
        f"{f'<ul>{captions}</ul>' if captions else ''}</article>"
    )


def _png(frame: UInt8[np.ndarray, "height width 3"]) -> str:
    held = BytesIO()
    Image.fromarray(frame).save(held, "PNG")
    return base64.b64encode(held.getvalue()).decode()
