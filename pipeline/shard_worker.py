"""One shard after another in this process: decode -> sample -> encode -> commit. Read ``ShardWorker.run`` first.

Children decode and sample ahead (``decoding``), full batches go to the encoder (``encode_videos``, ``encode_texts``),
and a shard is written (``store``) while the next one is encoded.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Protocol, runtime_checkable

from ..data.base import Video
from ..data.contracts.errors import DecodeError
from ..data.contracts.identity import FileIdentity
from ..data.sources.remote_object import RemoteObject
from .decoding.pool import Chunk, DecodedVideo, DecoderPool, DecodeTask
from .encode_texts import text_rows
from .encode_videos import FrameBatches, video_rows
from .encoders.base import Encoder, EncoderIdentity
from .machine import usable_cores
from .options import ExtractionOptions
from .plan import ShardPlan, TextShardPlan, VideoShardPlan
from .preprocessing import Preprocessing
from .probe.pairs import ProbeResult, probe
from .progress import OnProgress, Report
from .store.claim import Claim
from .store.manifest import Manifest
from .store.merge import merge_with_stored
from .store.patches import PatchLayout, PatchSpool
from .store.receipts import Receipt, read_receipt
from .store.shard_locks import ShardLocks
from .store.shards import VideoRow, write_text_shard, write_video_shard


class ShardWorker:
    """Does shards in this process, with one encoder and decoding children that it keeps between shards."""

    def __init__(self, encoder: Encoder, options: ExtractionOptions) -> None:
        self.encoder = encoder
        self.num_children = options.decoding_processes
        self.pool = DecoderPool(self.num_children, options.chosen_decoder)

    def __enter__(self) -> "ShardWorker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.pool.close()

    @property
    def num_cores(self) -> int:
        """All that this process may use."""
        return len(usable_cores())

    @property
    def shards_in_work(self) -> int:
        """One after another; while it is encoded, the one before it is written."""
        return 1

    @property
    def identity(self) -> EncoderIdentity:
        """The encoder's."""
        return self.encoder.identity

    @property
    def frames_per_batch(self) -> int:
        """The encoder's."""
        return self.encoder.frames_per_batch

    def probe(self) -> ProbeResult:
        """What the encoder makes of rendered stills."""
        return probe(self.encoder)

    def run(
        self, shards: Sequence[ShardPlan], recipe: "Recipe", on_progress: OnProgress
    ) -> Iterator[tuple[ShardPlan, Receipt]]:
        """Do the shards one after another; the children decode ahead into the next one.

        A shard that another process is doing, or has done since, is left to it.
        """
        report = Report(shards, on_progress)
        self._decode_with(recipe.manifest.decoder)
        with ShardLocks(recipe.folder) as locks, ThreadPoolExecutor(1, "writing") as writer:
            mine = (
                shard for shard in shards if isinstance(shard, VideoShardPlan) and _acquired(locks, shard)
            )
            videos = (video for shard in mine for video in shard.extracted if video.path)
            files: dict[str, FileIdentity] = {}
            decoded = _noting_files(self.pool.stream(self._tasks(videos, recipe.options, files)), files)
            if recipe.options.on_error == "fail":
                decoded = _up_to_a_failure(decoded)
            batches = FrameBatches(self.encoder, recipe.options.frames_per_batch, recipe.new_spool)
            writing = _Writing(writer, locks)
            for shard in shards:
                if _acquired(locks, shard):
                    yield from writing.before(shard)
                    if isinstance(shard, TextShardPlan):
                        write = self._encoded_texts(shard, recipe, report)
                    else:
                        rows, seconds = video_rows(shard, decoded, batches, report.add_video)
                        rows = _noted(shard, rows, files)
                        write = _writing_of(shard, rows, seconds, recipe)
                    yield from writing.finished()
                    writing.begin(shard, write)
            yield from writing.finished()

    def _decode_with(self, decoder: str) -> None:
        """Go on with the decoder that a store was begun with, whichever is the usual one."""
        if decoder != self.pool.decoder:
            self.pool.close()
            self.pool = DecoderPool(self.num_children, decoder)

    def _tasks(
        self, videos: Iterator[Video], options: ExtractionOptions, files: dict[str, FileIdentity]
    ) -> Iterator[DecodeTask]:
        """What the children are to decode; which file each video is, as it is now, is noted in ``files``."""
        for video in videos:
            assert video.path is not None
            # Before it is decoded: a file that changes while it is read is found to have changed the next time. What
            # lies on a server is fetched by the child alone, which says what it was.
            if not isinstance(video.path, RemoteObject):
                with suppress(OSError):  # why it cannot be read is for the decoder to say
                    files[video.id] = FileIdentity.of(video.path, options.file_digest)
            yield decode_task(video, self.encoder.identity.preprocessing, options)

    def _encoded_texts(self, shard: TextShardPlan, recipe: "Recipe", report: Report) -> Callable[[], Receipt]:
        """Encode a shard of texts; what is left is to write it."""
        policy, path = recipe.options.text_policy, recipe.folder / shard.name
        texts, seconds = text_rows(
            shard, self.encoder, report.add_texts, policy=policy, paragraphs=recipe.paragraphs
        )
        return partial(write_text_shard, path, texts, recipe.manifest.dim, seconds, recipe.claim)


