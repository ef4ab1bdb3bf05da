"""The rows of a shard of captions, encoded, each distinct text once."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..data.base import Caption
from .encoders.base import NO_TOKEN, EncodedText, Encoder
from .options import TextPolicy
from .plan import TextShardPlan
from .store.shards import TextRow

TEXTS_PER_CALL = 512
"""Captions per call of the encoder: enough to fill length-sorted batches, few enough to show progress."""

_END_OF_SENTENCE = re.compile(r"(?<=[.!?])\s+|(?<=[\u3002\uff01\uff1f])\s*")


def text_rows(
    shard: TextShardPlan,
    encoder: Encoder,
    on_texts: Callable[[int], None],
    *,
    policy: TextPolicy,
    paragraphs: bool,
) -> tuple[list[TextRow], dict[str, float]]:
    """Rows of a shard in its order, encoded a few hundred at a time, each distinct text once.

    Args:
        shard: the captions.
        encoder: the frozen model.
        on_texts: told how many more are done.
        policy: what is done with texts that are longer than the encoder's context.
        paragraphs: whether the pooled row of each sentence of a caption is wanted.
    """
    started = time.perf_counter()
    encode = _EachOnce(encoder)
    rows: list[TextRow] = []
    for start in range(0, len(shard.captions), TEXTS_PER_CALL):
        captions = shard.captions[start : start + TEXTS_PER_CALL]
        texts = encode([caption.text for caption in captions])
        if policy == "sentences":
            texts = _by_sentences(captions, texts, encode)
        parts = _parts(captions, encode) if paragraphs else [None] * len(captions)
        rows += [_text_row(*one) for one in zip(captions, texts, parts, strict=True)]
        on_texts(len(captions))
    seconds = time.perf_counter() - started
    return rows, {"encode": seconds, "wall": seconds}


@dataclass
class _EachOnce:
    """Encodes texts, and remembers them: one that occurs again costs nothing."""

    encoder: Encoder
    known: dict[str, EncodedText] = field(default_factory=dict[str, EncodedText])

    def __call__(self, texts: Sequence[str]) -> list[EncodedText]:
        new = [text for text in dict.fromkeys(texts) if text not in self.known]
        self.known.update(zip(new, self.encoder.encode_texts(new, repeatable=True), strict=True))
        return [self.known[text] for text in texts]


def sentences_of(caption: Caption) -> tuple[str, ...]:
    """The sentences of a caption as its data set gives them, or cut at full stops where it gives one alone."""
    if len(caption.sentences) > 1:
        return caption.sentences
    return tuple(part for part in _END_OF_SENTENCE.split(caption.text) if part)


def _by_sentences(
    captions: Sequence[Caption], texts: Sequence[EncodedText], encode: _EachOnce
) -> list[EncodedText]:
    """The texts, those that the encoder cut replaced by all of their sentences."""
    cut = {place: sentences_of(captions[place]) for place, text in enumerate(texts) if text.truncated}
    encode([sentence for sentences in cut.values() for sentence in sentences])
    return [
        _concatenated(encode(cut[place])) if len(cut.get(place, ())) > 1 else text
        for place, text in enumerate(texts)
    ]


def _concatenated(sentences: Sequence[EncodedText]) -> EncodedText:
    """The words of all sentences in their order; the pooled row is the mean of theirs, and comes last."""
    mean = np.mean([one.words[one.sentence_row] for one in sentences], axis=0, keepdims=True)
    words = [one.words for one in sentences]
    return EncodedText(
        words=np.concatenate([*words, mean]),
        token_ids=np.concatenate(
            [*(one.token_ids for one in sentences), np.array([NO_TOKEN], np.int32)], dtype=np.int32
        ),
        sentence_row=sum(map(len, words)),
        truncated=any(one.truncated for one in sentences),
    )


def _parts(captions: Sequence[Caption], encode: _EachOnce) -> list[np.ndarray]:
    """Of each caption the pooled rows of its sentences."""
    sentences = iter(encode([sentence for caption in captions for sentence in caption.sentences]))
    return [
        np.stack([one.words[one.sentence_row] for one in (next(sentences) for _ in caption.sentences)])
        for caption in captions
    ]


def _text_row(caption: Caption, text: EncodedText, parts: np.ndarray | None) -> TextRow:
    return TextRow(
        id=caption.id,
        video_id=caption.video_id,
        text=caption.text,
        words=text.words,
        token_ids=text.token_ids,
        sentence_row=text.sentence_row,
        truncated=text.truncated,
        parts=parts,
    )
