"""The files of a generated set: what each holds, and how it is written whole or not at all."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..base import Protocol
from .captions import Telling, tellings
from .twins import Entry
from .world import Event

MANIFEST = "storyboard.json"
"""What was asked for: version, seed, numbers of videos, picture size and frame rate."""
VIDEOS = "videos.jsonl"
"""One line a video: its file, its events with their exact spans, its twins."""


def captions_file(protocol: Protocol) -> str:
    """Name of the file with one line a caption: its sentences, and which words say which span."""
    return f"captions-{protocol}.jsonl"


def video_file(video_id: str) -> str:
    """Where a video lies, relative to the root of the set."""
    return f"videos/{_split(video_id)}/{video_id}.mp4"


def write_whole(path: Path, contents: bytes) -> None:
    """Write beside the place and rename, so that a file that is there is whole."""
    beside = path.with_name(f"{path.name}.{os.getpid()}.part")
    beside.write_bytes(contents)
    beside.replace(path)


def as_lines(records: Iterable[dict[str, Any]]) -> bytes:
    """The records as JSON lines."""
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def video_record(entry: Entry) -> dict[str, Any]:
    """One line of ``VIDEOS``."""
    story = entry.story
    return {
        "id": entry.id,
        "split": _split(entry.id),
        "file": video_file(entry.id),
        "seconds": story.seconds,
        "background": story.background,
        "events": [_event_record(e, span) for e, span in zip(story.events, story.spans(), strict=True)],
        "order_twin": entry.order_twin,
        "colour_twin": entry.colour_twin,
    }


def caption_records(entry: Entry, protocol: Protocol) -> list[dict[str, Any]]:
    """The lines of ``captions_file`` that tell one video."""
    told = tellings(entry.story, protocol)
    return [_caption_record(entry, telling, number) for number, telling in enumerate(told)]


def _caption_record(entry: Entry, telling: Telling, number: int) -> dict[str, Any]:
    spans = entry.story.spans()
    return {
        "id": f"{entry.id}#{number}",
        "video_id": entry.id,
        "sentences": list(telling.sentences),
        "phrases": [
            {
                "text": phrase.text,
                "start_seconds": start,
                "end_seconds": end,
                "first_word": phrase.first_word,
                "end_word": phrase.end_word,
            }
            for phrase, (start, end) in zip(telling.phrases, spans, strict=True)
        ],
    }


def _event_record(event: Event, span: tuple[float, float]) -> dict[str, Any]:
    return {
        "start_seconds": span[0],
        "end_seconds": span[1],
        "motion": event.motion,
        "shapes": [{"kind": s.kind, "colour": s.colour, "size": s.size} for s in event.shapes],
    }


def _split(video_id: str) -> str:
    return video_id.partition("-")[0]
