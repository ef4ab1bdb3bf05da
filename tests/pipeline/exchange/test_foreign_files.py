"""Files as the tools of others write them: laid out as their own writers were seen to, never by tvr's."""

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet
from tvr.data.contracts.errors import DataError, UsageError
from tvr.pipeline.exchange.imported import ImportRequest
from tvr.pipeline.exchange.importing import ImportSummary, Planned, import_store, plan_import
from tvr.pipeline.exchange.layouts.base import ReadOptions
from tvr.pipeline.store.reader import FeatureStore
from webdataset.writer import TarWriter

DIM = 8
RNG = np.random.default_rng(0)


def features(rows: int, dtype: Any = np.float16) -> np.ndarray:
    return RNG.standard_normal((rows, DIM)).astype(dtype)


def planned(layout: str, path: Path, **said: Any) -> Planned:
    return plan_import(ImportRequest(layout, path, ReadOptions(**said)))


def store_of(layout: str, path: Path, folder: Path, **said: Any) -> tuple[FeatureStore, ImportSummary]:
    summary = import_store(planned(layout, path, **said), folder)
    return FeatureStore.open(folder), summary


def write_univtg(
    root: Path, videos: Mapping[str, np.ndarray], queries: Mapping[int, Mapping[str, np.ndarray]]
) -> Path:
    """As UniVTG's feature extractor and QVHighlights: an npz a video and a query, and lines."""
    for folder in ("vid_clip", "txt_clip"):
        (root / folder).mkdir(parents=True)
    for name, frames in videos.items():
        np.savez(root / "vid_clip" / f"{name}.npz", features=frames)
    lines = []
    for number, arrays in queries.items():
        np.savez(root / "txt_clip" / f"{number}.npz", **arrays)  # type: ignore[arg-type]
        lines.append({"qid": number, "query": f"query {number}", "vid": next(iter(videos)), "duration": 10})
    (root / "highlight_val_release.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return root


def test_univtg(tmp_path: Path) -> None:
    """pooler_output is kept; the words beside it are not in the space of frames, and left out unless asked for."""
    pooled, hidden, frames = features(1)[0], features(4), features(5, np.float32)
    root = write_univtg(
        tmp_path / "in", {"v": frames}, {7: {"last_hidden_state": hidden, "pooler_output": pooled}}
    )
    store, summary = store_of("univtg", root, tmp_path / "store")
    assert store.frame_seconds("v").tolist() == [
        1,
        3,
        5,
        7,
        9,
    ]  # 10 s in 5 rows: clips of 2 s, by their middle
    assert np.array_equal(store.frames("v"), frames.astype(np.float16))
    assert 0 < summary.rounding < 1e-3
    texts = store.texts()
    assert (texts.ids, texts.texts, texts.video_ids) == (("7",), ("query 7",), ("v",))
    assert np.array_equal(texts.words, pooled[None])
    assert store.splits == {"val": ("v",)}
    assert any("not in the frames' space" in note for note in store.manifest.notes)
    kept, _ = store_of("univtg", root, tmp_path / "kept", hidden_states="keep")
    assert np.array_equal(kept.texts().words, np.concatenate([hidden, pooled[None]]))
    assert kept.texts().sentence_row.tolist() == [4]


def test_univtg_projects_its_words(tmp_path: Path) -> None:
    hidden = features(4, np.float32)
    projection = features(DIM, np.float32)
    np.save(tmp_path / "projection.npy", projection)
    arrays = {"last_hidden_state": hidden, "pooler_output": (hidden @ projection)[-1]}
    root = write_univtg(tmp_path / "in", {"v": features(5)}, {7: arrays})
    store, _ = store_of("univtg", root, tmp_path / "store", text_projection=tmp_path / "projection.npy")
    assert np.allclose(store.texts().words, hidden @ projection, atol=0.02)
    np.save(tmp_path / "transposed.npy", projection.T)
    with pytest.raises(DataError, match="away from its pooler_output"):
        store_of("univtg", root, tmp_path / "other", text_projection=tmp_path / "transposed.npy")


def test_univtg_does_not_guess_fails(tmp_path: Path) -> None:
    root = write_univtg(tmp_path / "in", {"v": features(5)}, {7: {"last_hidden_state": features(4)}})
    with pytest.raises(UsageError, match=r"--text-projection FILE .*--hidden-states keep .*--no-captions"):
        planned("univtg", root)
    (root / "highlight_val_release.jsonl").write_text("")
    with pytest.raises(UsageError, match=r"Say --clip-seconds 1 or --clip-seconds 2"):
        planned("univtg", root)
    assert planned("univtg", root, clip_seconds=1.0).source.video(0).frame_seconds.tolist() == [
        0.5,
        1.5,
        2.5,
        3.5,
        4.5,
    ]


def test_univtg_with_two_queries_of_one_id_fails(tmp_path: Path) -> None:
    root = write_univtg(tmp_path / "in", {"v": features(5)}, {7: {"pooler_output": features(1)[0]}})
    (root / "again_test.jsonl").write_text('{"qid": 7, "query": "another", "vid": "v"}\n')
    with pytest.raises(DataError, match=r"highlight_val_release\.jsonl: line 1: duplicate qid 7"):
        planned("univtg", root)


@pytest.mark.parametrize("spoilt", ["pickle", "cut", "flipped", "no features"])
def test_univtg_that_is_not_sound_fails(tmp_path: Path, spoilt: str) -> None:
    root = write_univtg(tmp_path / "in", {"v": features(5)}, {})
    path = root / "vid_clip" / "v.npz"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    if spoilt == "pickle":
        np.savez(path, features=np.array([{"a": 1}], dtype=object))
    elif spoilt == "no features":
        np.savez(path, other=features(5))
    else:
        path.write_bytes(data[:-40] if spoilt == "cut" else data)
    said = {
        "pickle": "which only a pickle keeps",
        "cut": r"is damaged, or no \.npz file",
        "flipped": r"is damaged, or no \.npz file",
        "no features": "has the keys other, and no features",
    }
    with pytest.raises(DataError, match=rf"v\.npz.*{said[spoilt]}"):
        planned("univtg", root, clip_seconds=2.0)


def test_npy_with_a_table_of_key_frames(tmp_path: Path) -> None:
    """As HCMC AI Challenge hands them out."""
    frames = features(3)
    for folder in ("clip-features-32", "map-keyframes"):
        (tmp_path / "in" / folder).mkdir(parents=True)
    np.save(tmp_path / "in/clip-features-32/L01_V001.npy", frames)
    table = "n,pts_time,fps,frame_idx\n1,0.0,25.0,0\n2,3.6,25.0,90\n3,7.2,25.0,180\n"
    (tmp_path / "in/map-keyframes/L01_V001.csv").write_text(table)
    store, summary = store_of("npy", tmp_path / "in", tmp_path / "store")
    assert store.video_ids == ["L01_V001"]
    assert store.frame_seconds("L01_V001").tolist() == np.array([0, 3.6, 7.2], np.float32).tolist()
    assert next(iter(store.shards("video"))).array("frame_index").tolist() == [0, 90, 180]
    assert np.array_equal(store.frames("L01_V001"), frames)
    assert summary.rounding == 0
    assert store.receipt("video-00000-of-00001.h5").file_of("L01_V001") is not None  # type: ignore[union-attr]


@pytest.mark.parametrize("spoilt", ["pickle", "nan", "width", "cut", "shape", "integers"])
def test_npy_that_is_not_sound_fails(tmp_path: Path, spoilt: str) -> None:
    np.save(tmp_path / "a.npy", features(3))
    bad = features(3)
    if spoilt == "nan":
        bad[1, 2] = np.nan
    arrays = {"width": features(3)[:, :4], "shape": features(3)[None], "integers": np.ones((3, DIM), int)}
    np.save(tmp_path / "b.npy", arrays.get(spoilt, bad))
    if spoilt == "pickle":
        np.save(tmp_path / "b.npy", np.array([print], dtype=object))
    if spoilt == "cut":
        (tmp_path / "b.npy").write_bytes((tmp_path / "b.npy").read_bytes()[:-9])
    said = {
        "pickle": "holds Python objects, which only a pickle keeps",
        "nan": "row 1 holds NaN or infinity",
        "width": "features are 4 wide, those read before it 8",
        "cut": "it is cut short: 39 bytes of 48",
        "shape": r"its shape is \(1, 3, 8\)",
        "integers": "holds int64, not numbers with a point",
    }
    with pytest.raises(DataError, match=rf"b\.npy: .*{said[spoilt]}"):
        store_of("npy", tmp_path, tmp_path / "store", fps=1.0)


def test_npy_without_seconds_fails(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", features(3))
    with pytest.raises(
        UsageError, match=r"nothing says when its 3 rows are shown. .* --fps 1 .* --clip-seconds 2"
    ):
        planned("npy", tmp_path)
    with pytest.raises(UsageError, match="leave one of them out"):
        planned("npy", tmp_path, fps=1.0, clip_seconds=2.0)


def test_captions_without_features_of_their_videos_fail(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", features(3))
    (tmp_path / "captions.csv").write_text("id,caption\na,one\nb,two\n")
    with pytest.raises(
        DataError, match=r"1 video that captions name of 2 without features: b. .*--allow-missing"
    ):
        planned("npy", tmp_path, fps=1.0)
    with pytest.raises(
        UsageError, match=r"2 captions without features that frames can be compared with. Name the enc"
    ):
        planned("npy", tmp_path, fps=1.0, allow_missing=True)
    store, _ = store_of(
        "npy", tmp_path, tmp_path / "store", fps=1.0, allow_missing=True, without_captions=True
    )
    assert store.video_ids == ["a"]


def test_clip_video_encode_in_tar_files(tmp_path: Path) -> None:
    """As its WebDatasetWriter: TarWriter, keys of nine digits, npy, txt and json of the columns that were asked for."""
    given = {f"{place:09d}": features(place + 2) for place in range(3)}
    with TarWriter(str(tmp_path / "000000000.tar")) as tar:
        for key, frames in given.items():
            record = json.dumps({"videoID": key, "videoLoc": f"{key}.mp4"}, indent=4)
            tar.write({"__key__": key, "npy": frames, "txt": f"caption {key}", "json": record})
    with pytest.raises(UsageError, match="nothing says when its 2 rows are shown"):
        planned("clip-video-encode", tmp_path, without_captions=True)
    store, _ = store_of("clip-video-encode", tmp_path, tmp_path / "store", fps=0.5, without_captions=True)
    assert store.video_ids == list(given)
    assert all(np.array_equal(store.frames(key), frames) for key, frames in given.items())
    assert store.frame_seconds("000000001").tolist() == [0, 2, 4]


def test_clip_video_encode_as_files(tmp_path: Path) -> None:
    """As its FileWriter: npy, txt and json beside each other."""
    frames = features(4)
    np.save(tmp_path / "vid_0.npy", frames)
    (tmp_path / "vid_0.txt").write_text("a man sings")
    (tmp_path / "vid_0.json").write_text(json.dumps({"videoID": "x"}, indent=4))
    with pytest.raises(UsageError, match="1 caption without features"):
        planned("clip-video-encode", tmp_path, fps=1.0)
    store, _ = store_of("clip-video-encode", tmp_path, tmp_path / "store", fps=1.0, without_captions=True)
    assert np.array_equal(store.frames("vid_0"), frames)


def test_pickles_among_clip_video_encodes_files_fail(tmp_path: Path) -> None:
    """webdataset writes pickles under pyd; nothing of one is read."""
    with TarWriter(str(tmp_path / "0.tar")) as tar:
        tar.write({"__key__": "a", "npy": features(2), "pyd": {"a": 1}})
    with pytest.raises(DataError, match=r"0\.tar: a\.pyd is a pickle, .*refused"):
        planned("clip-video-encode", tmp_path, fps=1.0)
    (tmp_path / "0.tar").unlink()
    np.save(tmp_path / "a.npy", features(2))
    (tmp_path / "a.pickle").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(DataError, match=r"a\.pickle is a pickle"):
        planned("clip-video-encode", tmp_path, fps=1.0)


def test_a_tar_that_breaks_off_fails(tmp_path: Path) -> None:
    with TarWriter(str(tmp_path / "0.tar")) as tar:
        tar.write({"__key__": "a", "npy": features(2)})
        tar.write({"__key__": "b", "npy": features(200)})
    (tmp_path / "0.tar").write_bytes((tmp_path / "0.tar").read_bytes()[:3000])
    with pytest.raises(DataError, match=r"0\.tar: .*Copy it again"):
        planned("clip-video-encode", tmp_path, fps=1.0)


def write_clip_retrieval(root: Path, ids: list[str], parts: int = 2, **columns: list[Any]) -> np.ndarray:
    """As its NumpyWriter: float16 of unit length, a partition a file, metadata by pandas (large strings)."""
    images, texts = (features(len(ids), np.float32) for _ in range(2))
    images, texts = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (images, texts))
    cuts = np.array_split(np.arange(len(ids)), parts)
    for part, cut in enumerate(cuts):
        for kind, rows in (("img_emb", images), ("text_emb", texts)):
            (root / kind).mkdir(parents=True, exist_ok=True)
            np.save(root / kind / f"{kind}_{part}.npy", rows[cut].astype(np.float16))
        table = {"image_path": ids, "caption": [f"text {i}" for i in ids], "key": ids, **columns}
        chosen = {
            name: pyarrow.array([values[i] for i in cut], pyarrow.large_string() if values is ids else None)
            for name, values in table.items()
        }
        (root / "metadata").mkdir(exist_ok=True)
        parquet.write_table(pyarrow.table(chosen), root / "metadata" / f"metadata_{part}.parquet")
    return images.astype(np.float16)


def test_clip_retrieval_of_videos(tmp_path: Path) -> None:
    images = write_clip_retrieval(tmp_path / "in", [f"{i:09d}" for i in range(5)])
    store, _ = store_of("clip-retrieval", tmp_path / "in", tmp_path / "store")
    assert np.array_equal(store.videos().frames, images)
    assert store.texts().texts[0] == "text 000000000"
    assert store.manifest.imported["unit_length"] is True  # type: ignore[index]
    assert store.manifest.imported["text_features"] == "pooled"  # type: ignore[index]


def test_clip_retrieval_of_frames(tmp_path: Path) -> None:
    """Rows of one id, one behind the other, also where a partition ends among them."""
    ids = ["a", "a", "b", "b", "b", "c"]
    images = write_clip_retrieval(tmp_path / "in", ids)
    with pytest.raises(UsageError, match=r"6 rows of 3 videos \(column key\). Say --rows frame"):
        planned("clip-retrieval", tmp_path / "in")
    with pytest.raises(UsageError, match="nothing says when its 2 rows are shown"):
        planned("clip-retrieval", tmp_path / "in", rows="frame")
    store, _ = store_of("clip-retrieval", tmp_path / "in", tmp_path / "store", rows="frame", fps=2.0)
    assert np.array_equal(store.frames("b"), images[2:5])
    assert store.frame_seconds("b").tolist() == [0, 0.5, 1]
    assert "captions stand beside frames, not videos: left out" in store.manifest.notes
    assert store.manifest.num_texts == 0


def test_clip_retrieval_whose_tables_do_not_fit_fails(tmp_path: Path) -> None:
    write_clip_retrieval(tmp_path / "in", ["a", "b", "a", "c"], parts=1)
    with pytest.raises(DataError, match="1 duplicate video id: 'a'"):
        planned("clip-retrieval", tmp_path / "in")
    np.save(tmp_path / "in/img_emb/img_emb_0.npy", np.asfortranarray(features(4)))
    with pytest.raises(
        DataError, match=r"img_emb_0\.npy: its shape is \(4, 8\) by columns, not \[row, dim\]"
    ):
        planned("clip-retrieval", tmp_path / "in")
    np.save(tmp_path / "in/img_emb/img_emb_0.npy", features(3))
    with pytest.raises(DataError, match="3 vectors in img_emb/ and 4 rows in metadata/"):
        planned("clip-retrieval", tmp_path / "in")
    (tmp_path / "in/metadata/metadata_0.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(DataError, match=r"metadata_0.parquet: no parquet file that can be read"):
        planned("clip-retrieval", tmp_path / "in")


def test_a_table_of_somebody(tmp_path: Path) -> None:
    """As datasets and pandas write lists of lists."""
    frames = [features(2, np.float32), features(4, np.float32)]
    lists, seconds = [one.tolist() for one in frames], [[0, 1], [0, 1, 2, 3]]
    table = {"video_id": ["x", "y"], "embeddings": lists, "timestamps": seconds}
    parquet.write_table(pyarrow.table(table), tmp_path / "mine.parquet")
    store, _ = store_of("parquet", tmp_path / "mine.parquet", tmp_path / "store")
    assert np.array_equal(store.frames("y"), frames[1].astype(np.float16))
    assert store.frame_seconds("y").tolist() == [0, 1, 2, 3]
    exact = ImportRequest("parquet", tmp_path / "mine.parquet", ReadOptions(), exact=True)
    import_store(plan_import(exact), tmp_path / "exact")
    assert np.array_equal(FeatureStore.open(tmp_path / "exact").frames("y"), frames[1])


def test_a_table_without_what_is_needed_fails(tmp_path: Path) -> None:
    parquet.write_table(pyarrow.table({"video_id": ["x"], "other": [1]}), tmp_path / "mine.parquet")
    with pytest.raises(DataError, match="has the columns video_id, other, and none of frames"):
        planned("parquet", tmp_path / "mine.parquet")
    table = {"video_id": ["x", None], "frames": [[[1.0]], [[1.0]]], "seconds": [[0.0], [0.0]]}
    parquet.write_table(pyarrow.table(table), tmp_path / "mine.parquet")
    with pytest.raises(DataError, match="row 1 has no video_id"):
        planned("parquet", tmp_path / "mine.parquet")


@pytest.mark.parametrize("layout", ["univtg", "npy", "clip-video-encode", "clip-retrieval", "parquet"])
def test_an_empty_folder_fails(tmp_path: Path, layout: str) -> None:
    with pytest.raises(DataError, match="holds"):
        planned(layout, tmp_path)
    with pytest.raises(DataError, match="there is no such file or folder"):
        planned(layout, tmp_path / "nowhere")


def test_what_was_read_before_a_damaged_file_stays(tmp_path: Path) -> None:
    for name in "abc":
        np.save(tmp_path / f"{name}.npy", features(3))
    (tmp_path / "sound").write_bytes((tmp_path / "c.npy").read_bytes())
    request = ImportRequest("npy", tmp_path, ReadOptions(fps=1.0), videos_per_shard=1)
    looked_at = plan_import(request)
    (tmp_path / "c.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(DataError, match=r"c\.npy: no array can be read"):
        import_store(looked_at, tmp_path / "store")
    (tmp_path / "c.npy").write_bytes((tmp_path / "sound").read_bytes())
    summary = import_store(plan_import(request), tmp_path / "store")
    assert (summary.shards_skipped, summary.shards_done) == (2, 1)
