"""Which vectors of a text look for which vectors of a video, where a head compares words with frames.

An index of every frame is made of the latter and asked by the former. What a head does with the cosines differs from
head to head; that the best videos have frames near to the words does not.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ...base import Encoded, Head
from .coarse import encoded_examples

_PAIRS = (("mixed_words", "frames"), ("words", "frames"), ("parts", "parts"), ("entity", "entity"))
"""What heads call the tokens of a text and of a video among what they encode, as they compare them."""
_WHOLES = ("sentence", "whole")
"""What they call the single vector of a text."""
WHOLE_SHARE = 0.5
"""Of the votes those of a text's single vector, where the head has one beside the words."""


@dataclass(frozen=True, slots=True)
class AskedTokens:
    """What one text asks for."""

    vectors: Float[np.ndarray, "asked dim"]
    weights: Float[np.ndarray, " asked"]
    """How much each counts; they sum to 1."""


@dataclass(frozen=True, slots=True)
class TokenNames:
    """Among what a head encodes."""

    text: str
    """The vectors of words."""
    video: str
    """Those of frames."""
    whole: str | None
    """The single vector of a text, as wide as they are; None: there is none."""

    def asked(self, text: Encoded, row: int) -> AskedTokens:
        """What one of some encoded texts asks for."""
        mask = _beside(text, self.text, "mask")
        vectors = text[self.text][row].detach().float()
        real = torch.ones(len(vectors), dtype=torch.bool) if mask is None else mask[row].cpu()
        weights = _beside(text, self.text, "weights")
        counts = torch.ones(len(vectors)) if weights is None else weights[row].detach().float().cpu()
        vectors, counts = vectors.cpu()[real], counts[real]
        counts = counts / counts.sum().clamp_min(torch.finfo(counts.dtype).tiny)
        if self.whole is not None:
            vectors = torch.cat([vectors, text[self.whole][[row]].detach().float().cpu()])
            counts = torch.cat([counts * (1 - WHOLE_SHARE), torch.tensor([WHOLE_SHARE])])
        return AskedTokens(vectors.numpy(), counts.numpy())

    def found(
        self, videos: Encoded
    ) -> tuple[Float[Tensor, "row dim"], Int[Tensor, " row"], Int[Tensor, " row"]]:
        """The vectors of some encoded videos that can be found: of padding there are none.

        Returns:
            The vectors, and for each the place of its video among these and its own place in the video.
        """
        tokens = videos[self.video]
        mask = _beside(videos, self.video, "mask")
        real = torch.ones(tokens.shape[:2], dtype=torch.bool) if mask is None else mask
        places, own = real.nonzero(as_tuple=True)
        return tokens[real], places, own


def compared_tokens(head: Head) -> TokenNames | None:
    """What a head that compares words with frames calls them; None: it compares no such vectors."""
    text, video = encoded_examples(head)
    for text_name, video_name in _PAIRS:
        words, frames = text.get(text_name), video.get(video_name)
        if words is not None and frames is not None and words.ndim == frames.ndim == 3:
            if words.shape[2] != frames.shape[2]:
                continue
            wholes = [name for name in _WHOLES if name in text and text[name].shape[1:] == words.shape[2:]]
            return TokenNames(text_name, video_name, wholes[0] if wholes else None)
    return None


def _beside(encoded: Encoded, name: str, what: str) -> Tensor | None:
    """Mask or weights of tokens, which heads with several kinds of tokens name after each."""
    return encoded.get(f"{name}_{what}", encoded.get(what))
