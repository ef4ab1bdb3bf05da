"""What every head promises, tried on whatever heads the folder holds."""

import ast
import dataclasses
import inspect
import itertools
import operator
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from tvr.data.contracts.errors import UsageError
from tvr.data.contracts.plug_ins import load_plug_in, plug_in_names
from tvr.heads import base
from tvr.heads.base import Encoded, FeatureShape, Head, TextFeatures, VideoFeatures
from tvr.heads.evaluation.blockwise import similarity_in_blocks

SHAPE = FeatureShape(dim=24, num_frames=9, num_words=8)


@pytest.fixture(params=plug_in_names("tvr.heads"))
def module(request: pytest.FixtureRequest) -> ModuleType:
    """Each head's file."""
    return load_plug_in("tvr.heads", request.param)


def fresh(module: ModuleType, shape: FeatureShape = SHAPE) -> Head:
    """A head with its default settings, in evaluation mode and double precision."""
    torch.manual_seed(0)
    return module.Head(module.Config(), shape).eval().double()


def test_it_says_whether_there_is_anything_to_train(module: ModuleType) -> None:
    assert module.Head.has_weights is bool(list(fresh(module).parameters()))


def variants() -> list[tuple[str, str, Any]]:
    """Every switch of every head, turned the other way: (head, field of its Config, value)."""
    found: list[tuple[str, str, Any]] = []
    for name in plug_in_names("tvr.heads"):
        config = load_plug_in("tvr.heads", name).Config
        for field, kind in get_type_hints(config).items():
            # The released code's own way with padding is there to reproduce it, mistakes included.
            if field != "masked":
                found += [(name, field, value) for value in _others(kind, getattr(config(), field))]
    return found


def _others(kind: Any, default: Any) -> list[Any]:
    if get_origin(kind) is Literal:
        return [choice for choice in get_args(kind) if choice != default]
    if isinstance(default, bool):
        return [not default]
    if isinstance(default, int | float):
        return [type(default)(default == 0)]
    if get_origin(kind) is tuple and get_origin(get_args(kind)[0]) is Literal:
        return [(choice,) for choice in default]
    return []


@pytest.fixture(params=variants(), ids=lambda v: f"{v[0]}-{v[1]}={v[2]}")
def variant(request: pytest.FixtureRequest) -> Callable[[FeatureShape], Head]:
    """A head with one setting changed, built in double precision for a shape."""
    name, field, value = request.param
    module = load_plug_in("tvr.heads", name)
    try:
        config = module.Config(**{field: value})
        module.Head(config, SHAPE)
    except UsageError:
        pytest.skip(f"{field}={value} is refused")

    def build(shape: FeatureShape) -> Head:
        torch.manual_seed(0)
        return module.Head(config, shape).eval().double()

    return build


@pytest.fixture
def head(module: ModuleType) -> Head:
    """A head away from its start, where zero-initialised layers would hide most mistakes."""
    return shaken(fresh(module))


def shaken(head: Head) -> Head:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in head.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
            parameter.add_(0.1 * noise)
    return head


def ragged(items: int, parts: int, seed: int) -> Tensor:
    """Masks of every length from 1 up, the longest first."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, parts + 1, (items, 1), generator=generator)
    lengths[0] = parts
    return torch.arange(parts) < lengths


def random_texts(items: int, words: int, dim: int, seed: int = 2) -> TextFeatures:
    generator = torch.Generator().manual_seed(seed)
    vectors = 5 * torch.randn(items, words, dim, generator=generator, dtype=torch.float64)
    mask = ragged(items, words, seed)
    parts = torch.randn(items, 3, dim, generator=generator, dtype=torch.float64)
    sentence = vectors[torch.arange(items), mask.sum(1) - 1]
    return TextFeatures(vectors, mask, sentence, parts, ragged(items, 3, seed + 1))


def random_videos(items: int, frames: int, dim: int, seed: int = 3) -> VideoFeatures:
    generator = torch.Generator().manual_seed(seed)
    vectors = 5 * torch.randn(items, frames, dim, generator=generator, dtype=torch.float64)
    return VideoFeatures(vectors, ragged(items, frames, seed))


TEXTS, VIDEOS = random_texts(7, 6, SHAPE.dim), random_videos(7, 7, SHAPE.dim)
SAME = torch.eye(7, dtype=torch.bool)


def cast(features: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Features with a change applied to every tensor that is there."""
    tensors = {f.name: getattr(features, f.name) for f in dataclasses.fields(features)}
    return type(features)(**{k: None if v is None else change(v) for k, v in tensors.items()})


