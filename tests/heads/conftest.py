"""The released code's inputs, weights and outputs, as features of this project."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from tvr.data.contracts.plug_ins import load_plug_in
from tvr.heads.base import FeatureShape, Head, TextFeatures, VideoFeatures, build_head
from tvr.heads.runs.released import load_released


@dataclass(frozen=True)
class Oracle:
    """One file of the oracles."""

    arrays: dict[str, Tensor]
    texts: TextFeatures
    videos: VideoFeatures
    shape: FeatureShape

    def head(self, name: str, *weights: str, **settings: object) -> Head:
        """A head in evaluation mode, filled with the weights whose released names start with ``weights``."""
        head = build_head(name, load_plug_in("tvr.heads", name).Config(**settings), self.shape)
        if weights:
            load_released(head, name, {k: v for k, v in self.arrays.items() if k.startswith(weights)})
        return head.eval()

    @torch.no_grad()
    def similarity(self, head: Head) -> Tensor:
        """What the head says of the oracle's texts and videos."""
        return head.similarity(head.encode_text(self.texts), head.encode_video(self.videos))

    def assert_logits(self, head: Head, key: str) -> None:
        """The head's scaled similarity is what the released code gave."""
        logits = head.logit_scale * self.similarity(head)
        torch.testing.assert_close(logits, self.arrays[key], atol=1e-3, rtol=0)


@pytest.fixture(scope="session")
def oracle(shared: Path) -> Callable[[str], Oracle]:
    """Read one oracle by its name without the seed."""

    def read(name: str) -> Oracle:
        with np.load(shared / "oracles" / f"{name}_seed1.npz") as stored:
            arrays = {key: torch.from_numpy(np.asarray(stored[key])) for key in stored}
        texts = TextFeatures(arrays["words"], arrays["text_mask"].bool(), arrays["sentence"])
        videos = VideoFeatures(arrays["video"], arrays["video_mask"].bool())
        scale = float(arrays["logit_scale"].double().exp())
        _, frames, dim = videos.frames.shape
        return Oracle(arrays, texts, videos, FeatureShape(dim, frames, texts.mask.shape[1], scale))

    return read
