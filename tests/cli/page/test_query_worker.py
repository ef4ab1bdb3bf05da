"""Queries are answered in batches by one thread; one that fails takes nobody else's answer away."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tvr.cli.page import query_worker
from tvr.cli.page.opened_store import ZERO_SHOT, OpenedStore
from tvr.cli.page.query_worker import BusyError, QueryWorker
from tvr.data.contracts.errors import UsageError
from tvr.heads.runs.newest import RunEntry
from tvr.heads.search.answers import Wish
from tvr.pipeline.store.reader import FeatureStore

WRITTEN = Path(__file__).resolve().parents[2] / "fixtures" / "before_rooms"


@pytest.fixture(scope="module")
def opened() -> Iterator[OpenedStore]:
    opened = OpenedStore(FeatureStore.open(WRITTEN / "store"), {}, [])
    yield opened
    opened.close()


def held(worker: QueryWorker) -> threading.Event:
    """Keep the thread busy until the event is set, so that what is asked meanwhile is one batch."""
    begun, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        go_on.wait()

    worker.do(wait)
    begun.wait()
    return go_on


def test_runs_of_one_name_are_told_apart() -> None:
    entry = RunEntry.of(WRITTEN / "run")
    other = replace(entry, written=0.0)
    opened = OpenedStore(FeatureStore.open(WRITTEN / "store"), {}, [entry, other])
    assert [(name, run.entry) for name, run in opened.runs.items()] == [
        ("run", entry),
        ("run (2)", other),
        (ZERO_SHOT, None),
    ]
    called_so = OpenedStore(opened.store, {}, [replace(entry, folder=Path(ZERO_SHOT))])
    assert list(called_so.runs) == [f"{ZERO_SHOT} (2)", ZERO_SHOT]
    assert called_so.usual == f"{ZERO_SHOT} (2)"


def test_a_batch_gives_each_its_own_answer(opened: OpenedStore) -> None:
    texts = [f"a {colour} {shape}" for colour in ("red", "blue") for shape in ("circle", "star", "ring")]
    alone = [opened.searcher(None).by_text(text, Wish(3)) for text in texts]
    with QueryWorker(opened) as worker:
        go_on = held(worker)
        futures = [worker.search(None, text, Wish(3)) for text in texts]
        go_on.set()
        for expected, future in zip(alone, futures, strict=True):
            found = future.result(60)
            assert [hit.video_id for hit in found.hits] == [hit.video_id for hit in expected.hits]


def test_what_fails_fails_alone(opened: OpenedStore) -> None:
    with QueryWorker(opened) as worker:
        go_on = held(worker)
        good, bad = worker.search(None, "a circle", Wish(1)), worker.search(None, "a star", Wish(0))
        unknown, last = worker.search("nosuch", "a ring", Wish(1)), worker.do(lambda: 7)
        go_on.set()
        assert len(good.result(60).hits) == 1
        with pytest.raises(UsageError, match="top_k"):
            bad.result(60)
        with pytest.raises(UsageError, match="nosuch"):
            unknown.result(60)
        assert last.result(60) == 7


def test_too_much_fails_at_once(opened: OpenedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_worker, "MOST_WAITING", 3)
    with QueryWorker(opened) as worker:
        go_on = held(worker)
        waiting = [worker.do(lambda: None) for _ in range(3)]
        with pytest.raises(BusyError, match="too many queries"):
            worker.search(None, "a circle", Wish(1))
        go_on.set()
        for one in waiting:
            one.result(60)


def test_who_gave_up_is_passed_over(opened: OpenedStore) -> None:
    with QueryWorker(opened) as worker:
        go_on = held(worker)
        given_up, other = worker.search(None, "a circle", Wish(1)), worker.search(None, "a star", Wish(1))
        assert given_up.cancel()
        go_on.set()
        assert len(other.result(60).hits) == 1


def test_what_still_waits_at_the_end_is_cancelled(opened: OpenedStore) -> None:
    with QueryWorker(opened) as worker:
        go_on = held(worker)
        late = worker.do(lambda: None)
        threading.Thread(target=go_on.set).start()
    assert late.cancelled() or late.done()


def test_encoded_texts_are_kept(opened: OpenedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_worker, "TEXTS_KEPT", 2)
    worker = QueryWorker(opened)
    first = worker.encoded(["a", "b"])
    assert worker.encoded(["b", "a"]) == [first[1], first[0]]
    worker.encoded(["c"])
    assert worker.encoded(["a"])[0] is first[0]
    assert worker.encoded(["b"])[0] is not first[1]
    assert [one.text for one in worker.encoded(["x", "y", "z"])] == ["x", "y", "z"], "more than are kept"


def test_queries_go_before_tasks_that_wait(opened: OpenedStore) -> None:
    done: list[str] = []
    with QueryWorker(opened) as worker:
        go_on = held(worker)
        tasks = [worker.do(lambda name=name: done.append(name)) for name in ("first", "second")]
        query = worker.search(None, "a circle", Wish(1))
        query.add_done_callback(lambda _: done.append("query"))
        go_on.set()
        for one in (*tasks, query):
            one.result(60)
    assert done == ["query", "first", "second"]


@pytest.mark.parametrize(("cores", "used"), [(1, 1), (2, 1), (6, 3), (64, 8)])
def test_half_of_the_cores_are_left_to_others(
    cores: int, used: int, opened: OpenedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query_worker, "usable_cores", lambda: tuple(range(cores)))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    threads: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    with QueryWorker(opened) as worker:
        worker.do(lambda: None).result(60)
        assert threads == [used]
    assert threads == [used, 8], "as it was"
