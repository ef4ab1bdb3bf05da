"""``tvr import-features`` and ``tvr export`` as typed."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tvr.pipeline.store.generations.record import load_manifest
from tvr.pipeline.store.reader import FeatureStore

from ..fixtures.generated import generated_store
from ..fixtures.shell import tvr

QUERY = "a person is putting clothes in the washing machine."
"""What UniVTG's demo asks of this clip; twelve tokens, as its features have."""
WIDE = ("--model", "tvr-storyboard", "--device", "cpu")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a store, and an export of it in two layouts."""
    folder = tmp_path_factory.mktemp("made")
    store = generated_store(folder / "tvr-workspace/features/toy/model")
    replace(load_manifest(store), sampling={"policy": "uniform", "num_frames": 9}).save(store)
    for layout in ("parquet", "npy"):
        answer = tvr("export", "toy/model", layout, layout, cwd=folder)
        assert answer.code == 0, answer.err
        assert "next: tvr import-features" in answer.out
    return folder


@pytest.fixture(scope="module")
def univtg(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """UniVTG's own clip and query, laid out as its data sets are."""
    root = tmp_path_factory.mktemp("univtg") / "charades"
    for folder, name in (("vid_clip", "charades.npz"), ("txt_clip", "0.npz")):
        (root / folder).mkdir(parents=True)
        given = shared / "data" / "univtg" / f"{folder.partition('_')[0]}.npz"
        shutil.copy(given, root / folder / name)
    line = {"qid": 0, "query": QUERY, "vid": "charades", "duration": 30}
    (root / "charades_test.jsonl").write_text(json.dumps(line) + "\n")
    return root


def test_a_dry_run_says_what_and_writes_nothing(made: Path) -> None:
    answer = tvr("import-features", "parquet", "parquet", "--dry-run", cwd=made)
    assert answer.code == 0, answer.err
    assert "with features of words" in answer.out
    planned = json.loads(tvr("export", "toy/model", "univtg", "out", "--dry-run", "--json", cwd=made).out)
    assert (planned["videos"], planned["goes_on"]) == (80, False)
    assert not (made / "out").exists()
    assert len(list((made / "tvr-workspace/features/toy").iterdir())) == 1


def test_an_imported_store_is_trained_on_scored_verified_and_listed(made: Path) -> None:
    answer = tvr("import-features", "parquet", "parquet", "--dataset", "back", cwd=made)
    assert answer.code == 0, answer.err
    assert "equal      videos, texts, words: as in the store that was exported" in answer.out
    (command,) = [line for line in answer.out.splitlines() if line.startswith("next: ")]
    assert command.startswith("next: tvr train-head --store tvr-workspace/features/back/")
    store = command.rpartition(" ")[2]
    again = json.loads(
        tvr("import-features", "parquet", "parquet", "--dataset", "back", "--json", cwd=made).out
    )
    assert (again["shards_done"], again["differs"]) == (0, [])
    assert tvr("verify", "--store", store, cwd=made).code == 0
    (listed,) = json.loads(tvr("stores", "--dataset", "back", "--json", cwd=made).out)
    assert listed["finished"]
    quick = ("--set", "layers=1", "--epochs", "1", "--batch-size", "16", "--device", "cpu")
    trained = tvr("train-head", "--store", store, "--head", "seq_transformer", *quick, cwd=made)
    assert trained.code == 0, trained.err
    assert tvr("eval", "--store", store, "--zero-shot", "mean_pool", "--split", "all", cwd=made).code == 0
    # The same figure as on the store it was exported from.
    figures = [
        json.loads(
            tvr("eval", "--store", one, "--zero-shot", "mean_pool", "--split", "all", "--json", cwd=made).out
        )
        for one in (store, "toy/model")
    ]
    for way in ("t2v", "v2t"):
        assert figures[0]["runs"][0][way] == figures[1]["runs"][0][way]


def test_a_damaged_shard_is_made_again(made: Path, tmp_path: Path) -> None:
    assert tvr("import-features", "parquet", made / "parquet", "--store", "store", cwd=tmp_path).code == 0
    shard = next((tmp_path / "store").glob("video-*.h5"))
    before = shard.read_bytes()
    shard.write_bytes(before[:-9] + b"\0" * 9)
    assert tvr("verify", "--store", "store", cwd=tmp_path).code == 4
    shard.unlink()
    assert tvr("import-features", "parquet", made / "parquet", "--store", "store", cwd=tmp_path).code == 0
    assert tvr("verify", "--store", "store", cwd=tmp_path).code == 0
    assert shard.read_bytes() == before


