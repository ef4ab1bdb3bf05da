"""The page's HTTP API over real sockets: what it answers to one, to fifty at once, and to what nobody should ask."""

import asyncio
import socket
from concurrent.futures import Future, ThreadPoolExecutor
from io import BytesIO
from itertools import cycle, product
from threading import Barrier
from typing import Any

import httpx
import pytest
from PIL import Image
from tvr.cli.page.opened_store import ZERO_SHOT
from tvr.cli.serve import _listening
from tvr.data.contracts.errors import UsageError
from tvr.heads.search.answers import Answer, Wish

from ...fixtures.served_page import MARKUP, NOT_UTF8, RUN, ServedPage

COLOURS = [
    f"{shade}{colour}"
    for shade in ("", "dark ", "light ", "pale ", "deep ")
    for colour in ("red", "blue", "green", "yellow", "purple")
]


@pytest.mark.parametrize("height", [90, 180, 360])
def test_a_frame_comes_in_the_height_that_is_asked_for(height: int, api: ServedPage) -> None:
    with api.client() as client:
        [hit] = client.get("/api/search", params={"q": "a small ring grows", "top": 1}).json()["hits"]
        asked = {"seconds": hit["moment"]["frame_seconds"], "height": height}
        answer = client.get(f"/api/videos/{hit['video']}/frame", params=asked)
    assert answer.headers["content-type"] == "image/jpeg"
    assert Image.open(BytesIO(answer.content)).height == height


@pytest.mark.parametrize("height", ["0", "181", "-90", "x", ""])
def test_another_height_fails(height: str, api: ServedPage) -> None:
    with api.client() as client:
        answer = client.get("/api/videos/0/frame", params={"seconds": 0, "height": height})
    assert answer.status_code == 422


