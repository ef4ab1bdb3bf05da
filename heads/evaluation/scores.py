"""Encoded texts and videos of a whole feature set, and their similarities in blocks of bounded memory."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ...data.contracts.errors import UsageError
from ..base import Encoded, Head
from ..features.feature_set import FeatureSet
from .blockwise import similarity_in_blocks
from .ranks import ColumnScores, ScoreBlock

ITEMS_PER_BATCH = 512
"""The most items that are encoded at once."""
LENGTHS_TOLD_APART = 16
"""A small set is encoded in about this many batches, from the shortest items to the longest: each padding is
computed for every pair with it, so that batches of like length save far more than few batches would."""
MIN_PER_BATCH = 64
NUMBERS_PER_BLOCK = 1 << 25
"""The most similarities of a block: 128 MB in float32."""
TIE_TOLERANCE = 1e-6
"""Cosines closer than this are equal but for the rounding of float32: the same pair, computed in a block of
another shape, differs by about 1e-7."""


@dataclass(frozen=True)
class EncodedGroup:
    """Encoded items that share one padding."""

    items: Int[Tensor, " item"]
    """Their places among all that were encoded, on the device."""
    encoded: Encoded

    def cut(self, begin: int, end: int) -> "EncodedGroup":
        """Some of the items."""
        return EncodedGroup(
            self.items[begin:end], {name: tensor[begin:end] for name, tensor in self.encoded.items()}
        )


class EncodedTexts:
    """Texts of a feature set as a head keeps them: all, or the chosen items in their order."""

    def __init__(self, head: Head, features: FeatureSet, items: Int[Tensor, " chosen"] | None = None) -> None:
        check_fit(head, features)
        words = head.shape.num_words
        self.groups = _encoded_groups(
            lambda items: head.encode_text(features.text_batch(items, words)),
            features.words.lengths,
            items,
            features.device,
        )


class EncodedVideos:
    """Videos of a feature set as a head keeps them: all, or the chosen items in their order."""

    def __init__(self, head: Head, features: FeatureSet, items: Int[Tensor, " chosen"] | None = None) -> None:
        check_fit(head, features)
        frames = head.shape.num_frames
        self.groups = _encoded_groups(
            lambda items: head.encode_video(features.video_batch(items, frames)),
            features.frames.lengths,
            items,
            features.device,
        )


def check_fit(head: Head, features: FeatureSet) -> None:
    """Whether the head can read these features.

    Raises:
        UsageError: they have another width, or lack the words that the head reads.
    """
    if features.dim != head.shape.dim:
        raise UsageError(
            f"the head was built for features of width {head.shape.dim}, these have {features.dim}. "
            "Evaluate it on a store made with the same model, or train a head on this one."
        )
    if head.needs_words and features.num_texts and not features.has_words:
        raise UsageError(
            "this head reads word features, and the store has only one feature a text. "
            "Extract with word features, or choose a head that reads sentences only (such as mean_pool)."
        )


class HeadScores(ColumnScores):
    """Similarities that a head gives, computed block by block and kept only where one block holds them
    all."""

    def __init__(self, head: Head, texts: EncodedTexts, videos: EncodedVideos) -> None:
        self.head = head
        self.texts = texts.groups
        self.videos = videos.groups
        self.num_texts = sum(len(group.items) for group in self.texts)
        self.num_videos = sum(len(group.items) for group in self.videos)
        self._whole: ScoreBlock | None = None

    def blocks(self) -> Iterator[ScoreBlock]:
        """Every video once, in the order of length."""
        if self.num_texts * self.num_videos <= NUMBERS_PER_BLOCK:
            yield self._everything()
            return
        width = max(1, NUMBERS_PER_BLOCK // self.num_texts)
        for group in self.videos:
            for begin in range(0, len(group.items), width):
                yield self._block(group.cut(begin, begin + width))

    def columns(self, videos: Int[Tensor, " block"]) -> Float[Tensor, "text block"]:
        """Every text with these videos."""
        device = self.videos[0].items.device
        place = torch.full((self.num_videos,), -1, device=device)
        if self.num_texts * self.num_videos <= NUMBERS_PER_BLOCK:
            whole = self._everything()
            place[whole.videos] = torch.arange(self.num_videos, device=device)
            return whole.scores[:, place[videos.to(device)]]
        place[videos.to(device)] = torch.arange(len(videos), device=device)
        scores = torch.empty(self.num_texts, len(videos), device=device)
        for group in self.videos:
            wanted = (place[group.items] >= 0).nonzero().squeeze(1)
            if len(wanted):
                chosen = {name: tensor[wanted] for name, tensor in group.encoded.items()}
                block = self._block(EncodedGroup(group.items[wanted], chosen))
                scores[:, place[block.videos]] = block.scores
        return scores

    def pairs(self, videos: Int[Tensor, " text"]) -> Float[Tensor, " text"]:
        """The score of each text with one video."""
        videos = videos.to(self.videos[0].items.device)
        if self.num_texts * self.num_videos <= NUMBERS_PER_BLOCK:
            whole = self._everything()
            place = torch.empty_like(whole.videos)
            place[whole.videos] = torch.arange(len(place), device=place.device)
            return whole.scores.gather(1, place[videos][:, None]).squeeze(1)
        found = torch.empty(self.num_texts, device=videos.device)
        for text, video in self._blocks_of_pairs(videos):
            block = similarity_in_blocks(self.head, text.encoded, video.encoded)
            place = torch.full((self.num_videos,), -1, device=videos.device)
            place[video.items] = torch.arange(len(video.items), device=videos.device)
            columns = place[videos[text.items]]
            found[text.items] = block.gather(1, columns[:, None]).squeeze(1)
        return found

    def tie_tolerance(self, truth: Float[Tensor, "*query"]) -> Float[Tensor, "*query"]:
        """What the rounding of float32 may make of two equal scores."""
        return torch.full_like(truth, TIE_TOLERANCE)

    def _blocks_of_pairs(self, videos: Int[Tensor, " text"]) -> Iterator[tuple[EncodedGroup, EncodedGroup]]:
        """Blocks that hold every wanted pair, each with only the texts that have one there."""
        for video in self.videos:
            for begin in range(0, len(video.items), ITEMS_PER_BATCH):
                some = video.cut(begin, begin + ITEMS_PER_BATCH)
                for text in self.texts:
                    wanted = torch.isin(videos[text.items], some.items).nonzero().squeeze(1)
                    if len(wanted):
                        chosen = {name: tensor[wanted] for name, tensor in text.encoded.items()}
                        yield EncodedGroup(text.items[wanted], chosen), some

    def _everything(self) -> ScoreBlock:
        if self._whole is None:
            blocks = [self._block(group) for group in self.videos]
            self._whole = ScoreBlock(
                torch.cat([s.videos for s in blocks]), torch.cat([s.scores for s in blocks], dim=1)
            )
        return self._whole

    def _block(self, videos: EncodedGroup) -> ScoreBlock:
        scores = torch.empty(self.num_texts, len(videos.items), device=videos.items.device)
        for text in self.texts:
            scores[text.items] = similarity_in_blocks(self.head, text.encoded, videos.encoded)
        return ScoreBlock(videos.items, scores)


def similarity_matrix(head: Head, features: FeatureSet) -> Float[Tensor, "text video"]:
    """Every text with every video, in the order of the feature set."""
    scores = HeadScores(head, EncodedTexts(head, features), EncodedVideos(head, features))
    matrix = torch.empty(features.num_texts, features.num_videos)
    scores.write_to(matrix.numpy())
    return matrix


@torch.no_grad()
def _encoded_groups(
    encode: Callable[[Int[Tensor, " item"]], Encoded],
    lengths: Int[Tensor, " item"],
    chosen: Int[Tensor, " chosen"] | None,
    device: torch.device,
) -> list[EncodedGroup]:
    """The chosen items encoded in order of their length, so that short ones are not padded to the longest."""
    chosen = torch.arange(len(lengths)) if chosen is None else chosen
    at_once = min(ITEMS_PER_BATCH, max(MIN_PER_BATCH, len(chosen) // LENGTHS_TOLD_APART))
    batches = lengths[chosen].argsort(stable=True).split(at_once)
    groups: list[list[EncodedGroup]] = []
    for items in batches:
        group = EncodedGroup(items.to(device), encode(chosen[items]))
        if groups and _padding(groups[-1][0]) == _padding(group):
            groups[-1].append(group)
        else:
            groups.append([group])
    return [_joined(group) for group in groups]


def _padding(group: EncodedGroup) -> list[torch.Size]:
    return [tensor.shape[1:] for tensor in group.encoded.values()]


def _joined(groups: list[EncodedGroup]) -> EncodedGroup:
    names = groups[0].encoded.keys()
    encoded = {name: torch.cat([group.encoded[name] for group in groups]) for name in names}
    return EncodedGroup(torch.cat([group.items for group in groups]), encoded)
