"""What an archive that nobody has searched yet can be asked: its own captions, or what an encoder sees most in it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..evaluation.scores import ITEMS_PER_BATCH
from ..layers.padding import l2_normalise
from .archive import Archive
from .gallery.coarse import coarse_of
from .searcher import Searcher


@dataclass(frozen=True, slots=True)
class ExampleQuery:
    """A sentence to search with."""

    text: str
    video_id: str | None
    """The video it was written for; None: for none."""

    def rank(self, found: Sequence[str]) -> int | None:
        """Where that video stands among those that were found, 1 for the best; None where it is not among them.

        Args:
            found: ids of the hits, best first.
        """
        return found.index(self.video_id) + 1 if self.video_id in found else None


def example_queries(searcher: Searcher, names: Sequence[str], count: int) -> list[ExampleQuery]:
    """Captions of videos that lie evenly apart in the archive, no text twice; without captions, names.

    Args:
        searcher: of what is to be searched.
        names: what to choose from without captions, such as ``a photo of a dog``, no two the same.
        count: how many queries are wanted; there are fewer where the archive has fewer captions or there are no more
            names.
    """
    captions = _captions(searcher)
    if not captions:
        return [ExampleQuery(name, None) for name in _nearest_names(searcher.archive, names, count)]
    places = np.linspace(0, len(captions) - 1, min(count, len(captions))).round().astype(int)
    return [captions[place] for place in places]


def _captions(searcher: Searcher) -> list[ExampleQuery]:
    """The first caption of each video that has frames; of videos that share one, the first."""
    captions = searcher.catalogue.captions
    owners: dict[str, str] = {}
    for video in searcher.archive.features.video_ids:
        if video in captions:
            owners.setdefault(captions[video][0], video)
    return [ExampleQuery(text, video) for text, video in owners.items()]


def _nearest_names(archive: Archive, names: Sequence[str], count: int) -> list[str]:
    """Names that are nearest to most videos, then those that are second to most, and so on."""
    wanted = min(count, len(names))
    nearest = _nearest(archive, _embedded(archive, names), wanted)
    chosen: dict[int, None] = {}
    for column in nearest.T.tolist():
        chosen.update(dict.fromkeys(name for name, _ in Counter(column).most_common()))
    return [names[place] for place in list(chosen)[:wanted]]


def _embedded(archive: Archive, names: Sequence[str]) -> Float[Tensor, "name dim"]:
    encoded = archive.queries.encoder.encode_texts(names)
    return l2_normalise(torch.from_numpy(np.stack([one.words[one.sentence_row] for one in encoded])))


def _nearest(archive: Archive, names: Float[Tensor, "name dim"], count: int) -> Tensor:
    """Places of the names that are nearest to the mean of each video's frames, the nearest first, [video, count]."""
    coarse, features = coarse_of(archive.head), archive.features
    return torch.cat(
        [
            (coarse.of_videos(features.video_batch(items, archive.head.shape.num_frames)).cpu() @ names.T)
            .topk(count)
            .indices
            for items in torch.arange(features.num_videos).split(ITEMS_PER_BATCH)
        ]
    )