def test_a_port_that_another_server_took_fails_before_anything_is_loaded() -> None:
    with _listening("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        socket.create_connection(("127.0.0.1", port)).close()  # who comes meanwhile is not sent away
        with pytest.raises(UsageError, match=f"cannot listen on 127.0.0.1 port {port}"):
            _listening("127.0.0.1", port)


def test_markup_in_names_captions_and_queries_is_text(api: ServedPage) -> None:
    [video] = [one for one in api.context.opened.catalogue.captions.items() if MARKUP in one[1][0]]
    with api.client() as client:
        answer = client.get("/api/search", params={"q": f"{MARKUP} rises", "top": 100})
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-content-type-options"] == "nosniff"
        [hit] = [hit for hit in answer.json()["hits"] if hit["id"] == video[0]]
        assert (hit["file"], hit["folder"], hit["captions"]) == (f"{MARKUP}.mp4", MARKUP, list(video[1]))
        assert answer.json()["query"]["text"] == f"{MARKUP} rises"
        refused = client.get("/api/search", params={"q": "a", "run": MARKUP})
        assert refused.headers["content-type"] == "application/json"
        assert MARKUP in refused.json()["detail"]


def test_names_that_are_no_text_are_shown_and_played(api: ServedPage) -> None:
    number = api.context.opened.catalogue.numbers[NOT_UTF8]
    with api.client() as client:
        one = client.get(f"/api/videos/{number}").json()
        assert (one["file"], one["folder"], one["trouble"]) == (r"\xff.mp4", r"\xff\xfe", "")
        found = client.get("/api/search", params={"q": "a ring", "folder": one["folder"]}).json()
        assert [hit["video"] for hit in found["hits"]] == [number]
        listed = client.get("/api/videos", params={"name": one["file"]}).json()
        assert [video["video"] for video in listed["videos"]] == [number]
        assert one["folder"] in client.get("/api/about").json()["folders"]
        assert client.get(f"/api/videos/{number}/media").content[4:8] == b"ftyp"


def test_names_that_are_no_text_fails_in_a_sentence(api: ServedPage) -> None:
    """A frame behind the end: the refusal names the file."""
    number = api.context.opened.catalogue.numbers[NOT_UTF8]
    with api.client() as client:
        answer = client.get(f"/api/videos/{number}/frame", params={"seconds": 1e6})
    assert answer.status_code == 404
    assert answer.json()["detail"].startswith(r"\xff.mp4: ")


def test_what_cannot_be_read_fails_in_one_sentence(api: ServedPage) -> None:
    with api.client() as client:
        answer = client.get("/api/search", params={"q": "a", "top": "x" * 100, "offset": -1})
    assert answer.status_code == 422
    top, offset = answer.json()["detail"].split("; ")
    assert top == "top: input should be a valid integer, unable to parse string as an integer", (
        "too long to repeat"
    )
    assert offset == "offset: input should be greater than or equal to 0, got '-1'"


def test_fifty_at_once_lose_nothing(api: ServedPage) -> None:
    """Distinct queries, by video and by moment, of two heads; each is answered as if it had been alone."""
    texts = [f"a {size} {colour} ring" for size in ("big", "small") for colour in COLOURS]
    asked = [
        (text, run, by)
        for text, (run, by) in zip(texts, cycle(product((RUN, ZERO_SHOT), ("video", "moment"))), strict=False)
    ]
    assert len(set(asked)) == 50
    barrier = Barrier(len(asked))

    def answer(text: str, run: str, by: str) -> httpx.Response:
        barrier.wait()
        return client.get("/api/search", params={"q": text, "run": run, "by": by, "top": 5})

    with api.client() as client, ThreadPoolExecutor(len(asked)) as people:
        answers = list(people.map(answer, *zip(*asked, strict=True)))
    for (text, run, by), found in zip(asked, answers, strict=True):
        assert found.status_code == 200, found.text
        wish = Wish(5, by="moment" if by == "moment" else "video")
        alone = api.context.opened.searcher(run).by_text(text, wish).hits
        hits = found.json()["hits"]
        assert found.json()["query"]["text"] == text
        assert [hit["score"] for hit in hits] == pytest.approx([one.score for one in alone], abs=1e-5)
        assert [hit["video"] for hit in hits] == [one.number for one in alone]


def test_a_search_waits_for_its_turn_once(api: ServedPage, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read of a text is known since it was answered: to ask for that is to wait behind everybody again."""
    monkeypatch.setattr(api.context.worker, "do", lambda task: pytest.fail("it waits a second time"))
    with api.client() as client:
        found = client.get("/api/search", params={"q": "a ring " * 100}).json()
    assert found["query"]["cut"] and 0 < len(found["query"]["read"]) < len("a ring " * 100)


def test_a_search_comes_between_the_steps_of_an_alignment(
    api: ServedPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, kind = api.context.worker, type(api.context.opened.searcher(RUN))
    searches: list[Future[Answer]] = []
    answered_when_it_ended: list[bool] = []
    align, moments = kind.alignment, kind.moments

    def first(*arguments: Any) -> Any:
        searches.append(worker.search(RUN, "a ring", Wish(1)))
        return align(*arguments)

    def last(*arguments: Any) -> Any:
        answered_when_it_ended.append(searches[0].done())
        return moments(*arguments)

    monkeypatch.setattr(kind, "alignment", first)
    monkeypatch.setattr(kind, "moments", last)
    with api.client() as client:
        number = client.get("/api/search", params={"q": "a ring"}).json()["hits"][0]["video"]
        found = client.get(f"/api/videos/{number}/alignment", params={"q": "a ring", "run": RUN})
    assert found.status_code == 200, found.text
    assert answered_when_it_ended == [True]


def test_filters_are_looked_at_while_others_are_answered(
    api: ServedPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    mask, loops = api.context.opened.catalogue.mask, []

    def observed(*arguments: Any) -> Any:
        loops.append(asyncio._get_running_loop())
        return mask(*arguments)

    monkeypatch.setattr(api.context.opened.catalogue, "mask", observed)
    with api.client() as client:
        assert client.get("/api/search", params={"q": "a ring", "longest": 100}).json()["hits"]
    assert loops == [None], "in a thread that answers nobody else"
