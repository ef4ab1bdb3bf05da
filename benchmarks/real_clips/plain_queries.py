"""Plain queries that somebody would type, and the clips that show what they ask for.

They were written from the captions, by kind, before any of them was tried; none was changed or left out since. Those of
``tests/test_real_clips.py`` are others, and were chosen because they find their clips.
"""

from pathlib import Path
from statistics import median
from typing import Any

from tvr.heads.search.answers import Wish
from tvr.heads.search.archive import Archive, open_archive
from tvr.heads.search.searcher import Searcher
from tvr.pipeline.store.reader import FeatureStore

QUERIES: dict[str, dict[str, set[str]]] = {
    "a thing or animal that has a class": {
        "a cat": {"7nxhg1S6BV4.22", "A kitten turning its head on a wooden floor", "trackany_2"},
        "a panda in a forest": {"valley_example_video"},
        "brown bears": {"cve_vid1"},
        "an orangutan": {"cve_vid2"},
        "a wolf": {"tokenflow_wolf"},
        "a shark": {"koala_4.49_xED6jYxWaGg_26", "trackany_4"},
        "a convertible": {"4F0B-U_xwN0.23"},
        "a barbell": {"vf_v_GGSY1Qvo990"},
        "a lipstick": {"YemkZ7DLOBU.15"},
        "dough": {"AvVDsFBc6bA.0", "vE7ciKU5KM4.4"},
    },
    "an activity or a profession": {
        "a cobbler repairs shoes": {"GH7Jlmx3riU.98"},
        "a woman plays golf": {"pKIEP-MOCu0.47"},
        "somebody welds metal": {"Vg7WOOQrErw.28"},
        "people arm wrestling": {"mmaction2_demo"},
        "sign language": {"intel_asl_book", "intel_asl_eat", "intel_asl_milk"},
        "a comedian on stage": {"eibWo9t6pos.25"},
        "flipping a pancake": {"decord_flipping_a_pancake"},
        "archery": {"paddlevideo_example"},
        "a man ties his kayak down": {"nzXctrl4S9w.13"},
        "folding a paper airplane": {"G0mjFqytJt4_000152_000162"},
    },
    "colours, counts, views, drawings, screens": {
        "a white car": {"p5xjUtqNuXE.24", "koala_4.31_w_HPjTkEUJg_48"},
        "two men hugging": {"vdGG2_5VM9U.2"},
        "a freeway from above": {"4Q8lLQxWgmU.13", "J2vHbuGsxxs.16"},
        "the great wall of china": {"dj_video11"},
        "planets of the solar system": {"aHvi80-PnZ8.15", "OjXeF568qUA.18"},
        "a sunset at sea": {"1IK5fEEVQdY.102"},
        "a cartoon sheep": {"dj_video1"},
        "a video game": {"UaQKCrszICw.16"},
        "the settings of a computer": {"ITKgZZcTpzE.5"},
        "a woman with red hair": {"paddlevideo_example"},
    },
}
"""By kind, the names of the files without folder and extension."""


def plain_queries(store: FeatureStore) -> dict[str, Any]:
    """What ``tvr search --zero-shot`` answers: at which place the first clip that shows it comes, among all clips."""
    archive = open_archive(None, store.folder)
    return {kind: _of_kind(archive, queries) for kind, queries in QUERIES.items()}


def _of_kind(archive: Archive, queries: dict[str, set[str]]) -> dict[str, Any]:
    clips = archive.features.num_videos
    places = {query: place(ranked(archive, query, clips), right) for query, right in queries.items()}
    return {
        "in_the_top_ten": sum(found <= 10 for found in places.values()),
        "of": len(queries),
        "chance_of_the_top_ten": round(
            sum(chance_among(10, len(right), clips) for right in queries.values()), 1
        ),
        "median_place": median(places.values()),
        "places": places,
    }


def ranked(archive: Archive, query: str, clips: int) -> list[str]:
    """Names of all clips, best first."""
    return [
        Path(f"{hit.video_id}.mp4").stem for hit in Searcher.open(archive).by_text(query, Wish(clips)).hits
    ]


def place(found: list[str], right: set[str]) -> int:
    """Where the first of the right clips stands; 1 is best.

    Raises:
        ValueError: one of them is not among the clips at all.
    """
    if missing := right - set(found):
        raise ValueError(f"no clip is called {', '.join(sorted(missing))}")
    return 1 + min(found.index(name) for name in right)


def chance_among(k: int, right: int, clips: int) -> float:
    """That at least one of so many right clips is among the first ``k`` of an order drawn at random."""
    none = 1.0
    for drawn in range(min(k, clips)):
        none *= max(0, clips - right - drawn) / (clips - drawn)
    return 1 - none
