"""What a store would hold of a text or of a video file that is not in it: a query is made as its features were."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch.nn.utils.rnn import pad_sequence

from ...data.base import Caption
from ...data.contracts.cautions import UNKNOWN
from ...data.contracts.errors import DecodeError, WeightsError
from ...pipeline.decoding.pool import Chunk, DecodedVideo, DecoderPool, DecodeTask
from ...pipeline.encode_texts import sentences_of, text_rows
from ...pipeline.encode_videos import FrameBatches
from ...pipeline.encoders.base import EncodedFrames, EncodedText, Encoder, EncoderIdentity
from ...pipeline.options import pixels_of, resize_of, text_policy_of
from ...pipeline.plan import TextShardPlan
from ...pipeline.preprocessing import resize
from ...pipeline.request import NOTHING_NAMED, Named, encoder_of_store
from ...pipeline.sampling import Sampling
from ...pipeline.store.manifest import differing
from ...pipeline.store.reader import FeatureColumn, FeatureStore
from ...pipeline.store.rows import TextRows, VideoRows
from ...pipeline.store.shards import TextRow, as_stored
from ..base import TextFeatures
from ..features.from_store import mapped_texts
from ..features.items import TextItems, VideoItems, text_items, video_items
from .pictures import read_picture

ONLY = torch.zeros(1, dtype=torch.long)
"""The place of the query among the items that it makes."""

_DECIDES_FEATURES = ("activation", "preprocessing")
"""What of an encoder's identity decides features, beside its weights; stores have more to say of it."""


@dataclass(frozen=True, slots=True, eq=False)
class QueryText:
    """A text that is looked for, encoded."""

    text: str
    items: TextItems
    """It alone."""
    cut: bool
    """Whether it is longer than the encoder reads, or was read in pieces because it is."""

    def batch(self, num_words: int) -> TextFeatures:
        """As a head of so many words sees it, a batch of one."""
        return self.items.batch(ONLY, num_words)

    def token_ids(self, num_words: int) -> list[int]:
        """The tokens of the words of that batch."""
        positions, mask = self.items.word_positions(ONLY, num_words)
        start = int(self.items.words.starts[0])
        return torch.as_tensor(self.items.token_ids[(start + positions[mask]).numpy()]).tolist()


def batch_of(texts: Sequence[QueryText], num_words: int) -> TextFeatures:
    """Several texts as a head of so many words sees them, in one padded batch."""
    found = [text.batch(num_words) for text in texts]
    parts = [one.parts[0] for one in found if one.parts is not None]
    parts_masks = [one.parts_mask[0] for one in found if one.parts_mask is not None]
    return TextFeatures(
        pad_sequence([one.words[0] for one in found], batch_first=True),
        pad_sequence([one.mask[0] for one in found], batch_first=True),
        torch.cat([one.sentence for one in found]),
        pad_sequence(parts, batch_first=True) if parts else None,
        pad_sequence(parts_masks, batch_first=True) if parts_masks else None,
    )