def test_captions_are_read_by_the_encoder_that_is_named(made: Path, tmp_path: Path) -> None:
    """Of frames that are as wide as the encoder's features."""
    (tmp_path / "in").mkdir()
    np.save(tmp_path / "in" / "a.npy", np.random.default_rng(0).standard_normal((3, 128)).astype(np.float16))
    (tmp_path / "in" / "captions.csv").write_text("id,caption\na,a red circle moves left\n")
    line = ("import-features", "npy", "in", "--fps", "1", "--store", "store", *WIDE)
    answer = tvr(*line, cwd=tmp_path)
    assert answer.code == 0, answer.err
    assert "captions   1, with features of words, made by tvr-storyboard" in answer.out
    store = FeatureStore.open(tmp_path / "store")
    assert len(store.texts().words) > 2
    assert store.manifest.imported["texts_encoded_here"]  # type: ignore[index]
    found = tvr("search", "a blue square", "--store", "store", "--zero-shot", cwd=tmp_path)
    assert found.code == 0, found.err
    other = tvr("import-features", "npy", made / "npy", *WIDE, "--store", "other", cwd=tmp_path)
    assert other.code == 2
    assert "makes features 128 wide, those of" in other.err


def test_univtgs_clip_is_searched_with_its_query(univtg: Path, tmp_path: Path) -> None:
    refused = tvr("import-features", "univtg", univtg, "--store", "store", cwd=tmp_path)
    assert refused.code == 2
    assert "there is no pooler_output. Say --text-projection FILE" in refused.err
    line = ("import-features", "univtg", univtg, "--store", "store", "--hidden-states", "keep")
    answer = tvr(*line, cwd=tmp_path)
    assert answer.code == 0, answer.err
    store = FeatureStore.open(tmp_path / "store")
    given, words = (np.load(next((univtg / name).iterdir()))["features"] for name in ("vid_clip", "txt_clip"))
    assert np.array_equal(store.frames("charades"), given.astype(np.float16))
    assert np.array_equal(store.texts().words, words)
    assert store.frame_seconds("charades").tolist() == list(range(1, 30, 2))
    found = tvr("search", QUERY, "--store", "store", "--zero-shot", "--json", cwd=tmp_path)
    assert found.code == 0, found.err
    record = json.loads(found.out)
    assert [hit["video"] for hit in record["hits"]] == ["charades"]
    assert record["caution"] == "texts not in the space of frames"
    # And so it is: the end token and the mean of the frames have nothing in common.
    assert abs(record["hits"][0]["score"]) < 0.02


def test_a_sentence_that_the_store_does_not_have_fails_without_its_encoder(
    univtg: Path, tmp_path: Path
) -> None:
    line = ("import-features", "univtg", univtg, "--store", "store", "--hidden-states", "keep", "-q")
    assert tvr(*line, cwd=tmp_path).code == 0
    found = tvr("search", "another sentence", "--store", "store", "--zero-shot", cwd=tmp_path)
    assert found.code == 6
    assert "nobody said which encoder made its features: name it with --model and --pretrained" in found.err
    named = tvr(
        "search", "another", "--store", "store", "--zero-shot", "--model", "tvr-storyboard", cwd=tmp_path
    )
    assert named.code == 6
    assert "makes features 128 wide" in named.err


def test_heads_that_read_words_refuse_a_store_without_words_fails(made: Path, tmp_path: Path) -> None:
    assert (
        tvr("export", made / "tvr-workspace/features/toy/model", "clip-retrieval", "out", cwd=tmp_path).code
        == 0
    )
    answer = tvr("import-features", "clip-retrieval", "out", "--store", "store", cwd=tmp_path)
    assert answer.code == 0, answer.err
    assert "with one feature each: heads that read words do not work on them" in answer.out
    assert "next: tvr train-head --head seq_transformer --store store" in answer.out
    trained = tvr(
        "train-head", "--store", "store", "--head", "hcmi", "--epochs", "1", "--device", "cpu", cwd=tmp_path
    )
    assert trained.code == 2
    assert "reads word features, and the store has only one feature a text" in trained.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("parkuet", "x"), "unknown layout 'parkuet'. Did you mean 'parquet'?"),
        (("npy", "x"), "x: there is no such file or folder"),
        (("npy", "parquet"), "was written as parquet, not as npy"),
        (("parquet", "parquet", "--fps", "0"), "--fps must be above 0"),
        (("parquet", "parquet", "--pretrained", "openai"), "--pretrained names the weights of a --model"),
        (("parquet", "parquet", "--dtype", "int8"), "unknown --dtype 'int8'"),
    ],
)
def test_what_cannot_be_imported_fails(made: Path, words: tuple[str, ...], said: str) -> None:
    answer = tvr("import-features", *words, cwd=made)
    assert answer.code in (2, 3)
    assert said in answer.err


def test_what_cannot_be_exported_fails(made: Path) -> None:
    assert (
        "--tar is of clip-video-encode alone" in tvr("export", "toy/model", "npy", "o", "--tar", cwd=made).err
    )
    assert (
        "--rows is of clip-retrieval"
        in tvr("export", "toy/model", "npy", "o", "--rows", "video", cwd=made).err
    )
    assert "holds another export" in tvr("export", "toy/model", "npy", "parquet", cwd=made).err
