"""Qwen3-VL-Embedding (Li et al. 2026, arXiv 2601.04720): one language model that sees, for pictures and for texts.

Both are put into the same conversation: a system's turn with the instruction, the user's turn with the picture or the
text, and the beginning of an assistant's turn. The embedding is the last layer's state of its last token, after the
final norm. Published features are divided by their length; here they are handed out as they are, like all others.

The instruction is the model's default for both sides. Pictures have one size here, so that a frame costs the same
wherever it comes from: they are scaled to fit a square of 14 x 14 tokens and padded, so that nothing is cut or bent.
Words are the states of the text's own tokens, patches those of the picture's: in the same space, but only the last
token was trained to be compared. A Qwen3-VL that was trained to chat is built alike and loads as well; its features
were not trained to be compared at all.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ....data.contracts.errors import WeightsError
from ...preprocessing import Preprocessing
from ..base import EncodedText
from ..towers.precision import Arithmetic
from .network import image_processor_of, network_of, tokenizer_of_repository
from .pictures import interpolation_of, normalisation_of
from .repository import Repository
from .texts import TextPasses, TokenIds, encoded_text, padded

QWEN_TYPE = "qwen3_vl"
"""``model_type`` of the configuration."""

_BEFORE = "<|im_start|>system\nRepresent the user's input.<|im_end|>\n<|im_start|>user\n"
_BEHIND = "<|im_end|>\n<|im_start|>assistant\n"
_PICTURE = "<|vision_start|>{}<|vision_end|>"
_PICTURE_TOKEN = "<|image_pad|>"  # noqa: S105  # nosec B105
_TOKENS_PER_SIDE = 14
_CONTEXT_LENGTH = 512
"""Of a model that reads far longer ones: a caption is a sentence or a paragraph."""
_LOGIT_SCALE = 20.0
"""The model has none of its own; 1 / 0.05, a usual temperature of embeddings."""


class QwenEmbedding:
    """Such a model, and what it can give.

    Args:
        repository: its files.
        is_random: whether its weights are drawn.

    Raises:
        WeightsError: the files make no model, or their parts do not belong together.
    """

    activation, logit_scale, patches_unavailable_reason = "", _LOGIT_SCALE, ""
    frames_per_pass = 32
    """Each is a text of hundreds of tokens, which keep a GPU busy."""

    def __init__(self, repository: Repository, *, is_random: bool) -> None:
        self._model = repository.model
        self.network: Any = network_of(repository, "Qwen3VL", is_random=is_random)
        self.tokenizer: Any = tokenizer_of_repository(repository, self.network.config)
        self._text_config, self._image_config = (
            self.network.config.text_config,
            self.network.config.vision_config,
        )
        self.preprocessing = self._preprocessing(image_processor_of(repository, self.network.config))
        self._check_tokenizer()
        self._picture_ids = self._ids_around_picture()
        self._picture_positions = self._positions_around_picture()
        limits = (_CONTEXT_LENGTH, self._text_config.max_position_embeddings, self.tokenizer.model_max_length)
        self.context_length = int(min(limits))

    @property
    def image_network(self) -> Any:
        """What may be compiled."""
        return self.network.visual

    @property
    def dim(self) -> int:
        """Width of a feature."""
        return int(self._text_config.hidden_size)

    @property
    def attention_heads(self) -> int:
        """Of the language model, which is as wide as a feature."""
        return int(self._text_config.num_attention_heads)

    @property
    def num_patches(self) -> int:
        """Of a frame."""
        return _TOKENS_PER_SIDE**2

    def features(
        self, pictures: Float[Tensor, "frame 3 height width"], patches: bool
    ) -> tuple[Float[Tensor, "frame *patch dim"], ...]:
        """The state of the last token behind each picture and, if they are wanted, those of the picture's own."""
        num_frames, device = len(pictures), pictures.device
        ids = self._picture_ids.to(device).expand(num_frames, -1)
        side = _TOKENS_PER_SIDE * self._image_config.spatial_merge_size
        states = self.network(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            position_ids=self._picture_positions.to(device).expand(-1, num_frames, -1),
            pixel_values=self._as_patches(pictures).flatten(0, 1),
            image_grid_thw=torch.tensor([[1, side, side]], device=device).expand(num_frames, -1),
            use_cache=False,
            return_dict=True,
        ).last_hidden_state
        frames = states[:, -1]
        is_of_picture = self._picture_ids[0] == self.network.config.image_token_id
        return (frames, states[:, is_of_picture.to(device)]) if patches else (frames,)

    def texts(self, arithmetic: Arithmetic) -> TextPasses:
        """What encodes texts."""
        return TextPasses(self._tokenise, self._rows, self.context_length, arithmetic)

    def _tokenise(self, texts: Sequence[str]) -> list[TokenIds]:
        """The whole conversations; a text that is too long is cut, and never what stands around it."""
        found: list[TokenIds] = []
        for text in texts:
            encoded = self.tokenizer(f"{_BEFORE}{text}{_BEHIND}", return_offsets_mapping=True, verbose=False)
            first, last = len(_BEFORE), len(_BEFORE) + len(text)
            ids, spans = encoded["input_ids"], encoded["offset_mapping"]
            inside = [place for place, (start, end) in enumerate(spans) if first <= start < end <= last]
            begin = inside[0] if inside else 0
            behind = inside[-1] + 1 if inside else 0
            surplus = max(0, len(ids) - self.context_length)
            own = ids[begin : behind - surplus]
            found.append(
                TokenIds(
                    [*ids[:begin], *own, *ids[behind:]],
                    truncated=surplus > 0,
                    own=slice(begin, begin + len(own)),
                )
            )
        return found

    def _rows(self, tokens: Sequence[TokenIds], positions: int, device: torch.device) -> list[EncodedText]:
        """States of each text's own tokens, and that of the last token behind it."""
        ids, mask = padded(tokens, positions, self.tokenizer.pad_token_id or 0, device)
        states = self.network(
            input_ids=ids, attention_mask=mask, use_cache=False, return_dict=True
        ).last_hidden_state
        return [
            encoded_text(
                state[one.own],
                one.ids[one.own],
                state[len(one.ids) - 1],
                pooled_row=None,
                truncated=one.truncated,
            )
            for one, state in zip(tokens, states, strict=True)
        ]

    def _as_patches(
        self, pictures: Float[Tensor, "frame 3 height width"]
    ) -> Float[Tensor, "frame patch value"]:
        """Patches as the library's image processor lays them out: those that become one token stand together, and each
        stands there twice, as a film of two pictures does."""
        config = self._image_config
        size, merged = config.patch_size, config.spatial_merge_size
        grid = pictures.unflatten(3, (-1, merged, size)).unflatten(2, (-1, merged, size))
        # frame, colour, (row of tokens, row in it, y), (column of tokens, column in it, x)
        grid = grid.permute(0, 2, 5, 3, 6, 1, 4, 7).unsqueeze(6)
        grid = grid.expand(*grid.shape[:6], config.temporal_patch_size, size, size)
        return grid.flatten(5).flatten(1, 4)

    def _preprocessing(self, processor: Any) -> Preprocessing:
        config = self._image_config
        own = (config.patch_size, config.spatial_merge_size, config.temporal_patch_size)
        named = (processor.patch_size, processor.merge_size, processor.temporal_patch_size)
        if own != named:
            raise WeightsError(
                f"the image processor of {self._model} makes patches of {named}, and its network reads {own} (pixels, "
                "patches a token, pictures): they belong to different models"
            )
        side = _TOKENS_PER_SIDE * config.patch_size * config.spatial_merge_size
        mean, std = normalisation_of(processor, self._model)
        return Preprocessing(side, side, "longest", interpolation_of(processor, self._model), mean, std)

    def _check_tokenizer(self) -> None:
        if not self.tokenizer.is_fast:
            raise WeightsError(
                f"the tokenizer of {self._model} has no tokenizer.json, by which a text is found among its tokens"
            )
        needed = len(self.tokenizer(f"{_BEFORE}{_BEHIND}")["input_ids"])
        if needed >= self.tokenizer.model_max_length:
            raise WeightsError(
                f"the tokenizer of {self._model} reads {self.tokenizer.model_max_length} tokens, which leaves no room "
                f"for a text within the {needed} of its conversation"
            )

    def _ids_around_picture(self) -> Int64[Tensor, "1 position"]:
        """The conversation with a picture in it."""
        picture = _PICTURE.format(_PICTURE_TOKEN * self.num_patches)
        ids = self.tokenizer(f"{_BEFORE}{picture}{_BEHIND}", verbose=False)["input_ids"]
        if ids.count(self.network.config.image_token_id) != self.num_patches:
            raise WeightsError(
                f"the tokenizer of {self._model} does not write {_PICTURE_TOKEN} as token "
                f"{self.network.config.image_token_id}, where its network reads pictures: they belong to different "
                "models"
            )
        return torch.tensor([ids])

    def _positions_around_picture(self) -> Int64[Tensor, "3 1 position"]:
        """Of each token in time, height and width."""
        side = _TOKENS_PER_SIDE * self._image_config.spatial_merge_size
        positions, _ = self.network.get_rope_index(
            self._picture_ids,
            mm_token_type_ids=(self._picture_ids == self.network.config.image_token_id).int(),
            image_grid_thw=torch.tensor([[1, side, side]]),
        )
        return positions
