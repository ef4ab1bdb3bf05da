"""Videos and texts as rows, and the one way in which a batch of them is cut: for training, evaluation and search."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from ...pipeline.store.rows import TextRows, VideoRows
from ..base import TextFeatures, VideoFeatures
from .frame_sampling import segment_random, uniform
from .rows import Device, Rows, Values


@dataclass(frozen=True)
class VideoItems:
    """Frames of several videos."""

    ids: tuple[str, ...]
    frames: Rows
    """One item a video; a failed video has no row."""
    frame_seconds: Values
    """When each row is shown."""

    def placed_on(self, device: Device, *, resident: bool) -> "VideoItems":
        """The same for batches on ``device``; see ``Rows.placed_on``."""
        return replace(self, frames=self.frames.placed_on(device, resident=resident))

    def batch(
        self,
        items: Int[Tensor, " item"],
        num_frames: int,
        generator: torch.Generator | None = None,
        share: slice = slice(None),
    ) -> VideoFeatures:
        """Frames of some videos: segment-random with a generator, else uniform.

        Args:
            items: indices into ``ids``, on the CPU.
            num_frames: the most frames of a video.
            generator: draws the frames.
            share: the part of the batch that is wanted. Draws and padding are those of the whole batch.
        """
        lengths = self.frames.lengths[items]
        if generator is None:
            positions, mask = uniform(lengths, num_frames)
        else:
            positions, mask = segment_random(lengths, num_frames, generator)
        return VideoFeatures(*self.frames.gather(items[share], positions[share], mask[share]))


@dataclass(frozen=True)
class TextItems:
    """Words of several texts."""

    ids: tuple[str, ...]
    video_ids: tuple[str, ...]
    texts: tuple[str, ...]
    words: Rows
    """One item a text."""
    token_ids: Values
    """The token of each row."""
    sentence_row: Int[Tensor, " text"]
    """Which of a text's own rows is the pooled one."""
    parts: Rows | None
    """The sentences of each text, for paragraphs."""

    def chosen(self, items: Int[Tensor, " chosen"]) -> "TextItems":
        """The same values seen as only the chosen texts, in that order."""
        places = items.tolist()
        return replace(
            self,
            ids=tuple(self.ids[i] for i in places),
            video_ids=tuple(self.video_ids[i] for i in places),
            texts=tuple(self.texts[i] for i in places),
            words=self.words.chosen(items),
            sentence_row=self.sentence_row[items],
            parts=None if self.parts is None else self.parts.chosen(items),
        )

    def placed_on(self, device: Device, *, resident: bool) -> "TextItems":
        """The same for batches on ``device``; see ``Rows.placed_on``."""
        parts = None if self.parts is None else self.parts.placed_on(device, resident=resident)
        return replace(self, words=self.words.placed_on(device, resident=resident), parts=parts)

    def batch(self, items: Int[Tensor, " item"], num_words: int, share: slice = slice(None)) -> TextFeatures:
        """Words of some texts, cut to ``num_words``: the first ones and the last, which is the end token.

        Args:
            items: indices into ``ids``, on the CPU.
            num_words: the most words of a text.
            share: the part of the batch that is wanted. Padding is that of the whole batch.
        """
        positions, mask = self.word_positions(items, num_words)
        words, mask = self.words.gather(items[share], positions[share], mask[share])
        sentence = self.words.row(items[share], self.sentence_row[items[share]])
        return TextFeatures(words, mask, sentence, *self._parts_batch(items, share))

    def word_positions(
        self, items: Int[Tensor, " text"], num_words: int
    ) -> tuple[Int[Tensor, "text word"], Bool[Tensor, "text word"]]:
        """Which of their words are in a batch of some texts, and which of its places are real."""
        lengths = self.words.lengths[items]
        slots = torch.arange(min(num_words, int(lengths.max())))
        cut = (slots == num_words - 1) & (lengths > num_words)[:, None]
        positions = torch.minimum(torch.where(cut, lengths[:, None], slots), lengths[:, None] - 1)
        return positions, slots < lengths[:, None]

    def _parts_batch(self, items: Int[Tensor, " item"], share: slice) -> tuple[Tensor | None, Tensor | None]:
        if self.parts is None:
            return None, None
        lengths = self.parts.lengths[items]
        slots = torch.arange(int(lengths.max()))
        positions = torch.minimum(slots.expand(len(items), -1), lengths[:, None] - 1)
        return self.parts.gather(items[share], positions[share], (slots < lengths[:, None])[share])


def video_items(rows: VideoRows) -> VideoItems:
    """Videos of arrays in memory."""
    return VideoItems(rows.ids, Rows.of(rows.frames, rows.offsets), rows.frame_seconds)


def text_items(rows: TextRows) -> TextItems:
    """Texts of arrays in memory."""
    has_parts = rows.parts is not None and rows.part_offsets is not None
    return TextItems(
        ids=rows.ids,
        video_ids=rows.video_ids,
        texts=rows.texts,
        words=Rows.of(rows.words, rows.offsets),
        token_ids=rows.token_ids,
        sentence_row=torch.from_numpy(np.asarray(rows.sentence_row, np.int64)),
        parts=Rows.of(rows.parts, rows.part_offsets) if has_parts else None,  # pyright: ignore[reportArgumentType]
    )
