"""The page's HTTP API over a real socket, on a store and a run that lie in the repository."""

import re
import shutil
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from tvr.cli.page.app import PAGES, page_app
from tvr.cli.page.context import PageContext
from tvr.cli.page.media.shelf import MediaShelf, Playable
from tvr.cli.page.opened_store import ZERO_SHOT, OpenedStore
from tvr.data.base import load_dataset
from tvr.heads.evaluation.evaluate import evaluate
from tvr.heads.features.from_store import features_of
from tvr.heads.runs.newest import RunEntry
from tvr.heads.search.answers import Wish
from tvr.heads.search.searcher import Searcher
from tvr.pipeline.store.reader import FeatureStore
from tvr.pipeline.workspace import Workspace

from ...fixtures.http_server import served

PATIENCE_SECONDS = 60
WRITTEN = Path(__file__).resolve().parents[2] / "fixtures" / "before_rooms"


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> PageContext:
    folder = shutil.copytree(WRITTEN, tmp_path_factory.mktemp("page") / "written")
    store = FeatureStore.open(folder / "store")
    videos = dict(load_dataset("folder", folder / "videos", {}).videos)
    entry = RunEntry.of(folder / "run")
    opened = OpenedStore(store, videos, [entry])
    media = MediaShelf(store, videos, folder / "played")
    return PageContext(opened, media, [entry], Workspace(folder), "written")


@pytest.fixture(scope="module")
def client(context: PageContext) -> Iterator[httpx.Client]:
    with (
        served(page_app(context)) as port,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
    ):
        yield client