@dataclass(frozen=True)
class QueryFeatures:
    """Queries to a store, encoded by the steps that encoded what is in it, and rounded as it is."""

    store: FeatureStore
    encoder: Encoder
    """Of an imported store it may be an ``AbsentEncoder``."""

    def of_text(self, text: str) -> "QueryText":
        """One text; see ``of_texts``."""
        return self.of_texts([text])[0]

    def of_texts(self, texts: Sequence[str]) -> list["QueryText"]:
        """The words of each text, its pooled row and, where texts are paragraphs, those of its sentences.

        Where one sentence of a paragraph ends is told by its full stop, or, where the store has this very paragraph,
        by its row there: data sets give sentences one by one, and not all of them with full stops. Of an imported store
        that has these very texts, their features there are taken, which are of the encoder that made its frames.
        """
        manifest = self.store.manifest
        paragraphs = manifest.protocol == "paragraph"
        if manifest.imported is not None:
            known = [self._stored(text) for text in texts]
            if all(known):
                pairs = zip(texts, known, strict=True)
                return [QueryText(text, items, cut=False) for text, items in pairs if items is not None]
        stored = {text: self._stored(text) for text in texts} if paragraphs else {}
        captions: list[Caption] = []
        for text in texts:
            caption = Caption("query", "query", (text,))
            if paragraphs:
                caption = Caption(caption.id, caption.video_id, sentences_of(caption) or (text,))
            captions.append(caption)
        policy, plan = text_policy_of(manifest.text_policy), TextShardPlan("query", tuple(captions))
        rows, _ = text_rows(plan, self.encoder, lambda _: None, policy=policy, paragraphs=paragraphs)
        return [
            QueryText(text, stored.get(text) or self._items(row), cut=bool(row.truncated))
            for text, row in zip(texts, rows, strict=True)
        ]

    def _items(self, row: TextRow) -> TextItems:
        words = self._as_stored(row.words, "words")
        parts = None if row.parts is None else self._as_stored(row.parts, "sentences")
        return text_items(
            TextRows(
                ids=(row.id,),
                video_ids=(row.video_id,),
                texts=(row.text,),
                words=words,
                token_ids=row.token_ids,
                offsets=np.array([0, len(words)]),
                sentence_row=np.array([row.sentence_row]),
                truncated=np.array([row.truncated]),
                parts=parts,
                part_offsets=None if parts is None else np.array([0, len(parts)]),
            )
        )

    def of_video(self, file: Path) -> VideoItems:
        """The frames of a file, decoded, sampled and encoded in batches as those of the store were.

        Raises:
            DecodeError: the file cannot be decoded.
        """
        manifest = self.store.manifest
        task = DecodeTask(
            file.name,
            file,
            Sampling(**manifest.sampling),
            self.encoder.identity.preprocessing,
            end_seconds=manifest.max_seconds,
            frames_per_chunk=manifest.frames_per_batch,
            pixels=pixels_of(manifest.pixels),
            resize=resize_of(manifest.resize),
        )
        batches = FrameBatches(self.encoder, manifest.frames_per_batch)
        with DecoderPool(num_children=1, decoder=manifest.decoder) as pool:
            video = _decoded(task, pool, batches)
        if video.status == "failed":
            raise DecodeError(f"{file} cannot be decoded: {video.reason}")
        frames = self._as_stored(batches.finished()[file.name].frames, "frames")
        offsets = np.array([0, len(frames)])
        return video_items(VideoRows((file.name,), frames, offsets, video.frame_seconds))

    def of_image(self, file: Path) -> VideoItems:
        """A picture as a video of one frame, encoded as those of the store were, upright as its file says.

        Raises:
            DecodeError: the file is no picture.
        """
        return self.of_pixels(read_picture(file))

    def of_pixels(self, picture: UInt8[np.ndarray, "height width 3"]) -> VideoItems:
        """The same of a picture that was read."""
        way = resize_of(self.store.manifest.resize)
        frame = resize(picture, self.encoder.identity.preprocessing, way=way)
        frames = self._as_stored(self.encoder.encode_frames(frame[None]), "frames")
        return video_items(VideoRows(("picture",), frames, np.array([0, 1]), np.zeros(1)))

    def _as_stored(
        self, rows: Float[np.ndarray, "row dim"], column: FeatureColumn
    ) -> Float[np.ndarray, "row dim"]:
        return as_stored(rows, exact=self.store.dtype(column) != np.float16)

    def _stored(self, text: str) -> TextItems | None:
        video = self._video_of_text.get(text)
        if video is None:
            return None
        found = mapped_texts(self.store, [video])
        return found.chosen(torch.tensor([found.texts.index(text)]))

    @cached_property
    def _video_of_text(self) -> dict[str, str]:
        """The first video that each text of the store was written for; read once, not for every query."""
        found: dict[str, str] = {}
        for shard, rows in self.store.living("text"):
            videos, texts = shard.strings("video_ids"), shard.strings("texts")
            for row in rows:
                found.setdefault(texts[row], videos[row])
        return found


