"""The items of a gallery as a head compares them, whether they are encoded now or were before."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Int
from torch import Tensor

from ...base import Encoded, Head
from ...features.feature_set import FeatureSet


@runtime_checkable
class EncodedItems(Protocol):
    """Items of a gallery as a head compares them."""

    @property
    def head(self) -> Head:
        """That encodes."""
        ...

    @property
    def features(self) -> FeatureSet:
        """The items."""
        ...

    def of(self, items: Int[Tensor, " item"]) -> Encoded:
        """Of some items, in single precision."""
        ...


@dataclass(frozen=True)
class EncodedNow:
    """Encodes them whenever they are asked for."""

    head: Head
    features: FeatureSet

    def of(self, items: Int[Tensor, " item"]) -> Encoded:
        """See ``EncodedItems``."""
        return self.head.encode_video(self.features.video_batch(items, self.head.shape.num_frames))


def drawn_places(count: int, most: int) -> Int[Tensor, " drawn"]:
    """Places of at most so many of ``count`` items, drawn by chance, but always the same ones."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(0))[:most]
