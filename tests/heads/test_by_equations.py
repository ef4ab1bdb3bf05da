"""Heads that others trained, written again from the equations by plain loops, at sizes that no oracle has.

Weights have the names of the releases, so that these also say where each belongs. Every item is computed by itself.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import layer_norm, normalize, softmax
from tvr.data.contracts.plug_ins import load_plug_in
from tvr.heads.base import FeatureShape, TextFeatures, VideoFeatures
from tvr.heads.runs.released import load_released

Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Case:
    """Random features, masks and weights of one size, in double precision."""

    texts: int
    words: int
    videos: int
    frames: int
    dim: int
    heads: int
    layers: int

    @property
    def shape(self) -> FeatureShape:
        return FeatureShape(self.dim, self.frames, self.words)

    def features(self) -> tuple[TextFeatures, VideoFeatures]:
        words = 8 * torch.randn(self.texts, self.words, self.dim, dtype=torch.float64)
        frames = 8 * torch.randn(self.videos, self.frames, self.dim, dtype=torch.float64)
        text_mask = torch.arange(self.words) < torch.randint(2, self.words + 1, (self.texts, 1))
        video_mask = torch.arange(self.frames) < torch.randint(1, self.frames + 1, (self.videos, 1))
        words, frames = words * text_mask[..., None], frames * video_mask[..., None]
        sentence = words[torch.arange(self.texts), text_mask.sum(1) - 1]
        return TextFeatures(words, text_mask, sentence), VideoFeatures(frames, video_mask)

    def transformer(self, name: str, table: str = "frame_position_embeddings.weight") -> dict[str, Tensor]:
        """Blocks of CLIP under ``name``, and positions for more parts than there are."""
        found = {table: random(77, self.dim)}
        for layer in range(self.layers):
            block = f"{name}.resblocks.{layer}"
            found |= linear(f"{block}.attn.in_proj_", 3 * self.dim, self.dim)
            found |= linear(f"{block}.attn.out_proj.", self.dim, self.dim)
            found |= linear(f"{block}.mlp.c_fc.", 4 * self.dim, self.dim)
            found |= linear(f"{block}.mlp.c_proj.", self.dim, 4 * self.dim)
            for norm in ("ln_1", "ln_2"):
                found |= {
                    f"{block}.{norm}.weight": random(self.dim),
                    f"{block}.{norm}.bias": random(self.dim),
                }
        return found


def random(*size: int) -> Tensor:
    return torch.randn(*size, dtype=torch.float64) * 0.7 * size[-1] ** -0.5


def linear(name: str, out: int, dim: int) -> dict[str, Tensor]:
    return {f"{name}weight": random(out, dim), f"{name}bias": random(out)}


def affine(weights: Weights, name: str, value: Tensor) -> Tensor:
    return weights[f"{name}weight"] @ value + weights[f"{name}bias"]


def normed(weights: Weights, name: str, value: Tensor, eps: float) -> Tensor:
    return layer_norm(value, value.shape, weights[f"{name}.weight"], weights[f"{name}.bias"], eps)


def quick(value: Tensor) -> Tensor:
    return value / (1 + torch.exp(-1.702 * value))


@dataclass(frozen=True)
class Item:
    """A text or a video without its padding."""

    parts: Tensor
    sentence: Tensor
    padding: int
    """How many parts it falls short of the most."""


Score = Callable[[Case, Weights, list[Item], list[Item]], list[list[Tensor]]]


def transformed(case: Case, weights: Weights, name: str, parts: list[Tensor]) -> list[Tensor]:
    """Parts of one item through CLIP's blocks, one head and one part at a time."""
    width = case.dim // case.heads
    for layer in range(case.layers):
        block = f"{name}.resblocks.{layer}"
        asked = [
            affine(weights, f"{block}.attn.in_proj_", normed(weights, f"{block}.ln_1", part, 1e-12))
            for part in parts
        ]
        query, key, value = (
            torch.stack(some) for some in zip(*(a.split(case.dim) for a in asked), strict=True)
        )
        moved: list[Tensor] = []
        for place, part in enumerate(parts):
            mixed: list[Tensor] = []
            for head in range(case.heads):
                own = slice(head * width, (head + 1) * width)
                share = softmax(key[:, own] @ query[place, own] / width**0.5, dim=0)
                mixed.append(share @ value[:, own])
            moved.append(part + affine(weights, f"{block}.attn.out_proj.", torch.cat(mixed)))
        wide = [
            quick(affine(weights, f"{block}.mlp.c_fc.", normed(weights, f"{block}.ln_2", part, 1e-12)))
            for part in moved
        ]
        parts = [
            part + affine(weights, f"{block}.mlp.c_proj.", more)
            for part, more in zip(moved, wide, strict=True)
        ]
    return parts


