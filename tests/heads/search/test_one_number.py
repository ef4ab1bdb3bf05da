"""A search scores a text and a video as evaluation does, whichever of the two comes from outside of the store."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tvr.data.base import load_dataset
from tvr.data.contracts.plug_ins import load_plug_in, plug_in_names
from tvr.heads.base import FeatureShape, Head, build_head
from tvr.heads.evaluation.scores import similarity_matrix
from tvr.heads.features.feature_set import FeatureSet
from tvr.heads.features.from_store import features_of, gallery_of
from tvr.heads.search.answers import Wish
from tvr.heads.search.archive import Archive
from tvr.heads.search.gallery.faiss_index import build_index
from tvr.heads.search.gallery.index_folder import INDEX_FOLDER
from tvr.heads.search.query_features import ONLY, QueryFeatures
from tvr.heads.search.searcher import Searcher
from tvr.pipeline.encoders.base import EncodedFrames, EncodedText, Encoder, EncoderIdentity
from tvr.pipeline.extract import extract
from tvr.pipeline.store.reader import FeatureStore
from tvr.pipeline.store.shards import write_text_shard

from ...fixtures.archive import built_in_encoder, options_for
from ...fixtures.circles import Circle, write_circle
from ...fixtures.stores import DIM, text_row, write_store

TOLERANCE = 1e-6
"""Of a cosine: evaluation compares many texts with many videos at once, a search one with some, and a matrix product
of another shape adds its numbers up in another order."""

NUM_WORDS, NUM_FRAMES = 8, 3
TEXTS = {
    "short": "a red circle",
    "exact": "a red circle grows very slowly",
    "long": "a red circle grows. Then it shrinks and a large blue star comes in from the left.",
    "longer than the encoder reads": "A red circle grows slowly. A blue star fades. " * 12,
}
"""Of one text the head sees less than it may, of one all, of one only some, and of one the encoder itself does."""


class Faint:
    """The built-in encoder with all of its features times a number."""

    def __init__(self, encoder: Encoder, factor: float) -> None:
        self.encoder, self.factor = encoder, np.float32(factor)

    @property
    def identity(self) -> EncoderIdentity:
        return self.encoder.identity

    @property
    def frames_per_batch(self) -> int:
        return self.encoder.frames_per_batch

    def encode_frames(self, frames: np.ndarray) -> np.ndarray:
        return self.encoder.encode_frames(frames) * self.factor

    def begin_frames(
        self, frames: np.ndarray, *, batch_size: int | None = None, patches: bool = False
    ) -> Callable[[], EncodedFrames]:
        finish = self.encoder.begin_frames(frames, batch_size=batch_size, patches=patches)
        return lambda: EncodedFrames(finish().frames * self.factor)

    def encode_texts(self, texts: Sequence[str], *, repeatable: bool = False) -> list[EncodedText]:
        return [replace(text, words=text.words * self.factor) for text in self.encoder.encode_texts(texts)]


class Remembering(QueryFeatures):
    """Queries that are encoded once for all heads."""

    of_text = cache(QueryFeatures.of_text)
    of_video = cache(QueryFeatures.of_video)


FACTORS = {"float16": 1.0, "float32": 1e-6}
"""float16 loses too much of small numbers, so that shards become float32."""


@pytest.fixture(scope="module", params=[(p, n) for p in ("sentence", "paragraph") for n in FACTORS], ids=str)
def asked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Remembering:
    """A store of four videos, and who asks it; the videos are beside it."""
    protocol, number = request.param
    root = tmp_path_factory.mktemp("one") / "videos"
    root.mkdir()
    for name, aspect in zip("abcd", (1, 2, 3, 4), strict=True):
        write_circle(root / f"{name}.mp4", Circle(pixel_aspect=Fraction(aspect)))
    write_captions(root, dict(zip("abcd", TEXTS.values(), strict=True)))
    encoder = Faint(built_in_encoder(), FACTORS[number])
    settings = {"paragraphs": "true"} if protocol == "paragraph" else {}
    folder = root.parent / "store"
    options = options_for(root, text_policy="sentences")
    extract(load_dataset("folder", root, settings), encoder, options, folder)
    store = FeatureStore.open(folder)
    assert (store.manifest.protocol == "paragraph") == (protocol == "paragraph")
    assert {str(store.dtype(column)) for column in ("frames", "words")} == {number}
    short, exact, long, longest = (len(items) for items in np.split(*words_and_cuts(store)))
    assert short < NUM_WORDS == exact < long < encoder.identity.context_length < longest
    return Remembering(store, encoder)


def write_captions(root: Path, captions: Mapping[str, str]) -> None:
    """A manifest with a caption of each named video."""
    rows = [f"{name}.mp4,{text}" for name, text in captions.items()]
    (root / "captions.csv").write_text("\n".join(["path,caption", *rows]) + "\n")


def words_and_cuts(store: FeatureStore) -> tuple[np.ndarray, np.ndarray]:
    """All word features, and where one text ends and the next begins."""
    texts = store.texts()
    return texts.words, texts.offsets[1:-1]


def head_of(name: str, features: FeatureSet, settings: Mapping[str, Any]) -> Head:
    """A small head away from its start."""
    shape = FeatureShape(features.dim, NUM_FRAMES, NUM_WORDS)
    torch.manual_seed(0)
    head = build_head(name, load_plug_in("tvr.heads", name).Config(**settings), shape).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return head


@pytest.mark.parametrize("name", plug_in_names("tvr.heads"))
def test_a_search_scores_as_an_evaluation(name: str, asked: Remembering) -> None:
    assert_one_number(name, {}, asked)


@pytest.mark.parametrize("asked", [("paragraph", number) for number in FACTORS], indirect=True, ids=str)
def test_a_head_that_reads_sentences_scores_as_an_evaluation(asked: Remembering) -> None:
    assert_one_number("hcmi", {"phrases_from": "sentences"}, asked)


def assert_one_number(name: str, settings: Mapping[str, Any], asked: Remembering) -> None:
    features = features_of(asked.store, None)
    head = head_of(name, features, settings)
    archive = Archive(head, name, gallery_of(asked.store), asked, asked.store, None, None)
    file, column = asked.store.folder.parent / "videos" / "b.mp4", features.video_ids.index("b")
    evaluated = similarity_matrix(head, features)
    build_index(head, archive.features).save(asked.store.folder / INDEX_FOLDER)
    # Without and with an index.
    searchers = [Searcher.open(archive, candidates=candidates) for candidates in (None, 4)]
    for text, row in zip(features.texts, evaluated, strict=True):
        expected = dict(zip(features.video_ids, row.tolist(), strict=True))
        for searcher in searchers:
            found = {hit.video_id: hit.score for hit in searcher.by_text(text, Wish(4)).hits}
            assert found == pytest.approx(expected, abs=TOLERANCE)
        assert archive.score(text, file) == pytest.approx(expected["b"], abs=TOLERANCE)
    by_caption = {hit.text: hit.score for hit in archive.captions_of(archive.video(file), top_k=4)}
    expected = dict(zip(features.texts, evaluated[:, column].tolist(), strict=True))
    assert by_caption == pytest.approx(expected, abs=TOLERANCE)


def test_a_new_sentence_is_encoded_once(asked: Remembering, monkeypatch: pytest.MonkeyPatch) -> None:
    """For the ranking and for the best moments together."""
    encoded: list[str] = []
    encode_texts = Faint.encode_texts

    def counting(encoder: Faint, texts: Sequence[str], *, repeatable: bool = False) -> list[EncodedText]:
        encoded.extend(texts)
        return encode_texts(encoder, texts, repeatable=repeatable)

    monkeypatch.setattr(Faint, "encode_texts", counting)
    features = gallery_of(asked.store)
    queries = QueryFeatures(asked.store, asked.encoder)
    head = head_of("mean_pool", features_of(asked.store, None), {})
    archive = Archive(head, "mean_pool", features, queries, asked.store, None, None)
    assert len(Searcher.open(archive).by_text("a blue horse", Wish(2)).hits) == 2
    assert len(encoded) == 1


def test_a_new_paragraph_is_what_a_store_of_it_holds(tmp_path: Path) -> None:
    """Its sentences end with full stops, and this store has another paragraph."""
    stores: dict[str, FeatureStore] = {}
    sentences = ("A red circle grows.", "It shrinks!", "A star comes in.")
    for name, told in (("this", ("a blue star",)), ("other", sentences)):
        root = tmp_path / name / "videos"
        root.mkdir(parents=True)
        write_circle(root / "a.mp4")
        rows = [f"a.mp4,{sentence}" for sentence in told]
        (root / "captions.csv").write_text("\n".join(["path,caption", *rows]) + "\n")
        dataset = load_dataset("folder", root, {"paragraphs": "true"})
        extract(dataset, built_in_encoder(), options_for(root), root.parent / "store")
        stores[name] = FeatureStore.open(root.parent / "store")
    found = QueryFeatures(stores["this"], built_in_encoder()).of_text(" ".join(sentences)).batch(99)
    stored = features_of(stores["other"], None).text_batch(ONLY, 99)
    assert found.parts is not None and stored.parts is not None
    assert found.parts.shape[1] == len(sentences)
    for name in ("words", "mask", "sentence", "parts", "parts_mask"):
        torch.testing.assert_close(getattr(found, name), getattr(stored, name), atol=2e-3, rtol=2e-3)


class Scripted(Faint):
    """An encoder that gives the same words for every text."""

    def __init__(self, words: np.ndarray) -> None:
        super().__init__(built_in_encoder(), 1.0)
        self.words = words

    def encode_texts(self, texts: Sequence[str], *, repeatable: bool = False) -> list[EncodedText]:
        tokens = np.arange(len(self.words), dtype=np.int32)
        return [EncodedText(self.words, tokens, len(tokens) - 1, False) for _ in texts]


@pytest.mark.parametrize("number", ["float16", "float32"])
def test_a_query_is_rounded_as_its_store_is(tmp_path: Path, number: str) -> None:
    """Not as it would be alone: a store is float32 as soon as one shard is. What float16 cannot hold stays finite."""
    folder = write_store(tmp_path)
    if number == "float32":
        row = replace(text_row(5), words=np.full((7, DIM), 1e6, np.float32))
        write_text_shard(folder / "text-00001-of-00002.h5", [text_row(4), row], DIM, {})
    store = FeatureStore.open(folder)
    words = np.random.default_rng(0).standard_normal((5, DIM), np.float32)
    for factor in (1, 1e6):
        found = QueryFeatures(store, Scripted(words * factor)).of_text("anything").batch(9)
        rounded = words.astype(np.float16) if (number, factor) == ("float16", 1) else words * factor
        np.testing.assert_array_equal(found.words[0].numpy(), rounded.astype(np.float32))
