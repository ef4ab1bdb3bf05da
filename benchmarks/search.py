"""What an index finds of what comparing every video finds, and how fast: ``python -m benchmarks.search``.

An archive of 10^4, 10^5 and 10^6 generated videos lies in a mapped file. Exact: the head compares every video.
Indexed: FAISS names the nearest by one coarse vector a video, and the head puts these candidates in order.
Recall is the share of the exact first ten that are among them; the order is the head's own either way, so this is
the recall after re-ranking as well.

A video shows four of 2,000 things in turn and its text names them. Many videos share one or two of them, and their
order depends on single frames and words, which a coarse vector does not have. The heads are untrained and without
transformers, which encode but do not search: xclip has coarse vectors of its own, for wti mean pooling stands in.
"""

import argparse
import resource
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.format import open_memmap
from tvr.data.contracts.plug_ins import load_plug_in
from tvr.heads.base import TextFeatures, build_head
from tvr.heads.features.feature_set import FeatureSet
from tvr.heads.features.items import TextItems, VideoItems
from tvr.heads.features.rows import Rows
from tvr.heads.search.gallery.exact import Hit, search
from tvr.heads.search.gallery.faiss_index import IndexedGallery, build_index
from tvr.heads.search.gallery.index_folder import VideoIndex

from .record import keep

TOP, THINGS, SHOWN, BLOCK = 10, 2_000, 4, 1 << 14


def main() -> None:
    """Print a line per size and kind of index, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", nargs="+", type=int, default=[10**4, 10**5, 10**6])
    parser.add_argument("--kinds", nargs="+", default=["flat", "ivf", "hnsw"])
    parser.add_argument("--candidates", nargs="+", type=int, default=[100, 1000])
    parser.add_argument("--heads", nargs="+", default=["xclip", "wti"])
    parser.add_argument("--queries", type=int, default=30)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--words", type=int, default=12)
    options = parser.parse_args()
    figures: dict[str, Any] = {name: value for name, value in vars(options).items() if name != "items"}
    print(
        f"{'videos':>9} {'search':29}{'recall@1':>9}{'recall@10':>10}{'ms/query':>10}{'built s':>9}{'index MB':>9}"
    )
    for items in options.items:
        with tempfile.TemporaryDirectory() as folder:
            features = _archive(Path(folder) / "frames.npy", items, options)
            figures[str(items)] = {name: _measured(name, features, options) for name in options.heads}
    keep("search", figures | {"peak_gib": round(_peak_gib(), 2)})


def _measured(name: str, features: FeatureSet, options: argparse.Namespace) -> dict[str, Any]:
    """Exact search, and every kind of index with every number of candidates."""
    torch.manual_seed(0)
    config = _without_transformers(load_plug_in("tvr.heads", name).Config())
    head = build_head(name, config, features.shape()).eval()
    queries = features.text_batch(torch.arange(features.num_texts), options.words)
    started = time.perf_counter()
    exact = search(head, features, queries, TOP)
    seconds = time.perf_counter() - started
    rows = {"exact": {"ms_per_query": _per_query(seconds, exact), "recall@1": 1.0, "recall@10": 1.0}}
    _print(features.num_videos, f"{name}, exact", rows["exact"])
    for kind in options.kinds:
        started = time.perf_counter()
        index = build_index(head, features, kind)
        built = {"build_seconds": round(time.perf_counter() - started, 1), "index_mb": _megabytes(index)}
        gallery = IndexedGallery(head, features, index)
        for candidates in options.candidates:
            way = f"{kind}, {candidates:,} candidates"
            rows[way] = built | _indexed(gallery, queries, candidates, exact)
            _print(features.num_videos, f"{name}, {way}", rows[way])
    return rows


def _indexed(
    gallery: IndexedGallery, queries: TextFeatures, candidates: int, exact: list[list[Hit]]
) -> dict[str, float]:
    started = time.perf_counter()
    found = gallery.search(queries, TOP, candidates)
    seconds = time.perf_counter() - started
    return {
        "ms_per_query": _per_query(seconds, exact),
        "recall@1": _recall(found, exact, 1),
        "recall@10": _recall(found, exact, TOP),
    }


def _recall(found: list[list[Hit]], exact: list[list[Hit]], count: int) -> float:
    """Share of the exact first ones that were found among as many."""
    pairs = zip(found, exact, strict=True)
    shares = [
        len({h.video_id for h in a[:count]} & {h.video_id for h in b[:count]}) / count for a, b in pairs
    ]
    return round(float(np.mean(shares)), 4)


def _per_query(seconds: float, queries: list[list[Hit]]) -> float:
    return round(1e3 * seconds / len(queries), 2)


def _print(videos: int, name: str, row: dict[str, float]) -> None:
    built = f"{row['build_seconds']:>9,.1f}{row['index_mb']:>9,.0f}" if "build_seconds" in row else ""
    recalls = f"{row['recall@1']:>9.3f}{row['recall@10']:>10.3f}"
    print(f"{videos:>9,} {name:29}{recalls}{row['ms_per_query']:>10,.2f}{built}", flush=True)


def _without_transformers(config: Any) -> Any:
    fields = ("layers", "word_layers")
    return replace(config, **{name: 0 for name in fields if hasattr(config, name)})


def _megabytes(index: VideoIndex) -> float:
    with tempfile.TemporaryDirectory() as folder:
        index.save(Path(folder))
        return round(sum(file.stat().st_size for file in Path(folder).iterdir()) / 1e6, 1)


def _archive(file: Path, items: int, options: argparse.Namespace) -> FeatureSet:
    """Videos in a file that is mapped, and one text for each of the first ones."""
    random = np.random.default_rng(0)
    things = random.standard_normal((THINGS, options.dim), dtype=np.float32)
    frames = open_memmap(file, "w+", np.float16, (items * options.frames, options.dim))
    words: list[np.ndarray] = []
    for start in range(0, items, BLOCK):
        count = min(BLOCK, items - start)
        shown = things[random.integers(0, THINGS, (count, SHOWN))]
        rows = slice(start * options.frames, (start + count) * options.frames)
        frames[rows] = _parts(shown, options.frames, random)
        if start == 0:
            words.append(_parts(shown[: options.queries], options.words, random))
    frames.flush()
    ids = tuple(f"v{i:07d}" for i in range(items))
    queries = min(items, options.queries)
    mapped = np.load(file, mmap_mode="r")
    videos = VideoItems(ids, Rows.of(mapped, np.arange(items + 1) * options.frames), np.zeros(0, np.float32))
    texts = TextItems(
        ids=tuple(f"t{i:07d}" for i in range(queries)),
        video_ids=ids[:queries],
        texts=("",) * queries,
        words=Rows.of(words[0], np.arange(queries + 1) * options.words),
        token_ids=np.zeros(len(words[0]), np.int32),
        sentence_row=torch.full((queries,), options.words - 1),
        parts=None,
    )
    return FeatureSet(videos, texts)


def _parts(shown: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """Frames or words of one thing after the other, the last one (a text's pooled row) of all together."""
    parts = shown[:, np.arange(count) * SHOWN // count]
    parts[:, -1] = shown.mean(axis=1)
    parts = parts + random.standard_normal(parts.shape, dtype=np.float32)
    return (parts * 7 / parts.shape[2] ** 0.5).astype(np.float16).reshape(-1, parts.shape[2])


def _peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 2**30


if __name__ == "__main__":
    main()