def scores(head: Head, texts: TextFeatures = TEXTS, videos: VideoFeatures = VIDEOS) -> Tensor:
    return head.similarity(head.encode_text(texts), head.encode_video(videos))


def losses(head: Head, texts: TextFeatures = TEXTS, videos: VideoFeatures = VIDEOS) -> dict[str, Tensor]:
    """The loss terms where every view is the whole video, but for a reversed order of frames."""
    other = VideoFeatures(videos.frames.flip(1), videos.mask.flip(1))
    views = [head.encode_video(videos), head.encode_video(other)][: head.num_views]
    return head.loss(head.encode_text(texts), views, SAME)


def assert_same(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, atol=1e-11, rtol=1e-9)


def test_is_one_file_of_the_agreed_shape(module: ModuleType) -> None:
    assert module.__doc__ and module.CITATION and inspect.getdoc(module.Head)
    assert module.Head.__bases__ == (base.Head,)
    assert dataclasses.is_dataclass(module.Config) and module.Config.__dataclass_params__.frozen  # pyright: ignore[reportAttributeAccessIssue]
    tree = ast.parse(Path(str(module.__file__)).read_text())
    body = next(n.body for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Config")
    described = {
        field.target.id
        for field, doc in itertools.pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(doc, ast.Expr) and isinstance(doc.value, ast.Constant)
    }
    assert described == {field.name for field in dataclasses.fields(module.Config)}


def test_scores_are_finite_cosines(head: Head) -> None:
    found = scores(head)
    assert found.shape == (7, 7) and found.isfinite().all()


@pytest.mark.parametrize("rubbish", [1e3, float("nan"), float("-inf")])
def test_padded_values_change_nothing(head: Head, rubbish: float) -> None:
    assert_blind_to_padding(head, rubbish)


def assert_blind_to_padding(head: Head, rubbish: float) -> None:
    def filled(parts: Tensor | None, mask: Tensor | None) -> Tensor:
        assert parts is not None and mask is not None
        return parts.masked_fill(~mask[..., None], rubbish)

    parts = filled(TEXTS.parts, TEXTS.parts_mask)
    texts = TextFeatures(filled(TEXTS.words, TEXTS.mask), TEXTS.mask, TEXTS.sentence, parts, TEXTS.parts_mask)
    videos = VideoFeatures(filled(VIDEOS.frames, VIDEOS.mask), VIDEOS.mask)
    assert torch.equal(scores(head, texts, videos), scores(head))
    clean = losses(head)
    for name, value in losses(head, texts, videos).items():
        assert torch.equal(value, clean[name]), name


def padded(parts: Tensor, by: int) -> Tensor:
    return torch.cat([parts, torch.zeros_like(parts[:, :1]).expand(-1, by, *parts.shape[2:])], dim=1)


def test_padding_length_changes_nothing(head: Head) -> None:
    assert_blind_to_padding_length(head)


def assert_blind_to_padding_length(head: Head) -> None:
    assert TEXTS.parts is not None and TEXTS.parts_mask is not None
    parts = padded(TEXTS.parts, 2), padded(TEXTS.parts_mask, 2)
    texts = TextFeatures(padded(TEXTS.words, 2), padded(TEXTS.mask, 2), TEXTS.sentence, *parts)
    videos = VideoFeatures(padded(VIDEOS.frames, 2), padded(VIDEOS.mask, 2))
    assert_same(scores(head, texts, videos), scores(head))
    shorter = losses(head)
    for name, value in losses(head, texts, videos).items():
        assert_same(value, shorter[name])


def test_encodings_can_be_padded_and_joined(head: Head) -> None:
    """Batches of different padding become one set by appending zeros (False in masks) to every tensor."""

    def joined(one: Encoded, other: Encoded) -> Encoded:
        return {name: torch.cat([_as_long(one[name], other[name]), other[name]]) for name in one}

    half = cast(VIDEOS, lambda value: value[:4, :3]), cast(VIDEOS, lambda value: value[4:])
    some = cast(TEXTS, lambda value: value[:2, :3] if value.shape[1:2] == (6,) else value[:2])
    texts = joined(head.encode_text(some), head.encode_text(TEXTS))
    videos = joined(*map(head.encode_video, half))
    found = head.similarity(texts, videos)
    assert_same(found[2:, 4:], scores(head)[:, 4:])
    assert_same(found[:2, :4], scores(head, some, half[0]))


def _as_long(value: Tensor, other: Tensor) -> Tensor:
    for axis in range(1, value.ndim):
        value = padded(value.transpose(1, axis), other.shape[axis] - value.shape[axis]).transpose(1, axis)
    return value


def test_the_rest_of_the_batch_changes_nothing(head: Head) -> None:
    assert_items_are_independent(head)


def assert_items_are_independent(head: Head) -> None:
    whole = scores(head)
    for item in range(7):
        text, video = (cast(f, operator.itemgetter(slice(item, item + 1))) for f in (TEXTS, VIDEOS))
        assert_same(scores(head, text, video)[0, 0], whole[item, item])


def releases() -> list[tuple[str, Any]]:
    """Every head that is imported, as its authors have it, and every one that lets padding take part."""
    found: list[tuple[str, Any]] = []
    for name in plug_in_names("tvr.heads"):
        module = load_plug_in("tvr.heads", name)
        if hasattr(module, "RELEASED_NAMES"):
            found.append((name, getattr(module, "PUBLISHED", None) or module.Config()))
        if hasattr(module.Config(), "masked"):
            found.append((name, dataclasses.replace(module.Config(), masked=False)))
    return found


@pytest.mark.parametrize("release", releases(), ids=lambda release: release[0])
def test_a_release_does_not_depend_on_the_batch(release: tuple[str, Any]) -> None:
    """Where padding takes part, there is always the same number of it."""
    name, config = release
    torch.manual_seed(0)
    head = shaken(load_plug_in("tvr.heads", name).Head(config, SHAPE).eval().double())
    assert_blind_to_padding_length(head)
    assert_items_are_independent(head)


def test_permuted_items_permute_the_scores(head: Head) -> None:
    rows, columns = torch.randperm(7), torch.randperm(7)
    texts, videos = cast(TEXTS, lambda value: value[rows]), cast(VIDEOS, lambda value: value[columns])
    assert_same(scores(head, texts, videos), scores(head)[rows][:, columns])
    both = losses(head, texts, cast(VIDEOS, lambda value: value[rows]))
    for name, value in losses(head).items():
        assert_same(both[name], value)


def test_half_precision_agrees(head: Head) -> None:
    exact = scores(head)
    texts, videos = (cast(f, lambda v: v if v.dtype == torch.bool else v.half()) for f in (TEXTS, VIDEOS))
    found = scores(head.half(), texts, videos)
    assert found.dtype == torch.float16
    torch.testing.assert_close(found.double(), exact, atol=1e-2, rtol=0)


def test_every_parameter_learns(module: ModuleType) -> None:
    assert_every_parameter_learns(fresh(module, LONG).train())


def test_mixed_precision_trains(module: ModuleType) -> None:
    head = fresh(module).float()
    texts, videos = (cast(f, lambda v: v if v.dtype == torch.bool else v.float()) for f in (TEXTS, VIDEOS))
    exact = losses(head, texts, videos)["total"]
    with torch.autocast("cpu", torch.bfloat16):
        total = losses(head, texts, videos)["total"]
    assert total.item() == pytest.approx(exact.item(), rel=0.2)
    if total.requires_grad:
        total.backward()
    gradients = [parameter.grad for parameter in head.parameters() if parameter.grad is not None]
    assert all(gradient.dtype == torch.float32 and gradient.isfinite().all() for gradient in gradients)


def test_stays_on_the_device_of_its_features(module: ModuleType) -> None:
    """The meta device stands in for a GPU: nearly every operation with a tensor made elsewhere fails on it, and
    so does fetching a value."""
    head = fresh(module).to("meta")
    texts, videos = (cast(f, lambda value: value.to("meta")) for f in (TEXTS, VIDEOS))
    assert scores(head, texts, videos).is_meta
    views = [head.encode_video(videos) for _ in range(head.num_views)]
    assert head.loss(head.encode_text(texts), views, SAME.to("meta"))["total"].is_meta


LONG = FeatureShape(dim=24, num_frames=18, num_words=20)
"""Long enough for several clusters of clusters."""


def assert_every_parameter_learns(head: Head) -> None:
    texts, videos = random_texts(7, 20, 24), random_videos(7, 18, 24)
    if not list(head.parameters()):
        pytest.skip("no parameters")
    optimiser = torch.optim.AdamW(head.parameters(), lr=1e-3, weight_decay=0)
    for _ in range(3):
        optimiser.zero_grad()
        losses(head, texts, videos)["total"].backward()
        optimiser.step()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 1e-9, name


SMALL = FeatureShape(dim=8, num_frames=4, num_words=4, logit_scale=5.0)


def test_gradients_are_right(module: ModuleType) -> None:
    assert_gradients_are_right(shaken(fresh(module, SMALL)))


def assert_gradients_are_right(head: Head) -> None:
    """By finite differences along random directions of the words, the frames and all parameters together."""
    texts, videos = random_texts(7, 4, 8), random_videos(7, 4, 8)
    last = texts.mask.sum(1) - 1
    shapes = {f"head.{name}": parameter.shape for name, parameter in head.named_parameters()}
    flat = torch.cat([torch.zeros(0).double(), *(parameter.flatten() for parameter in head.parameters())])

    def total(words: Tensor, frames: Tensor, flat: Tensor) -> Tensor:
        pieces = zip(shapes.items(), flat.split([shape.numel() for shape in shapes.values()]), strict=True)
        values = {name: piece.view(shape) for (name, shape), piece in pieces}
        sentence = words[torch.arange(7), last]
        changed = TextFeatures(words, texts.mask, sentence, texts.parts, texts.parts_mask)
        arguments = changed, VideoFeatures(frames, videos.mask)
        return torch.func.functional_call(Total(head), values, arguments)

    inputs = [value.detach().clone().requires_grad_() for value in (texts.words, videos.frames, flat)]
    assert torch.autograd.gradcheck(total, inputs, fast_mode=True, atol=1e-4)


class Total(torch.nn.Module):
    """A head's total loss, as the one call that torch can make with other parameters."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head = head

    def forward(self, texts: TextFeatures, videos: VideoFeatures) -> Tensor:
        return losses(self.head, texts, videos)["total"]


def test_switches_keep_the_promises(variant: Callable[[FeatureShape], Head]) -> None:
    head = shaken(variant(SHAPE))
    assert_blind_to_padding(head, float("nan"))
    assert_blind_to_padding_length(head)
    assert_items_are_independent(head)
    assert_gradients_are_right(shaken(variant(SMALL)))
    assert_every_parameter_learns(variant(LONG).train())


@pytest.mark.parametrize("max_numbers", [1, 1000, 20_000, 10**9])
def test_block_size_changes_nothing(head: Head, max_numbers: int) -> None:
    text, video = head.encode_text(TEXTS), head.encode_video(random_videos(11, 9, SHAPE.dim))
    assert_same(similarity_in_blocks(head, text, video, max_numbers), head.similarity(text, video))


def test_memory_of_a_pair_is_as_declared(module: ModuleType) -> None:
    shape = FeatureShape(dim=16, num_frames=16, num_words=12)
    head = fresh(module, shape).float()
    texts, videos = random_texts(40, 12, 16), random_videos(40, 16, 16)
    floats = (cast(f, lambda v: v if v.dtype == torch.bool else v.float()) for f in (texts, videos))
    with torch.no_grad():
        text, video = (
            encode(f) for encode, f in zip((head.encode_text, head.encode_video), floats, strict=True)
        )
        peak = peak_bytes(lambda: head.similarity(text, video)) / 4
    per_item = 4 * sum(value.numel() for encoded in (text, video) for value in encoded.values())
    assert peak <= 40 * 40 * head.numbers_per_pair() + per_item


def peak_bytes(work: Callable[[], object]) -> int:
    """Most bytes that tensors created within the call held at once."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        work()
    events = recorded.profiler.kineto_results.events()  # type: ignore[union-attr]
    memory: list[Any] = [
        event for event in events if event.name() == "[memory]"
    ]  # nbytes: not in torch's stub
    changes = sorted((event.start_ns(), event.nbytes()) for event in memory)
    held = torch.tensor([change for _, change in changes]).cumsum(0)
    return int(held.max())


@pytest.mark.parametrize("dim", [6, 50, 100])
def test_any_feature_width_will_do(module: ModuleType, dim: int) -> None:
    head = fresh(module, FeatureShape(dim, num_frames=100, num_words=90))
    assert scores(head, random_texts(3, 90, dim), random_videos(4, 100, dim)).isfinite().all()


def test_words_are_read_only_where_declared(head: Head) -> None:
    if head.needs_words:
        pytest.skip("reads words")
    nothing = torch.full_like(TEXTS.words, float("nan"))
    assert torch.equal(scores(head, TextFeatures(nothing, TEXTS.mask, TEXTS.sentence)), scores(head))


def clip_like(seed: int, items: int = 60, dim: int = 64) -> tuple[TextFeatures, VideoFeatures]:
    """Texts and videos as a frozen CLIP gives them.

    A video shows four things in turn; its text names them. The end token is aligned with all of them, a word
    hardly with its own; the start token is one vector for all texts. Frames have a common part, and so have
    texts, as CLIP's do.
    """
    generator = torch.Generator().manual_seed(seed)

    def normal(*size: int) -> Tensor:
        return torch.randn(*size, dim, generator=generator)

    things = normal(items, 4)
    video_mask, text_mask = ragged(items, 12, seed).sort(0).values, ragged(items, 10, seed + 1)
    video_mask[:, :8], text_mask[:, :6] = True, True
    shown = things.repeat_interleave(3, dim=1)
    frames = normal(1, 1) + shown + normal(items, 12)
    named = torch.cat([things, things, things], dim=1)[:, :10]
    words = normal(1, 1) + 0.3 * named + normal(items, 10)
    words[:, 0] = normal(1)
    sentence = normal(1) + things.mean(1) + 0.3 * normal(items)
    words[torch.arange(items), text_mask.sum(1) - 1] = sentence
    return TextFeatures(words, text_mask, sentence), VideoFeatures(frames, video_mask)


def recall_at_1(similarity: Tensor) -> float:
    hits = similarity.argmax(1) == torch.arange(len(similarity))
    return 100 * float(hits.double().mean())


@torch.no_grad()
def test_starts_at_least_at_mean_pool(module: ModuleType) -> None:
    shape = FeatureShape(64, 12, 10)
    heads = fresh(module, shape).float(), fresh(load_plug_in("tvr.heads", "mean_pool"), shape).float()
    found = [[recall_at_1(scores(head, *clip_like(seed))) for seed in range(5)] for head in heads]
    own, zero_shot = (sum(values) / len(values) for values in found)
    assert 30 < zero_shot < 80, "the features must be informative, but not so that every head is perfect"
    said = "starts below mean_pool" in " ".join(str(inspect.getdoc(module.Head)).split())
    assert own >= zero_shot or said, f"R@1 {own}, mean_pool {zero_shot}, and its docstring does not say why"