def contextual(case: Case, weights: Weights, frames: Tensor) -> Tensor:
    """CLIP4Clip's sequential transformer with its outer residual."""
    positions = weights["frame_position_embeddings.weight"]
    placed = [frame + position for frame, position in zip(frames, positions, strict=False)]
    return frames + torch.stack(transformed(case, weights, "transformerClip", placed))


def unit(parts: Tensor) -> Tensor:
    return normalize(parts, dim=-1)


def mean(parts: Tensor) -> Tensor:
    return unit(unit(parts).mean(dim=0))


def seq_transformer(
    case: Case, weights: Weights, texts: list[Item], videos: list[Item]
) -> list[list[Tensor]]:
    pooled = [mean(contextual(case, weights, video.parts)) for video in videos]
    return [[unit(text.sentence) @ video for video in pooled] for text in texts]


def seq_lstm(case: Case, weights: Weights, texts: list[Item], videos: list[Item]) -> list[list[Tensor]]:
    pooled: list[Tensor] = []
    for video in videos:
        hidden = cell = torch.zeros(case.dim, dtype=torch.float64)
        found: list[Tensor] = []
        for frame in video.parts:
            gates = weights["lstm_visual.weight_ih_l0"] @ frame + weights["lstm_visual.bias_ih_l0"]
            gates = gates + weights["lstm_visual.weight_hh_l0"] @ hidden + weights["lstm_visual.bias_hh_l0"]
            enter, forget, new, leave = gates.split(case.dim)
            cell = torch.sigmoid(forget) * cell + torch.sigmoid(enter) * torch.tanh(new)
            hidden = torch.sigmoid(leave) * torch.tanh(cell)
            found.append(hidden + frame)
        pooled.append(mean(torch.stack(found)))
    return [[unit(text.sentence) @ video for video in pooled] for text in texts]


def tight_transformer(
    case: Case, weights: Weights, texts: list[Item], videos: list[Item]
) -> list[list[Tensor]]:
    """A bare logit; the head divides it by the logit scale of 100."""
    positions = weights["cross.embeddings.position_embeddings.weight"]

    def score(text: Item, video: Item) -> Tensor:
        parts = torch.cat([text.sentence[None], video.parts])
        moved = transformed(case, weights, "cross.transformer", list(parts + positions[: len(parts)]))
        pooled = quick(
            affine(weights, "cross.pooler.dense.", normed(weights, "cross.pooler.ln_pool", moved[0], 1e-12))
        )
        return affine(weights, "similarity_dense.", pooled)[0] / 100

    return [[score(text, video) for video in videos] for text in texts]


def attended(scores: Tensor, matrix: Tensor) -> Tensor:
    """X-CLIP's attention over similarities, one after the other."""
    share = softmax(scores / 0.01, dim=0)
    mixed = [sum(share[j] * matrix[j, t] for j in range(len(scores))) for t in range(len(scores))]
    return torch.stack([score * weight for score, weight in zip(scores, mixed, strict=True)]).sum()


