"""Where in a video a query is seen best: the frame, and the seconds around it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..base import Encoded, Head, TextFeatures, VideoFeatures
from ..layers.padding import l2_normalise
from .gallery.encoded_items import EncodedItems

_WORD_NAMES = ("mixed_words", "words", "parts", "entity")
_FRAME_NAMES = ("frames", "parts", "entity")
"""What heads that compare words with frames call them among what they encode, first what is compared in the end."""

OVERLAP = 0.5
"""Of two moments of a video that share more than this of the shorter one, the better one is shown."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Seconds of a video's file."""

    frame_seconds: float
    """When the best frame is shown."""
    start_seconds: float
    end_seconds: float
    """Of the frames around it that score at least half-way between the video's lowest and highest; each stands for the
    time half-way to its neighbours."""

    def __str__(self) -> str:
        if (
            self.start_seconds == self.end_seconds
        ):  # of a video of one frame, which stands for no time that is known
            return f"at {self.frame_seconds:.1f} s"
        return f"{self.start_seconds:.1f}-{self.end_seconds:.1f} s, best at {self.frame_seconds:.1f} s"


def frame_borders(seconds: Sequence[float]) -> list[float]:
    """Where each frame's time begins, and where the last one's ends: half-way to the neighbours, and half of the first
    gap before the first and behind the last; never before 0.

    Args:
        seconds: when each frame is shown, in order.
    """
    half = (seconds[1] - seconds[0]) / 2 if len(seconds) > 1 else 0.0
    middles = [(one + other) / 2 for one, other in pairwise(seconds)]
    return [max(0.0, seconds[0] - half), *middles, seconds[-1] + half]


def moment_of(scores: Float[Tensor, " frame"], seconds: Sequence[float]) -> Moment:
    """The best frame of a video and its surroundings; of equal frames the first.

    Args:
        scores: how well each frame suits the query.
        seconds: when each is shown, in order.
    """
    first, best, last = max(_runs(scores), key=lambda run: (float(scores[run[1]]), -run[1]))
    return _moment((first, best, last), seconds)


def moments_of(scores: Float[Tensor, " frame"], seconds: Sequence[float]) -> list[tuple[Moment, slice]]:
    """Every stretch of frames that score at least half-way between the lowest and the highest, and its frames; the one
    with the best frame first.

    Args:
        scores: how well each frame suits the query.
        seconds: when each is shown, in order.
    """
    runs = sorted(_runs(scores), key=lambda run: (-float(scores[run[1]]), run[1]))
    return [(_moment(run, seconds), slice(run[0], run[2] + 1)) for run in runs]


def _runs(scores: Float[Tensor, " frame"]) -> list[tuple[int, int, int]]:
    """First, best and last frame of each stretch."""
    enough = (scores >= (scores.min() + scores.max()) / 2).tolist()
    runs: list[tuple[int, int, int]] = []
    for is_enough, places in groupby(range(len(enough)), key=enough.__getitem__):
        if is_enough:
            frames = list(places)
            best = max(frames, key=lambda place: (float(scores[place]), -place))
            runs.append((frames[0], best, frames[-1]))
    return runs


def _moment(run: tuple[int, int, int], seconds: Sequence[float]) -> Moment:
    first, best, last = run
    borders = frame_borders(seconds)
    return Moment(seconds[best], borders[first], borders[last + 1])


@torch.no_grad()
def scores_of_frames(head: Head, text: TextFeatures, video: VideoFeatures) -> Float[Tensor, " frame"]:
    """How well each frame of the only video suits the only text.

    Of a head that compares words with frames: the frame's mean cosine with the words, the start token left out. Of any
    other: the cosine of the stored frame with the sentence.
    """
    words, frames, is_of_head = compared_parts(head.encode_text(text), head.encode_video(video), text, video)
    return frame_curve(words, frames, text, is_of_head=is_of_head)


def frame_curve(
    words: Float[Tensor, "word dim"],
    frames: Float[Tensor, "frame dim"],
    text: TextFeatures,
    *,
    is_of_head: bool,
) -> Float[Tensor, " frame"]:
    """The same of what ``compared_parts`` gave."""
    asked = words[1:] if len(words) > 1 else words
    asked = asked if is_of_head else text.sentence
    return (l2_normalise(asked.float()) @ l2_normalise(frames.float()).T).mean(dim=0).cpu()


@torch.no_grad()
def window_curves(
    items: EncodedItems, asked: tuple[Encoded, TextFeatures], windows: Sequence[int]
) -> Iterator[tuple[int, Float[Tensor, "frame dim"], Float[Tensor, " frame"]]]:
    """Of each window its frames, and how well each suits a text; those of one length are encoded together.

    Args:
        items: the windows, and the head that compares.
        asked: the only text, encoded and as it is.
        windows: places among the items.
    """
    chosen, most = torch.tensor(windows, dtype=torch.long), items.head.shape.num_frames
    lengths = items.features.frames.lengths[chosen].clamp(max=most)
    for length in lengths.unique():
        own = chosen[lengths == length]
        videos = items.features.video_batch(own, most)
        together = items.of(own)
        for row, window in enumerate(own.tolist()):
            one = {name: tensor[[row]] for name, tensor in together.items()}
            alone = VideoFeatures(videos.frames[[row]], videos.mask[[row]])
            words, frames, is_of_head = compared_parts(asked[0], one, asked[1], alone)
            yield window, alone.frames[0], frame_curve(words, frames, asked[1], is_of_head=is_of_head)


def compared_parts(
    encoded_text: Encoded, encoded_video: Encoded, text: TextFeatures, video: VideoFeatures
) -> tuple[Float[Tensor, "word dim"], Float[Tensor, "frame dim"], bool]:
    """Words and frames of the only item, as the head compares them if it does, and whether it does."""
    words = _first(encoded_text, _WORD_NAMES, text.mask)
    frames = _first(encoded_video, _FRAME_NAMES, video.mask)
    if words is None or frames is None or words.shape[1] != frames.shape[1]:
        return text.words[0], video.frames[0], False
    return words, frames, True


def _first(encoded: Encoded, names: Sequence[str], mask: Bool[Tensor, "item part"]) -> Tensor | None:
    """The first of the named encodings that has a row for each part: learned tokens may stand before them, and padding
    behind, where a release's padding takes part."""
    count = mask.shape[1]
    for name in names:
        if name in encoded and encoded[name].ndim == 3 and encoded[name].shape[1] >= count:
            taking_part = encoded.get(f"{name}_mask", encoded.get("mask"))
            until = None if taking_part is None else int(taking_part[0].nonzero().max()) + 1
            return encoded[name][0, :until][-count:]
    return None


def apart(found: Sequence[tuple[int, Moment, float]]) -> list[tuple[int, Moment, float]]:
    """Without moments that mostly lie in a better one of the same video: neighbouring windows share frames.

    Args:
        found: the place of the video, the moment and its score, best first.
    """
    kept: list[tuple[int, Moment, float]] = []
    for place, moment, score in found:
        if not any(other == place and _share(moment, better) > OVERLAP for other, better, _ in kept):
            kept.append((place, moment, score))
    return kept


def _share(one: Moment, other: Moment) -> float:
    """How much of the shorter one both have in common."""
    common = min(one.end_seconds, other.end_seconds) - max(one.start_seconds, other.start_seconds)
    shorter = min(one.end_seconds - one.start_seconds, other.end_seconds - other.start_seconds)
    if shorter <= 0:  # a single frame that stands for no time that is known
        return float(one.frame_seconds == other.frame_seconds)
    return max(0.0, common) / shorter
