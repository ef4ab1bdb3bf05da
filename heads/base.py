"""The Head contract. Every other file here is one head: a ``Config``, a ``Head``, a citation.

Axes, in this order and by these names everywhere: ``text`` ``video`` (items; text before video, always),
``word`` ``phrase`` ``sentence`` ``frame`` ``clip`` (their parts), ``dim`` (feature width).

A plug-in file holds ``CITATION`` (a string), ``Config`` (a frozen dataclass with a docstring under each field) and
``Head(config, shape)``. Features come in un-normalised and post-projection, as CLIP gives them; similarities go out
on cosine scale.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ..data.contracts.errors import UsageError, unknown_name
from ..data.contracts.numbers import Count, Positive, check_numbers
from ..data.contracts.plug_ins import load_plug_in, plug_in_names
from ..data.contracts.records import configured, reconfigured
from .layers.losses import symmetric_info_nce

Encoded = Mapping[str, Tensor]
"""What a head keeps of a set of items: named tensors whose first axis is the item, so that any block can be cut."""

DENOISED = "denoised_pairs"
"""Among the terms of ``Head.loss`` the one that is a count."""

NARROWEST = 256
"""Width of the narrowest CLIP that is published."""


@dataclass(frozen=True, slots=True)
class FeatureShape:
    """What a head must know of the features before it sees any."""

    dim: Count
    """Width of a frame or word feature."""
    num_frames: Count
    """The most frames a video has after sub-sampling."""
    num_words: Count
    """The most words a text has, start and end token included."""
    logit_scale: Positive = 100.0
    """What multiplies cosines in the loss; the encoder's own, at most 100."""
    attention_heads: Count | None = None
    """Of the encoder's text tower; None where it is of another width, and in runs from before it was asked."""

    def heads(self, asked: int | None) -> int | None:
        """How many attention heads a transformer over these features has: as many as asked for, else as the encoder.

        None leaves it to ``layers.transformer.attention_heads``: where the encoder does not say, and where features
        are narrower than those of any published CLIP, which lose by its few heads.
        """
        own = self.attention_heads if self.dim >= NARROWEST else None
        return own if asked is None else asked


@dataclass(frozen=True, slots=True)
class VideoFeatures:
    """A padded batch of videos."""

    frames: Float[Tensor, "video frame dim"]
    mask: Bool[Tensor, "video frame"]
    """True where a frame is real. Every video has at least one."""


@dataclass(frozen=True, slots=True)
class TextFeatures:
    """A padded batch of texts."""

    words: Float[Tensor, "text word dim"]
    """Every token position from the start to the end token, in order."""
    mask: Bool[Tensor, "text word"]
    """True where a word is real. Every text has at least one."""
    sentence: Float[Tensor, "text dim"]
    """The pooled row: what the encoder itself returns for the text."""
    parts: Float[Tensor, "text part dim"] | None = None
    """Paragraph sets only: the pooled row of each sentence of the paragraph."""
    parts_mask: Bool[Tensor, "text part"] | None = None


class Head(nn.Module):
    """Maps features of texts and videos to similarities. Sub-classes fill in the two encoders and ``similarity``.

    Masks are honoured: changing padded values, the padding length or the rest of the batch changes nothing.
    """

    num_views = 1
    """How many segment-random views of each video ``loss`` asks for; they are one and the same where the head sees
    all stored frames."""
    denoises = False
    """Whether ``loss`` looks for pairs that are wrongly labelled as negatives, and counts them."""
    needs_words = True
    """Whether word features are read; a head that only reads ``sentence`` works on a store without words."""
    has_weights = True
    """Whether there is anything to train."""

    logit_scale: Float[Tensor, ""]

    def __init__(self, shape: FeatureShape) -> None:
        super().__init__()
        self.shape = shape
        self.register_buffer("logit_scale", torch.tensor(float(shape.logit_scale)))

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.logit_scale.device

    @property
    def device_number(self) -> int:
        """That of the GPU it computes on, -1 for the CPU.

        Much quicker to tell than ``device``, whose look-up takes as long as half the product of two vectors.
        """
        return self._buffers["logit_scale"].get_device()  # pyright: ignore[reportOptionalMemberAccess]

    def encode_video(self, video: VideoFeatures) -> Encoded:
        """What ``similarity`` needs of each video; run once per video."""
        raise NotImplementedError

    def encode_text(self, text: TextFeatures) -> Encoded:
        """What ``similarity`` needs of each text; run once per text."""
        raise NotImplementedError

    def similarity(self, text: Encoded, video: Encoded) -> Float[Tensor, "text video"]:
        """Similarities on cosine scale of every text with every video of a block."""
        raise NotImplementedError

    def numbers_per_pair(self) -> int:
        """How many numbers ``similarity`` holds per text-video pair at its peak; blocks are cut by it."""
        return 1

    def unpacked(self, released: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Released weights by the names of this head, those taken apart that the release keeps in one tensor."""
        return released

    def loss(
        self, text: Encoded, views: Sequence[Encoded], same_video: Bool[Tensor, "text video"]
    ) -> dict[str, Float[Tensor, ""]]:
        """Loss terms of a batch of pairs (text i describes video i); the key ``total`` is what is minimised.

        A head that ``denoises`` adds under ``DENOISED`` how many pairs of different videos it takes for no negatives.

        Args:
            text: encoded texts.
            views: ``num_views`` encodings of the same videos in the same order.
            same_video: True where text i describes video j: the diagonal, and other captions of the same video.
        """
        logits = self.logit_scale * self.similarity(text, views[0])
        return {"total": symmetric_info_nce(logits, same_video)}


def heads_with_weights(*, trained: bool = True) -> list[str]:
    """Names of the heads that have weights to train, or of those that have none."""
    names = plug_in_names("tvr.heads")
    return [name for name in names if load_plug_in("tvr.heads", name).Head.has_weights is trained]


def check_trainable(name: str, option: str) -> None:
    """See that a head is there and has weights to train.

    Args:
        name: of the head.
        option: what is typed to choose another one, such as ``--head NAME``.

    Raises:
        UsageError: it is not there, or has none; the message names those that have.
    """
    trainable = heads_with_weights()
    if name in trainable:
        return
    if name in plug_in_names("tvr.heads"):
        raise UsageError(
            f"head {name!r} has no parameters to train; choose another one with {option}: {', '.join(trainable)}\n"
            f"It is scored as it is: tvr eval --zero-shot {name}"
        )
    raise UsageError(unknown_name("head", name, trainable))


def configured_head(name: str, settings: Mapping[str, str]) -> Any:
    """A head's ``Config`` from ``key=value`` strings; with ``preset=paper``, from what its authors published.

    The preset is no field: what is kept of a run are the settings that it stands for.

    Raises:
        UsageError: no head has that name, it has no such preset, or a setting is refused.
    """
    module = load_plug_in("tvr.heads", name)
    others = {key: value for key, value in settings.items() if key != "preset"}
    preset = settings.get("preset")
    if preset is None:
        return configured(module.Config, others, name)
    known = {"default": module.Config()}
    if hasattr(module, "PUBLISHED"):
        known["paper"] = module.PUBLISHED
    if preset not in known:
        raise UsageError(unknown_name(f"preset of {name}", preset, known))
    return reconfigured(known[preset], others, name)


def build_head(name: str, config: Any, shape: FeatureShape) -> Head:
    """The head of that name for features of that shape.

    Raises:
        UsageError: no head has that name, and the message lists the known ones; or a number is out of its range.
    """
    check_numbers(config)
    check_numbers(shape)
    return load_plug_in("tvr.heads", name).Head(config, shape)