def xclip(case: Case, weights: Weights, texts: list[Item], videos: list[Item]) -> list[list[Tensor]]:
    def filled(item: Item) -> Tensor:
        return torch.cat([unit(item.parts), torch.zeros(item.padding, case.dim, dtype=torch.float64)])

    pooled = [mean(contextual(case, weights, video.parts)) for video in videos]

    def score(text: Item, video: Item, whole: Tensor) -> Tensor:
        sentence, words, frames = unit(text.sentence), filled(text), filled(video)
        pairs = words @ weights["local_mat_weight"] @ frames.T
        by_frame = torch.stack([attended(column, weights["word_mat_weight"]) for column in pairs.T])
        by_word = torch.stack([attended(row, weights["frame_mat_weight"]) for row in pairs])
        fine = attended(by_frame, weights["frame_mat_weight2"]) + attended(
            by_word, weights["word_mat_weight2"]
        )
        coarse = sentence @ weights["global_mat_weight"] @ whole
        of_words = attended(words @ whole, weights["word_logit_weight"])
        of_frames = attended(frames @ sentence, weights["frame_logit_weight"])
        return (coarse + of_words + of_frames + fine / 2) / 4

    return [
        [score(text, video, whole) for video, whole in zip(videos, pooled, strict=True)] for text in texts
    ]


def token_weights(weights: Weights, side: str, tokens: Tensor) -> Tensor:
    hidden = [torch.relu(affine(weights, f"{side}_weight_fc.0.", token)) for token in tokens]
    return softmax(torch.cat([affine(weights, f"{side}_weight_fc.2.", one) for one in hidden]), dim=0)


def interaction(one: tuple[Tensor, Tensor, int], other: tuple[Tensor, Tensor, int]) -> Tensor:
    """Each side: tokens, what each weighs, and how many paddings stand beside them with a similarity of 0."""
    (words, alpha, no_words), (frames, beta, no_frames) = one, other
    pairs = unit(words) @ unit(frames).T
    best_frames = [max([*row, *[torch.zeros(())] * (no_frames > 0)]) for row in pairs]
    best_words = [max([*column, *[torch.zeros(())] * (no_words > 0)]) for column in pairs.T]
    by_word = sum(a * best for a, best in zip(alpha, best_frames, strict=True))
    return (by_word + sum(b * best for b, best in zip(beta, best_words, strict=True))) / 2  # type: ignore[return-value]


def wti(case: Case, weights: Weights, texts: list[Item], videos: list[Item]) -> list[list[Tensor]]:
    words = [(text.parts, token_weights(weights, "text", text.parts), text.padding) for text in texts]
    moved = [contextual(case, weights, video.parts) for video in videos]
    frames = [
        (tokens, token_weights(weights, "video", tokens), video.padding)
        for tokens, video in zip(moved, videos, strict=True)
    ]
    return [[interaction(text, video) for video in frames] for text in words]


def uatvr(case: Case, weights: Weights, texts: list[Item], videos: list[Item]) -> list[list[Tensor]]:
    """Two learned tokens a side, which are the rows behind the last position."""

    def tokens(item: Item, part: str, side: str) -> tuple[Tensor, Tensor, int]:
        table, count = weights[f"{part}_position_embeddings.weight"], len(item.parts)
        most = count + item.padding
        placed = [*(item.parts + table[:count]), table[most], table[most + 1]]
        moved = torch.stack(transformed(case, weights, "transformerClip", placed))
        moved[:count] += item.parts
        return unit(moved), token_weights(weights, side, unit(moved)), item.padding

    words = [tokens(text, "word", "text") for text in texts]
    frames = [tokens(video, "frame", "video") for video in videos]
    return [[interaction(text, video) for video in frames] for text in words]


def xpool(case: Case, weights: Weights, texts: list[Item], videos: list[Item]) -> list[list[Tensor]]:
    pool = "pool_frames."

    def score(text: Item, video: Item) -> Tensor:
        asked = affine(
            weights, f"{pool}cross_attn.q_proj.", normed(weights, f"{pool}layer_norm1", text.sentence, 1e-5)
        )
        frames = [normed(weights, f"{pool}layer_norm1", frame, 1e-5) for frame in video.parts]
        keys = [affine(weights, f"{pool}cross_attn.k_proj.", frame) for frame in frames]
        share = softmax(torch.stack([asked @ key / case.dim**0.5 for key in keys]), dim=0)
        values = torch.stack([affine(weights, f"{pool}cross_attn.v_proj.", frame) for frame in frames])
        found = affine(weights, f"{pool}cross_attn.out_proj.", share @ values)
        found = normed(weights, f"{pool}layer_norm2", found, 1e-5)
        found = normed(
            weights, f"{pool}layer_norm3", found + affine(weights, f"{pool}linear_proj.", found), 1e-5
        )
        return unit(text.sentence) @ unit(found)

    return [[score(text, video) for video in videos] for text in texts]