def got(client: httpx.Client, address: str, **parameters: Any) -> Any:
    answer = client.get(address, params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


def searcher(context: PageContext, run: str | None = None) -> Searcher:
    return context.opened.searcher(run)


def a_caption(context: PageContext) -> tuple[int, str]:
    """The number of a video with frames, and its caption."""
    catalogue = context.opened.catalogue
    video = context.opened.features.video_ids[0]
    return catalogue.numbers[video], catalogue.captions[video][0]


def test_about_says_what_is_searched(client: httpx.Client, context: PageContext) -> None:
    about = got(client, "/api/about")
    assert (about["videos"], about["with_frames"]) == (11, context.opened.features.num_videos)
    assert [(run["name"], run["head"]) for run in about["runs"]] == [("run", "wti"), (ZERO_SHOT, "mean_pool")]
    assert about["run"] == "run"
    assert set(about["examples"]) <= set(context.opened.catalogue.owners)
    assert about["caution"]["label"] == "knows drawings only"


@pytest.mark.parametrize("run", ["run", ZERO_SHOT, None])
def test_a_text_finds_what_the_searcher_finds(
    client: httpx.Client, context: PageContext, run: str | None
) -> None:
    number, text = a_caption(context)
    parameters = {} if run is None else {"run": run}
    found = got(client, "/api/search", q=text, top=4, offset=1, **parameters)
    wanted = searcher(context, run).by_text(text, Wish(4, 1))
    assert [(hit["video"], hit["rank"]) for hit in found["hits"]] == [
        (hit.number, rank) for rank, hit in enumerate(wanted.hits, start=2)
    ]
    assert [hit["score"] for hit in found["hits"]] == pytest.approx(
        [hit.score for hit in wanted.hits], abs=1e-5
    )
    assert found["run"] == (run or "run")
    assert found["true_video"]["video"] in context.opened.catalogue.owners[text]
    assert found["query"] == {
        "kind": "text", "text": text, "video": None, "seconds": None, "picture": None, "cut": False, "read": "",
    }  # fmt: skip
    whole = got(client, "/api/search", q=text, top=100, **parameters)
    ranks = {hit["video"]: hit["rank"] for hit in whole["hits"]}
    assert whole["true_video"]["rank"] == min(ranks[own] for own in context.opened.catalogue.owners[text])
    assert number in ranks


def test_moments_are_ranked_when_asked(client: httpx.Client, context: PageContext) -> None:
    _, text = a_caption(context)
    found = got(client, "/api/search", q=text, by="moment", top=50)
    wanted = searcher(context).by_text(text, Wish(50, by="moment"))
    assert [hit["moment"]["frame_seconds"] for hit in found["hits"]] == pytest.approx(
        [hit.moment.frame_seconds for hit in wanted.hits]
    )
    assert all(hit["place"] is None for hit in found["hits"])


def test_filters_hold(client: httpx.Client, context: PageContext) -> None:
    for split in ("train", "val", "test"):
        found = got(client, "/api/search", q="a big circle", top=50, split=split)
        assert found["hits"]
        assert all(split in hit["splits"] for hit in found["hits"])
    assert got(client, "/api/search", q="a circle", longest=0.01)["remark"] == "no video passes the filters"


def test_a_video_and_a_frame_find_what_looks_alike(client: httpx.Client, context: PageContext) -> None:
    number, _ = a_caption(context)
    seconds = got(client, f"/api/videos/{number}")["frame_seconds"]
    for more in ({}, {"seconds": seconds[-1]}):
        found = got(client, "/api/search", video=number, top=50, **more)
        assert found["query"]["kind"] == ("frame" if more else "video")
        assert number not in {hit["video"] for hit in found["hits"]}
        assert len(found["hits"]) == context.opened.features.num_videos - 1


def test_a_picture_is_kept_and_looked_for(client: httpx.Client, context: PageContext) -> None:
    number, _ = a_caption(context)
    seconds = got(client, f"/api/videos/{number}")["frame_seconds"]
    frame = client.get(f"/api/videos/{number}/frame", params={"seconds": seconds[0], "height": 360})
    assert frame.headers["content-type"] == "image/jpeg"
    kept = client.post("/api/pictures", content=frame.content, headers={"content-type": "image/jpeg"}).json()
    found = got(client, "/api/search", picture=kept["picture"], top=3)
    assert number in {hit["video"] for hit in found["hits"]}, "a frame of the video itself"
    shown = client.get(f"/api/pictures/{kept['picture']}")
    assert Image.open(BytesIO(shown.content)).format == "JPEG"
    again = client.post("/api/pictures", content=frame.content).json()
    assert again == kept


def test_no_picture_fails(client: httpx.Client) -> None:
    answer = client.post("/api/pictures", content=b"no picture")
    assert (answer.status_code, answer.json()["detail"]) == (
        422,
        "the picture is not a readable picture: its first bytes are those of no picture format",
    )
    assert client.get("/api/search", params={"picture": "0" * 24}).status_code == 404


@pytest.mark.parametrize(
    ("parameters", "code", "sentence"),
    [
        ({}, 400, "look for one thing"),
        ({"q": "  "}, 400, "look for one thing"),
        ({"q": "a", "video": 1}, 400, "got q and video"),
        ({"q": "a", "seconds": 1}, 400, "seconds names a frame of a video"),
        ({"video": 1, "by": "moment"}, 400, "moments are found by a text"),
        ({"video": 99}, 404, "there is no video 99: the store has 11, counted from 0"),
        ({"q": "a", "run": "../run"}, 404, "unknown run '../run'"),
        ({"q": "a", "split": "../x"}, 400, "the store has no split '../x'"),
        ({"q": "a", "top": 0}, 422, ""),
        ({"q": "a" * 2001}, 422, ""),
        ({"q": "a", "shortest": "nan"}, 422, ""),
    ],
)
def test_a_search_fails(client: httpx.Client, parameters: dict[str, Any], code: int, sentence: str) -> None:
    answer = client.get("/api/search", params=parameters)
    assert answer.status_code == code, answer.text
    assert sentence in str(answer.json()["detail"])


def test_an_address_that_is_none_fails(client: httpx.Client) -> None:
    """A program reads JSON, a person a page, on which what was asked is no markup."""
    for address, code in (("/nowhere", 404), ("/api/videos/99", 404), ("/api/search?q=a&run=<b>", 404)):
        assert client.get(address).status_code == code
        assert client.get(address).headers["content-type"] == "application/json"
        page = client.get(address, headers={"accept": "text/html"})
        assert (page.status_code, page.headers["content-type"]) == (code, "text/html; charset=utf-8")
        assert "<h1>tvr</h1>" in page.text and "<b>" not in page.text
        (sheet,) = re.findall(r'<link rel="stylesheet" href="([^"]+)">', page.text)
        assert client.get(sheet).headers["content-type"].startswith("text/css")


def test_what_scores_are_worth_is_not_known_of_few_captions(client: httpx.Client) -> None:
    end = monotonic() + PATIENCE_SECONDS
    while (
        "being measured" in (said := got(client, "/api/search", q="a ring")["uncalibrated"])
        and monotonic() < end
    ):
        sleep(0.01)  # behind the back of the queries
    assert re.search(r"that takes 20 captions of the split 'val', which has \d$", said)
    assert got(client, "/api/search", q="a ring", by="moment")["uncalibrated"] == ""
    assert got(client, "/api/search", video=0)["uncalibrated"] == ""


@pytest.mark.parametrize("run", ["run", ZERO_SHOT])
def test_words_and_frames_meet_as_the_head_has_them(
    client: httpx.Client, context: PageContext, run: str
) -> None:
    number, text = a_caption(context)
    found = got(client, f"/api/videos/{number}/alignment", q=text, run=run)
    one = context.opened.catalogue[number]
    expected = searcher(context, run).alignment(context.opened.queries.of_text(text), one.id)
    assert found["words"] == text.split()
    assert np.shape(found["word_scores"]) == (len(text.split()), len(found["frame_seconds"]))
    assert found["is_of_head"] == (run == "run")
    assert expected.curve is not None
    assert found["curve"] == pytest.approx(expected.curve.tolist(), abs=1e-5)
    assert len(found["borders"]) == len(found["frame_seconds"]) + 1
    whole = got(client, "/api/search", q=text, run=run, top=100)["hits"]
    assert found["score"] == pytest.approx(
        next(hit["score"] for hit in whole if hit["video"] == number), abs=1e-5
    )
    for place, score in enumerate(found["scores_without"]):
        words = text.split()
        rest = got(
            client, "/api/search", q=" ".join([*words[:place], *words[place + 1 :]]), run=run, top=100
        )["hits"]
        assert score == pytest.approx(next(hit["score"] for hit in rest if hit["video"] == number), abs=1e-5)
    assert len(found["scores_without"]) == len(text.split()) > 1
    assert found["spans"][0]["score"] == max(span["score"] for span in found["spans"])


def test_a_video_that_is_not_there_is_told(client: httpx.Client, context: PageContext) -> None:
    number = context.opened.catalogue.numbers["test-00003"]
    one = got(client, f"/api/videos/{number}")
    assert (one["status"], one["file"], one["path_known"]) == ("failed", None, False)
    assert one["trouble"]
    assert got(client, f"/api/videos/{number}/playable")["state"] == "missing"
    assert client.get(f"/api/videos/{number}/frame", params={"seconds": 0}).status_code == 404
    assert client.get(f"/api/videos/{number}/media").status_code == 404
    assert client.get(f"/api/videos/{number}/alignment", params={"q": "a"}).status_code == 404
    assert client.get("/api/search", params={"video": number}).status_code == 404


def test_a_video_plays_as_it_is(client: httpx.Client, context: PageContext) -> None:
    number, _ = a_caption(context)
    playable = got(client, f"/api/videos/{number}/playable", start=0, end=1)
    assert (playable["state"], playable["kind"]) == ("ready", "file")
    whole = client.get(playable["url"])
    path = context.opened.catalogue[number].path
    assert isinstance(path, Path) and whole.content == path.read_bytes()
    part = client.get(playable["url"], headers={"range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    assert client.get(playable["url"], params={"start": 3, "end": 2}).status_code == 400


def test_a_video_is_tried_again_where_that_is_asked_for(
    client: httpx.Client, context: PageContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    playable = context.media.playable

    def noted(video: str, *span: float | None, again: bool) -> Playable:
        asked.append(again)
        return playable(video, *span, again=again)

    monkeypatch.setattr(context.media, "playable", noted)
    for more in ({}, {"again": True}):
        assert got(client, "/api/videos/0/playable", **more)["state"] == "ready"
    assert asked == [False, True]


def test_videos_are_listed(client: httpx.Client) -> None:
    every = got(client, "/api/videos", top=100)
    assert every["total"] == len(every["videos"]) == 11
    failed = got(client, "/api/videos", status="failed")
    assert {one["id"] for one in failed["videos"]} == {"test-00003", "train-00003"}
    assert [one["id"] for one in got(client, "/api/videos", name="VAL-00001")["videos"]] == ["val-00001"]


def test_a_run_has_its_curves_and_tables(client: httpx.Client, context: PageContext) -> None:
    [listed] = got(client, "/api/runs")["runs"]
    assert (listed["name"], listed["head"], listed["finished"]) == ("run", "wti", True)
    run = got(client, "/api/runs/run")
    assert [epoch["epoch"] for epoch in run["history"]] == [1, 2]
    assert all(epoch["train_loss"] > 0 for epoch in run["history"])
    names = [row[0] for table in run["tables"] for row in table["rows"]]
    assert "wti" in names and "mean_pool (zero-shot)" in names
    assert run["config"]["weights"] == "learned"
    assert got(client, f"/api/runs/{ZERO_SHOT}")["tables"]
    assert client.get("/api/runs/nosuch").status_code == 404


def test_failures_are_the_queries_that_an_evaluation_counts(
    client: httpx.Client, context: PageContext
) -> None:
    run = context.opened.runs["run"]
    for split in ("train", "val"):
        features = features_of(context.opened.store, split)
        ranks = evaluate(context.opened.head(run), features).ranks.t2v.ranks
        found = got(client, "/api/runs/run/failures", split=split, top=100)
        assert (found["queries"], found["wrong"]) == (len(ranks), int((ranks > 1).sum()))
        assert [one["rank"] for one in found["failures"]] == ranks[ranks > 1].tolist()
        wrong = [features.texts[place] for place in np.flatnonzero(ranks > 1)]
        assert [one["text"] for one in found["failures"]] == wrong
        for one in found["failures"]:
            assert one["first"]["video"] != one["video"] or one["rank"] == 1.5, "or a tie"


def test_the_store_names_what_failed(client: httpx.Client) -> None:
    store = got(client, "/api/store")
    assert store["num_failed"] == 2
    assert {one["id"] for one in store["failed"]} == {"test-00003", "train-00003"}
    assert all(one["reason"] for one in store["failed"])


@pytest.mark.parametrize("address", [page.replace("{name}", "run") for page in PAGES])
def test_every_address_of_the_page_is_the_page(client: httpx.Client, address: str) -> None:
    answer = client.get(address)
    assert answer.headers["content-type"].startswith("text/html")
    assert "/static/app.js" in answer.text
    assert client.get("/static/app.js").status_code == 200
    assert client.get("/static/../app.py").status_code == 404


def test_no_answer_tells_where_a_file_lies(client: httpx.Client, context: PageContext) -> None:
    number, text = a_caption(context)
    folder = str(context.opened.store.folder.parent)
    for address in (
        "/api/about",
        f"/api/search?q={text}",
        f"/api/videos/{number}",
        "/api/videos",
        "/api/store",
    ):
        assert folder not in client.get(address).text