def _writing_of(
    shard: VideoShardPlan, rows: list[VideoRow], seconds: dict[str, float], recipe: "Recipe"
) -> Callable[[], Receipt]:
    """What is left of an encoded shard of videos: to write it, with what the shard before it has to give."""
    path, dim = recipe.folder / shard.name, recipe.manifest.dim
    if (receipt := read_receipt(path)) is None or receipt.is_of(recipe.manifest):
        rows = merge_with_stored(path, rows, recipe.patches, shard.taken_over, shard.replaced)
    return partial(write_video_shard, path, rows, dim, seconds, recipe.patches, recipe.claim)


def _noted(shard: VideoShardPlan, rows: Sequence[VideoRow], files: dict[str, FileIdentity]) -> list[VideoRow]:
    """The rows, with what those that were extracted were made of."""
    # A row that is taken over may be of a video that a later shard has anew.
    return [
        row
        if video.id in shard.taken_over
        else replace(row, file=files.pop(row.id, None), span=(video.start_seconds, video.end_seconds))
        for row, video in zip(rows, shard.videos, strict=True)
    ]


def _acquired(locks: ShardLocks, shard: ShardPlan) -> bool:
    return locks.acquire(shard.name, shard.receipt_time)


@dataclass(frozen=True)
class Recipe:
    """What every shard of a store shares."""

    folder: Path
    options: ExtractionOptions
    manifest: Manifest
    """Of the store that they are made for; of another one they will not become a part."""
    patches: PatchLayout | None = None
    """How the patches of frames are stored, if they are."""

    @property
    def paragraphs(self) -> bool:
        """Whether a caption's sentences are encoded one by one as well."""
        return self.manifest.protocol == "paragraph"

    @property
    def claim(self) -> Claim:
        """The store that they are made for."""
        return Claim(self.folder, self.manifest)

    @property
    def new_spool(self) -> Callable[[], PatchSpool] | None:
        """Makes a place for the patches of a shard, on their way into the store."""
        return partial(PatchSpool, self.folder, self.patches) if self.patches else None


@runtime_checkable
class ShardRunner(Protocol):
    """Where shards are done: in this process, or on workers that send receipts back."""

    @property
    def identity(self) -> EncoderIdentity:
        """The encoder that will do them."""
        ...

    @property
    def frames_per_batch(self) -> int:
        """What suits its device best."""
        ...

    @property
    def num_children(self) -> int:
        """Decoding processes that feed each encoder."""
        ...

    @property
    def num_cores(self) -> int:
        """CPU cores that these may use."""
        ...

    @property
    def shards_in_work(self) -> int:
        """How many are done side by side."""
        ...

    def probe(self) -> ProbeResult:
        """What the encoder makes of rendered stills."""
        ...

    def run(
        self, shards: Sequence[ShardPlan], recipe: Recipe, on_progress: OnProgress
    ) -> Iterator[tuple[ShardPlan, Receipt]]:
        """Each shard and its receipt, as soon as it lies whole on the disk."""
        ...


def decode_task(video: Video, preprocessing: Preprocessing, options: ExtractionOptions) -> DecodeTask:
    """What the decoding children need to know of one video that was found."""
    assert video.path is not None
    end = video.end_seconds
    if options.max_seconds is not None:
        limit = video.start_seconds + options.max_seconds
        end = limit if end is None else min(end, limit)
    return DecodeTask(
        video.id,
        video.path,
        options.sampling,
        preprocessing,
        video.start_seconds,
        end,
        options.frames_per_batch,
        options.chosen_pixels,
        options.chosen_resize,
        identify=options.file_digest if isinstance(video.path, RemoteObject) else None,
    )


def _noting_files(
    decoded: Iterator[Chunk | DecodedVideo], files: dict[str, FileIdentity]
) -> Iterator[Chunk | DecodedVideo]:
    """Note in ``files`` what children say that they have read."""
    for given in decoded:
        if isinstance(given, DecodedVideo) and given.file:
            files[given.id] = FileIdentity.parse(given.file)
        yield given


def _up_to_a_failure(decoded: Iterator[Chunk | DecodedVideo]) -> Iterator[Chunk | DecodedVideo]:
    for given in decoded:
        if isinstance(given, DecodedVideo) and given.status == "failed":
            raise DecodeError(
                f"video {given.id!r} failed: {given.reason}. Stopped there because of --on-error fail; every finished "
                "shard is kept. Mend or remove the video, or leave the option out: then it becomes a row with that "
                "reason"
            )
        yield given


class _Writing:
    """Writes one shard while the next one is encoded."""

    def __init__(self, writer: ThreadPoolExecutor, locks: ShardLocks) -> None:
        self._writer, self._locks = writer, locks
        self._begun: tuple[ShardPlan, Future[Receipt]] | None = None

    def begin(self, shard: ShardPlan, write: Callable[[], Receipt]) -> None:
        self._begun = shard, self._writer.submit(write)

    def before(self, shard: ShardPlan) -> Iterator[tuple[ShardPlan, Receipt]]:
        """What is to be finished first: texts are not counted among the seconds of videos."""
        if self._begun and type(self._begun[0]) is not type(shard):
            yield from self.finished()

    def finished(self) -> Iterator[tuple[ShardPlan, Receipt]]:
        """What has been begun, once it is in place."""
        if self._begun:
            (shard, receipt), self._begun = self._begun, None
            done = receipt.result()
            self._locks.release(shard.name)
            yield shard, done
