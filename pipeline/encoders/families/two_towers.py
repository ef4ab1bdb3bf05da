"""Models with a network of pictures and one of texts that meet in one space, as CLIP's do.

CLIP (Radford et al. 2021, arXiv 2103.00020), SigLIP (Zhai et al. 2023, arXiv 2303.15343) and SigLIP 2 of a fixed
resolution (Tschannen et al. 2025, arXiv 2502.14786), AltCLIP (Chen et al. 2022, arXiv 2211.06679), Chinese-CLIP (Yang
et al. 2022, arXiv 2211.01335) and MetaCLIP 2 (Chuang et al. 2025, arXiv 2507.22062).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ....data.contracts.errors import WeightsError
from ...preprocessing import Preprocessing
from ..base import EncodedText
from ..towers.precision import Arithmetic
from .network import image_processor_of, network_of, tokenizer_of_repository
from .pictures import preprocessing_of_square
from .repository import Repository
from .texts import TextPasses, TokenIds, encoded_text, padded, token_ids_of

MAX_TRAINED_SCALE = 100.0
"""To which CLIP clips its own (Radford et al. 2021, section 2.5)."""
_FIRST_END_ID = 2
"""In configurations of CLIP that were written before the library pooled at the end token: the largest id is meant."""


@dataclass(frozen=True)
class _Family:
    """How a text network of one kind reads and pools."""

    library_name: str
    pooled: Literal["end", "first", "last"]
    """At the end token, the first token or the last position, padding or not."""
    sees_padding: bool = False
    """Whether it was trained on texts that are padded to the context, without a mask."""
    is_causal: bool = False
    """Whether no position sees what comes after it, so that padding behind a text changes nothing."""


_FAMILIES = {
    "clip": _Family("CLIP", "end", is_causal=True),
    "metaclip_2": _Family("MetaClip2", "end", is_causal=True),
    "siglip": _Family("Siglip", "last", sees_padding=True),
    "altclip": _Family("AltCLIP", "first"),
    "chinese_clip": _Family("ChineseCLIP", "first"),
}
TWO_TOWER_TYPES = tuple(_FAMILIES)
"""``model_type`` of the configurations that are known here. That of SigLIP 2 with a fixed resolution is ``siglip``."""


class TwoTowers:
    """Such a model, and what it can give.

    Args:
        repository: its files.
        is_random: whether its weights are drawn.

    Raises:
        WeightsError: the files make no model, or one that was not trained as it would be run here.
    """

    frames_per_pass = None
    """As suits any vision transformer."""

    def __init__(self, repository: Repository, *, is_random: bool) -> None:
        self._model = repository.model
        self._family = _FAMILIES[repository.config["model_type"]]
        self.network: Any = network_of(repository, self._family.library_name, is_random=is_random)
        self.tokenizer: Any = tokenizer_of_repository(repository, self.network.config)
        self._text_config, self._image_config = (
            self.network.config.text_config,
            self.network.config.vision_config,
        )
        is_pooled_by_head = not hasattr(self.network, "text_projection")
        self._word_projection: Any = (
            self.network.text_model.head if is_pooled_by_head else self.network.text_projection
        )
        self._patch_projection: Any = getattr(self.network, "visual_projection", None)
        self.context_length = self._context_length()
        self._padding = self._padding_id()
        self.preprocessing: Preprocessing = preprocessing_of_square(
            image_processor_of(repository, self.network.config),
            self._image_config.image_size,
            repository.model,
        )
        self._check()

    @property
    def image_network(self) -> Any:
        """What may be compiled."""
        return self.network.vision_model

    @property
    def dim(self) -> int:
        """Width of a feature."""
        return int(self._word_projection.out_features)

    @property
    def attention_heads(self) -> int | None:
        """Of the text network, where it is as wide as a feature."""
        is_as_wide = self._text_config.hidden_size == self.dim
        return int(self._text_config.num_attention_heads) if is_as_wide else None

    @property
    def activation(self) -> str:
        """Of the layers, of both networks where they differ."""
        names = [str(config.hidden_act) for config in (self._image_config, self._text_config)]
        return ", ".join(dict.fromkeys(names))

    @property
    def logit_scale(self) -> float:
        """What cosines were multiplied with in training."""
        return min(float(self.network.logit_scale.detach().exp().item()), MAX_TRAINED_SCALE)

    @property
    def patches_unavailable_reason(self) -> str:
        """Empty where patches have features."""
        if self._patch_projection is None:
            return "its image network pools patches by attention, so that no projection belongs to a single patch"
        return ""

    @property
    def num_patches(self) -> int:
        """Of a frame; 0 where they have no features."""
        if self.patches_unavailable_reason:
            return 0
        return int(self._image_config.image_size // self._image_config.patch_size) ** 2

    def features(
        self, pictures: Float[Tensor, "frame 3 height width"], patches: bool
    ) -> tuple[Float[Tensor, "frame *patch dim"], ...]:
        """What ``get_image_features`` gives and, if they are wanted, the patches through the norm and projection of
        the class token, row by row of the picture."""
        found = self.network.get_image_features(pixel_values=pictures, return_dict=True)
        if not patches:
            return (found.pooler_output,)
        tokens = self.network.vision_model.post_layernorm(found.last_hidden_state[:, 1:])
        return found.pooler_output, self._patch_projection(tokens)

    def texts(self, arithmetic: Arithmetic) -> TextPasses:
        """What encodes texts."""
        return TextPasses(self._tokenise, self._rows, self.context_length, arithmetic)

    def _tokenise(self, texts: Sequence[str]) -> list[TokenIds]:
        return token_ids_of(self.tokenizer, texts, self.context_length)

    def _rows(self, tokens: Sequence[TokenIds], positions: int, device: torch.device) -> list[EncodedText]:
        """Every token through the projection of the pooled one, and what ``get_text_features`` gives."""
        family = self._family
        length = self.context_length if family.sees_padding else positions
        is_left = family.sees_padding and self.tokenizer.padding_side == "left"
        ids, mask = padded(tokens, length, self._padding, device, is_left=is_left)
        masked = {} if family.sees_padding or family.is_causal else {"attention_mask": mask}
        found = self.network.get_text_features(input_ids=ids, return_dict=True, **masked)
        words = self._word_projection(found.last_hidden_state)
        rows: list[EncodedText] = []
        for row, one in enumerate(tokens):
            start = length - len(one.ids) if is_left else 0
            pooled_row = self._pooled_position(one.ids, length) - start
            rows.append(
                encoded_text(
                    words[row, start : start + len(one.ids)],
                    one.ids,
                    found.pooler_output[row],
                    pooled_row if pooled_row < len(one.ids) else None,
                    truncated=one.truncated,
                )
            )
        return rows

    def _pooled_position(self, ids: Sequence[int], length: int) -> int:
        """Where the library takes the pooled row of a text from."""
        if self._family.pooled != "end":
            return 0 if self._family.pooled == "first" else length - 1
        return list(ids).index(self._end_id(ids))

    def _end_id(self, ids: Sequence[int]) -> int:
        end = int(self._text_config.eos_token_id)
        return max(ids) if end == _FIRST_END_ID and self._family.library_name == "CLIP" else end

    def _context_length(self) -> int:
        """Of the network and its tokenizer, whichever is less."""
        positions = int(self._text_config.max_position_embeddings)
        if self._family.library_name == "AltCLIP":
            positions -= (
                int(self._text_config.pad_token_id) + 1
            )  # as in RoBERTa, whose positions begin behind it
        return min(positions, int(self.tokenizer.model_max_length))

    def _padding_id(self) -> int:
        if self.tokenizer.pad_token_id is None:
            raise WeightsError(
                f"the tokenizer of {self._model} has no token that pads texts: add pad_token to its "
                "tokenizer_config.json"
            )
        return int(self.tokenizer.pad_token_id)

    def _check(self) -> None:
        """That the networks meet in one space, and that the tokenizer is the network's own."""
        if not getattr(self._image_config, "vision_use_head", True):
            raise WeightsError(f"{self._model} has no head over its patches, and so no feature of a frame")
        width = (
            self._patch_projection.out_features if self._patch_projection else self._image_config.hidden_size
        )
        if width != self.dim:
            raise WeightsError(
                f"{self._model} gives frames {width} numbers and texts {self.dim}: no common space"
            )
        ids = self._tokenise(["a"])[0].ids
        if max(ids) >= self._text_config.vocab_size:
            raise WeightsError(
                f"the tokenizer of {self._model} gives token {max(ids)}, and its network knows "
                f"{self._text_config.vocab_size}: they belong to different models"
            )
        if self._family.pooled == "end" and self._end_id(ids) not in ids:
            raise WeightsError(
                f"the tokenizer of {self._model} does not end texts with token {self._end_id(ids)}, where its network "
                "takes the feature of a text from: they belong to different models"
            )
