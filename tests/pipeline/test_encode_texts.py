"""What becomes of captions longer than the encoder reads, and of captions that occur again."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from tvr.data.base import Caption
from tvr.data.contracts.errors import UsageError
from tvr.pipeline.encode_texts import sentences_of, text_rows
from tvr.pipeline.encoders import clip
from tvr.pipeline.encoders.base import NO_TOKEN, EncodedText, Encoder
from tvr.pipeline.extract import extract
from tvr.pipeline.options import ExtractionOptions, TextPolicy, text_policy_of
from tvr.pipeline.plan import TextShardPlan
from tvr.pipeline.sampling import Sampling
from tvr.pipeline.store.reader import FeatureStore
from tvr.pipeline.store.shards import TextRow

from ..fixtures.datasets import dataset

LONG = tuple(f"the {colour} circle moves slowly to the left and then it stops." for colour in ("red", "blue"))
LONG = LONG * 4
SHORT = ("the red circle moves.", "it stops.")


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return clip.load("tvr-storyboard", None, precision="fp32")


class Counting:
    """An encoder's texts, and which of them were asked for."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder, self.asked = encoder, list[str]()

    def __getattr__(self, name: str) -> object:
        return getattr(self._encoder, name)

    def encode_texts(self, texts: Sequence[str], *, repeatable: bool = False) -> list[EncodedText]:
        self.asked += texts
        return self._encoder.encode_texts(texts)


def rows_of(
    encoder: Encoder, captions: Sequence[tuple[str, ...]], policy: TextPolicy, *, paragraphs: bool = True
) -> list[TextRow]:
    plan = TextShardPlan("text", tuple(Caption(str(i), "v", one) for i, one in enumerate(captions)))
    rows, seconds = text_rows(plan, encoder, lambda count: None, policy=policy, paragraphs=paragraphs)
    assert seconds["encode"] > 0
    return rows


def test_a_long_paragraph_keeps_every_sentence(encoder: Encoder) -> None:
    cut, whole = (rows_of(encoder, [LONG], policy)[0] for policy in ("truncate", "sentences"))
    assert cut.truncated
    assert len(cut.words) == encoder.identity.context_length
    assert not whole.truncated
    sentences = encoder.encode_texts(LONG)
    assert np.allclose(whole.words[:-1], np.concatenate([s.words for s in sentences]), atol=1e-5)
    tokens = np.concatenate([s.token_ids for s in sentences])
    assert whole.token_ids.tolist() == [*tokens.tolist(), NO_TOKEN]
    pooled = np.stack([s.words[s.sentence_row] for s in sentences])
    assert whole.sentence_row == len(whole.words) - 1
    assert np.allclose(whole.words[whole.sentence_row], pooled.mean(axis=0), atol=1e-5)
    for row in (cut, whole):
        assert row.parts is not None
        assert np.allclose(row.parts, pooled, atol=1e-5)


def test_what_fits_is_the_same_under_every_policy(encoder: Encoder) -> None:
    for one, other in zip(
        *(rows_of(encoder, [SHORT, SHORT[:1]], policy) for policy in ("truncate", "sentences")), strict=True
    ):
        assert np.array_equal(one.words, other.words)
        assert one.sentence_row == other.sentence_row


def test_a_single_text_is_cut_at_its_full_stops(encoder: Encoder) -> None:
    assert sentences_of(Caption("a", "v", ("One. Two! Three? 4.5 metres.",))) == (
        "One.",
        "Two!",
        "Three?",
        "4.5 metres.",
    )
    assert sentences_of(Caption("a", "v", ("他走。他停。",))) == ("他走。", "他停。")
    joined, apart = (
        rows_of(encoder, [caption], "sentences", paragraphs=False)[0] for caption in ((" ".join(LONG),), LONG)
    )
    assert np.allclose(joined.words, apart.words, atol=1e-5)
    assert joined.parts is None


def test_a_sentence_that_is_too_long_stays_truncated(encoder: Encoder) -> None:
    endless = " ".join(["circle"] * 200)
    alone, among = rows_of(encoder, [(endless,), (SHORT[0], endless)], "sentences")
    assert alone.truncated
    assert among.truncated
    assert len(among.words) > len(alone.words)


def test_a_caption_that_occurs_again_is_encoded_once(encoder: Encoder) -> None:
    counting = Counting(encoder)
    captions = [SHORT, SHORT, LONG, SHORT[:1], LONG] * 300
    rows = rows_of(counting, captions, "sentences")  # pyright: ignore
    assert (
        len(counting.asked)
        == len(set(counting.asked))
        == len({" ".join(SHORT), " ".join(LONG), *SHORT, *LONG})
    )
    assert np.array_equal(rows[0].words, rows[-4].words)
    assert len(rows) == 1500


def test_the_store_says_what_was_cut(encoder: Encoder, tmp_path: Path) -> None:
    (tmp_path / "v.mp4").touch()
    described = dataset({"v": tmp_path / "v.mp4", "w": None, "x": None}, paragraph=True)
    described = type(described)(
        **{**vars(described), "captions": [Caption("c", "v", LONG), Caption("d", "v", SHORT)]}
    )
    for policy, cut in (("truncate", 1), ("sentences", 0)):
        chosen = ExtractionOptions(Sampling(num_frames=2), num_children=1, text_policy=policy)  # type: ignore[arg-type]
        summary = extract(described, encoder, chosen, tmp_path / policy)
        assert summary.texts_truncated == cut
        store = FeatureStore.open(tmp_path / policy)
        assert store.manifest.text_policy == policy
        assert store.texts().truncated.tolist() == [cut == 1, False]


def test_text_policy_fails() -> None:
    with pytest.raises(UsageError, match=r"unknown --text-policy 'sentence'\. Did you mean 'sentences'\?"):
        text_policy_of("sentence")