def _decoded(task: DecodeTask, pool: DecoderPool, batches: FrameBatches) -> DecodedVideo:
    """The only video of a pool, whose frames go to the encoder."""
    for given in pool.stream([task]):
        if isinstance(given, Chunk):
            batches.add_chunk(given)
        else:
            batches.add(given)
            return given
    raise AssertionError("a pool gives every video")


def _check_width(encoder: Encoder, store: FeatureStore) -> None:
    """All that can be held against an encoder of which the store has no digest.

    Raises:
        WeightsError: its features are of another width.
    """
    if encoder.identity.dim != store.manifest.dim:
        raise WeightsError(
            f"{encoder.identity.model} makes features {encoder.identity.dim} wide, those of {store.folder} are "
            f"{store.manifest.dim}: name the encoder that made them with --model and --pretrained"
        )


@dataclass(frozen=True, slots=True)
class AbsentEncoder:
    """In place of the encoder of an imported store where it is unknown, or not on this machine: what the store has can
    be compared, what it has not cannot be encoded."""

    why: str

    @property
    def identity(self) -> EncoderIdentity:
        """Nobody knows it.

        Raises:
            WeightsError: always.
        """
        raise self._error()

    @property
    def frames_per_batch(self) -> int:
        """There is none."""
        raise self._error()

    def encode_frames(
        self, frames: UInt8[np.ndarray, "frame height width 3"]
    ) -> Float32[np.ndarray, "frame dim"]:
        """There is none."""
        raise self._error()

    def begin_frames(
        self,
        frames: UInt8[np.ndarray, "frame height width 3"],
        *,
        batch_size: int | None = None,
        patches: bool = False,
    ) -> Callable[[], EncodedFrames]:
        """There is none."""
        raise self._error()

    def encode_texts(self, texts: Sequence[str], *, repeatable: bool = False) -> list[EncodedText]:
        """There is none."""
        raise self._error()

    def _error(self) -> WeightsError:
        return WeightsError(
            f"only what the store itself holds can be looked for, word by word as a caption of it: {self.why}"
        )


def encoder_of(store: FeatureStore, named: Named = NOTHING_NAMED) -> Encoder:
    """The encoder that made a store.

    Args:
        named: by the person: its file or repository, if that is elsewhere or the store somebody else's.

    Raises:
        WeightsError: its weights are missing, or are not those that made the store.
        UsageError: the store names a file or a repository, and this user did not.
    """
    identity = store.manifest.encoder
    if identity["model"] == UNKNOWN and named.model is None:
        return AbsentEncoder(
            f"{store.folder} was imported, and nobody said which encoder made its features: name it with --model and "
            "--pretrained"
        )
    known = {name: None if value == UNKNOWN else value for name, value in identity.items()}
    known |= {"model": known["model"] or named.model, "precision": known["precision"] or "auto"}
    try:
        encoder = encoder_of_store(store.folder, known, named).load()
    except WeightsError as error:
        if store.manifest.imported is None:
            raise
        return AbsentEncoder(str(error))
    found = asdict(encoder.identity)
    if identity["weights_digest"] == UNKNOWN:
        _check_width(encoder, store)
        return encoder
    if found["weights_digest"] != identity["weights_digest"]:
        raise WeightsError(
            f"the store was made with weights {identity['weights_digest'][:12]} of {identity['model']}, these are "
            f"{encoder.identity.weights_digest[:12]}: name the checkpoint that made it with --pretrained, or, of a "
            "folder or repository, with --model"
        )
    known = [name for name in _DECIDES_FEATURES if name in identity]
    stored, loaded = {name: identity[name] for name in known}, {name: found[name] for name in known}
    if lines := differing("encoder", stored, loaded, ("the store has", "these weights come with")):
        raise WeightsError(
            f"{'; '.join(lines)}: name the checkpoint as it was named to `tvr extract`, with --pretrained"
        )
    return encoder
