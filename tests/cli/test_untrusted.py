"""What an earlier version read by other rules, as typed: ``inspect --untrusted`` and ``extract --retry untrusted``."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from tvr.pipeline.request import Named, load_request, save_request
from tvr.pipeline.store.reader import FeatureStore
from tvr.pipeline.store.verification import verify
from tvr.pipeline.trust.files import verdicts_by_request

from ..fixtures.older_stores import make_older, write_older_archive
from ..fixtures.shell import Answer, tree, tvr
from ..fixtures.warm_shell import warm_shell

LINE = "extract --dataset folder --root archive --store store --model tvr-storyboard --device cpu --precision fp32"
EXTRACT = (*LINE.split(), "--num-frames", "4", "--decoding-processes", "1", "--videos-per-shard", "2")
INSPECT = ("inspect", "--store", "store")
LISTED = [
    "b\tuntrusted\tdecord: does not convert yuv420p10le as others do",
    "f\tuntrusted\tits packets do not tell its frames, which older rules may have counted otherwise",
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive and its store, as an older version made it."""
    place = tmp_path_factory.mktemp("made")
    write_older_archive(place)
    answer = tvr(*EXTRACT, cwd=place)
    assert answer.code == 0, answer.err
    make_older(place / "store")
    return place


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Path:
    """A copy of both, whose store knows of the archive beside it."""
    copy = shutil.copytree(made, tmp_path / "place")
    request, options = load_request(copy / "store")
    save_request(copy / "store", replace(options, request=replace(request, root=copy / "archive")))
    return copy


def listed(answer: Answer) -> list[str]:
    return [line for line in answer.out.splitlines() if "\tuntrusted\t" in line or "\tunknown\t" in line]


def test_listed_and_extracted_again(place: Path) -> None:
    before = FeatureStore.open(place / "store").videos(["a", "d", "g"]).frames.tobytes()
    plain = tvr(*INSPECT, cwd=place)
    assert "older      5 videos read by an earlier version's rules (4 decord, 1 pyav)" in plain.out
    assert "tvr inspect --store store --untrusted" in plain.out
    looked = tvr(*INSPECT, "--untrusted", cwd=place)
    assert looked.code == 0, looked.err
    assert "5 videos read by older rules: 3 trusted, 2 untrusted, 0 cannot be told" in looked.out
    assert listed(looked) == LISTED
    untouched = tree(place / "store")
    foretold = tvr(*EXTRACT, "--retry", "untrusted", "--dry-run", cwd=place)
    assert "--retry   2 videos of the store" in foretold.out, foretold.err
    assert tree(place / "store") == untouched

    answer = tvr(*EXTRACT, "--retry", "untrusted", cwd=place)
    assert answer.code == 0, answer.err
    assert "--retry untrusted: 2 videos of the store to be retried" in answer.err
    assert "8 frames in" in answer.out
    assert "2 shards written, 3 already there" in answer.out
    assert FeatureStore.open(place / "store").videos(["a", "d", "g"]).frames.tobytes() == before
    done = tvr(*INSPECT, "--untrusted", cwd=place)
    assert "3 videos read by older rules: 3 trusted, 0 untrusted, 0 cannot be told" in done.out
    assert listed(done) == []


def test_as_json(place: Path) -> None:
    (place / "archive" / "g.mp4").unlink()
    found = json.loads(tvr(*INSPECT, "--untrusted", "--json", cwd=place).out)
    assert found["older_rules"] == {"decord": 4, "pyav": 1}
    assert [(row["id"], row["verdict"]) for row in found["verdicts"]] == [
        ("a", "trusted"),
        ("b", "untrusted"),
        ("d", "trusted"),
        ("f", "untrusted"),
        ("g", "unknown"),
    ]
    assert found["verdicts"][4]["reason"] == "file not found"
    assert "verdicts" not in json.loads(tvr(*INSPECT, "--json", cwd=place).out)


def test_where_the_data_has_moved(place: Path) -> None:
    (place / "archive").rename(place / "elsewhere")
    lost = tvr(*INSPECT, "--untrusted", cwd=place)
    assert lost.code == 3
    assert "archive: no such folder or file" in lost.err
    found = tvr(*INSPECT, "--untrusted", "--root", "elsewhere", cwd=place)
    assert found.code == 0, found.err
    assert listed(found) == LISTED


def test_untrusted_fails(place: Path) -> None:
    (place / "store" / "request.json").unlink()
    answer = tvr(*INSPECT, "--untrusted", cwd=place)
    assert answer.code == 4
    assert "request.json is missing, so the files of its videos cannot be found" in answer.err
    misspelt = tvr(*EXTRACT, "--retry", "untrustd", cwd=place)
    assert misspelt.code == 2
    assert "Did you mean 'untrusted'?" in misspelt.err
    other = tvr(*EXTRACT, "--num-frames", "3", "--retry", "untrusted", "--dry-run", cwd=place)
    assert other.code == 4
    assert "sampling.num_frames: the store has 4, this run would use 3" in other.err


def test_killed_and_run_again(made: Path, tmp_path: Path) -> None:
    """Once the first shard is done, between the old receipt of the second and its new one."""
    before, store = FeatureStore.open(made / "store"), shutil.copytree(made / "store", tmp_path / "store")
    places = {"archive": str(made / "archive"), "store": str(store)}
    typed = [places.get(argument, argument) for argument in (*EXTRACT, "--retry", "untrusted")]
    code, said = warm_shell().run(*typed, kill_at_change=22, folder=str(store))
    assert code == -9, said
    gone = [path.name for path in store.glob("*.h5") if not path.with_suffix(".json").exists()]
    assert gone == ["video-00002-of-00004.h5"]
    done = (store / "video-00000-of-00004.h5").stat().st_mtime_ns
    code, said = warm_shell().run(*typed)
    assert code == 0, said
    assert (store / "video-00000-of-00004.h5").stat().st_mtime_ns == done
    assert verify(store).damages == ()
    assert {path.name for path in store.iterdir()} == {path.name for path in (made / "store").iterdir()}
    after, kept = FeatureStore.open(store), ["a", "d", "g"]
    assert after.videos(kept).frames.tobytes() == before.videos(kept).frames.tobytes()
    assert {row.verdict for row in verdicts_by_request(after, Named(made / "archive"))} == {"trusted"}
