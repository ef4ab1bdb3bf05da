"""A look at the files of videos that were read by older rules: their packets only, in processes that can be killed."""

import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from ...data.base import Video
from ..decoding.messages import READING_RULES
from ..decoding.pool import DecoderPool, DecodeTask
from ..options import ExtractionOptions
from ..preprocessing import Preprocessing
from ..request import NOTHING_NAMED, Named, request_for_files, requested_dataset
from ..shard_worker import decode_task
from ..store.reader import FeatureStore
from ..store.rows import OlderRow
from ..store.shards import MISSING
from .verdicts import Verdict, verdict_of

OnFile = Callable[[int, int], None]
"""Told how many files have been looked at, and how many there are."""

_UNASKED = (
    "the files of its videos cannot be found. Run the `tvr extract` that made the store, with --retry untrusted: it is "
    "told where they are"
)

_NO_PICTURE = Preprocessing(1, 1, "squash", "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
"""Of the frames nothing but their names is asked for."""


def verdicts_of_files(
    store: FeatureStore,
    videos: Mapping[str, Video],
    options: ExtractionOptions,
    on_file: OnFile = lambda done, total: None,
    *,
    shards: Collection[str] | None = None,
) -> list[Verdict]:
    """A verdict on each video of a store that has frames and was read by older rules.

    Args:
        store: the store; shards that are not there yet are passed over.
        videos: of the data set, by id.
        options: how frames were chosen; ``num_children`` look at files side by side.
        on_file: called after each file.
        shards: names of those whose videos are looked at; None means all.

    Raises:
        StoreError: a shard is damaged.
    """
    older = store.older_rows(READING_RULES)
    rows = [row for row in older if shards is None or row.shard in shards]
    unknown = {row.id: _without_file(row, videos.get(row.id)) for row in rows}
    with_file = [row for row in rows if unknown[row.id] is None]
    found: dict[str, Verdict | None] = {}
    for verdict in asked(with_file, [question_of(videos[row.id], options) for row in with_file], options):
        found[verdict.id] = verdict
        on_file(len(found), len(with_file))
    return [verdict for row in rows if (verdict := found.get(row.id) or unknown[row.id])]


def verdicts_by_request(
    store: FeatureStore, named: Named = NOTHING_NAMED, on_file: OnFile = lambda done, total: None
) -> list[Verdict]:
    """The same for a store that knows where its videos came from.

    Args:
        store: the store.
        named: by the person: where the data set lies, if it has moved or the store is somebody else's.
        on_file: called after each file.

    Raises:
        StoreError: the store does not know it, or a shard is damaged.
        DataError: the data set is not there.
        UsageError: the store names files of this machine, and this user did not.
    """
    if not any(store.older_rows(READING_RULES)):
        return []
    request, options = request_for_files(store.folder, named, _UNASKED, "inspect --untrusted")
    dataset = requested_dataset(request)
    return verdicts_of_files(store, dataset.videos, options, on_file)


def _without_file(row: OlderRow, video: Video | None) -> Verdict | None:
    """The verdict on a row whose file cannot be asked; None where it can."""
    if video is not None and video.path is not None:
        return None
    return Verdict(row.id, row.decoder, "unknown", MISSING if video else "the data set has no such video now")


def question_of(video: Video, options: ExtractionOptions) -> DecodeTask:
    """Which frames of a video would be chosen, as its packets tell."""
    return dataclasses.replace(decode_task(video, _NO_PICTURE, options), packets_only=True)


def asked(
    rows: Sequence[OlderRow], questions: Sequence[DecodeTask], options: ExtractionOptions
) -> Iterator[Verdict]:
    """A verdict on each row, whose file is asked the question beside it."""
    if rows:
        with DecoderPool(options.decoding_processes, "pyav") as pool:
            yield from map(verdict_of, rows, pool.decode(questions))