def weights_of(name: str, case: Case) -> dict[str, Tensor]:
    """Random weights under the names of the head's release."""
    dim, words, frames = case.dim, case.words, case.frames
    perceptrons = {
        key: value
        for side in ("text", "video")
        for layer, out in ((0, dim), (2, 1))
        for key, value in linear(f"{side}_weight_fc.{layer}.", out, dim).items()
    }
    if name == "seq_lstm":
        gates = {f"lstm_visual.{k}": v for k, v in torch.nn.LSTM(dim, dim).double().state_dict().items()}
        return {key: 3 * value for key, value in gates.items()}
    if name == "xpool":
        pool = "pool_frames."
        parts = [f"{pool}cross_attn.{part}_proj." for part in "qkv"]
        parts += [f"{pool}cross_attn.out_proj.", f"{pool}linear_proj."]
        norms = {
            f"{pool}layer_norm{n}.{kind}": 1 + random(dim) for n in (1, 2, 3) for kind in ("weight", "bias")
        }
        return norms | {key: value for part in parts for key, value in linear(part, dim, dim).items()}
    if name == "tight_transformer":
        found = case.transformer("cross.transformer", "cross.embeddings.position_embeddings.weight")
        found |= linear("cross.pooler.dense.", dim, dim) | linear("similarity_dense.", 1, dim)
        return found | {f"cross.pooler.ln_pool.{kind}": 1 + random(dim) for kind in ("weight", "bias")}
    found = case.transformer("transformerClip")
    if name == "xclip":
        sizes = {"global_mat": dim, "local_mat": dim, "word_logit": words, "frame_logit": frames}
        sizes |= {"word_mat": words, "frame_mat": frames}
        found |= {f"{part}_weight": torch.eye(size) + random(size, size) for part, size in sizes.items()}
        found |= {
            f"{part}_mat_weight2": torch.eye(sizes[f"{part}_mat"])
            + random(sizes[f"{part}_mat"], sizes[f"{part}_mat"])
            for part in ("word", "frame")
        }
    if name == "uatvr":
        found["word_position_embeddings.weight"] = random(77, dim)
    return found | (perceptrons if name in ("wti", "uatvr") else {})


EQUATIONS: dict[str, Score] = {
    "seq_transformer": seq_transformer,
    "seq_lstm": seq_lstm,
    "tight_transformer": tight_transformer,
    "xclip": xclip,
    "wti": wti,
    "uatvr": uatvr,
    "xpool": xpool,
}
CASES = [Case(5, 7, 6, 9, 24, heads=3, layers=3), Case(3, 4, 2, 5, 35, heads=5, layers=1)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.dim} wide")
@pytest.mark.parametrize("name", EQUATIONS)
@torch.no_grad()
def test_is_its_equations(name: str, case: Case) -> None:
    torch.manual_seed(case.dim)
    module = load_plug_in("tvr.heads", name)
    config: Any = getattr(module, "PUBLISHED", None) or module.Config()
    if hasattr(config, "layers"):
        config = replace(config, layers=case.layers, heads=case.heads)
    weights, (texts, videos) = weights_of(name, case), case.features()
    head = module.Head(config, case.shape).double().eval()
    load_released(head, name, weights)
    found = head.similarity(head.encode_text(texts), head.encode_video(videos))
    both = [
        [
            Item(part[real], sentence, int((~real).sum()))
            for part, real, sentence in zip(parts, mask, sentences, strict=True)
        ]
        for parts, mask, sentences in (
            (texts.words, texts.mask, texts.sentence),
            (videos.frames, videos.mask, videos.frames[:, 0]),
        )
    ]
    scores = EQUATIONS[name](case, weights, *both)
    wanted = torch.stack([torch.stack(row) for row in scores])
    torch.testing.assert_close(found, wanted, atol=1e-10, rtol=1e-10)
    assert found.std() > 1e-3
