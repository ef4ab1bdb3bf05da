"""A store of another user: nothing that it names is read unless the person types it."""

import json
import pickle
import shlex
import shutil
import zipfile
from pathlib import Path

import pytest
from tvr.data.contracts.errors import UsageError
from tvr.pipeline.store.checksummed_json import read_checksummed, write_checksummed

from ..fixtures.archive import built_in_encoder, bytes_of, extracted, write_archive
from ..fixtures.shell import tvr


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive and its store."""
    place = tmp_path_factory.mktemp("made")
    extracted(write_archive(place / "archive"), built_in_encoder(), place / "store")
    return place


@pytest.fixture
def place(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the store at a user's who did not make it."""
    shutil.copytree(made / "store", tmp_path / "store")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


def test_what_is_to_be_typed_mends_it_and_is_remembered(place: Path, made: Path) -> None:
    next((place / "store").glob("video-00001-*.h5")).unlink()
    damaged = tvr("verify", "--store", "store", cwd=place)
    asked = tvr("verify", "--store", "store", "--repair", cwd=place)
    assert asked.code == UsageError.exit_code
    assert "was not made by you on this machine" in asked.err
    command = asked.err.strip().rpartition("type: ")[2]
    assert command == f"tvr verify --repair --store store --root {made / 'archive'}"
    assert damaged.out.endswith(f"mend: {command}\n"), "one step, not two"
    mended = tvr(*shlex.split(command)[1:], cwd=place)
    assert mended.code == 0, mended.err
    assert bytes_of(place / "store") == bytes_of(made / "store")
    next((place / "store").glob("video-00002-*.h5")).unlink()
    assert tvr("verify", "--store", "store", "--repair", cwd=place).code == 0
    assert bytes_of(place / "store") == bytes_of(made / "store")


def test_a_checkpoint_that_it_names_is_not_opened(place: Path, made: Path) -> None:
    class Mischief:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return (Path.touch, (place / "was_run",))

    evil = place / "evil.pt"
    with zipfile.ZipFile(evil, "w") as archive:
        archive.writestr("root/data.pkl", pickle.dumps(Mischief(), protocol=2))
        archive.writestr("root/extra/constants.pkl", "")
    for name in ("request.json", "store.json"):
        record = read_checksummed(place / "store" / name)
        (record["request"] if name == "request.json" else record["encoder"])["pretrained"] = str(evil)
        write_checksummed(place / "store" / name, record)
    for receipt in (place / "store").glob("*-of-*.json"):  # who forges the manifest forges these as well
        write_checksummed(receipt, read_checksummed(receipt) | {"made_as": ""})
    for command in (("search", "a grey picture"), ("verify", "--repair", "--root", made / "archive")):
        refused = tvr(*command, "--store", "store", cwd=place)
        assert refused.code == UsageError.exit_code, refused.err
        assert refused.err.strip().endswith(f"--pretrained {evil}")
        named = tvr(*command, "--store", "store", "--pretrained", evil, cwd=place)
        # Named, it is opened, and nothing of it is run.
        assert "does not hold weights of tvr-storyboard" in named.err
        for shard in (place / "store").glob("video-00001-*.h5"):
            shard.unlink()
    assert not (place / "was_run").exists()


def test_a_search_needs_no_names_of_what_is_published(place: Path, made: Path) -> None:
    answer = tvr("search", "a grey picture", "--store", made / "store", "--json", cwd=place)
    assert answer.code == 0, answer.err
    assert len(json.loads(answer.out)["hits"]) == 3


def test_a_search_says_its_whole_command_with_the_places(place: Path, made: Path) -> None:
    """Without its text nobody can paste it."""
    answer = tvr("search", "a grey picture", "--store", "store", "--top-k", "2", cwd=place)
    (typed,) = [line.rpartition("type: ")[2] for line in answer.err.splitlines() if "type: " in line]
    assert typed == f"tvr search 'a grey picture' --store store --top-k 2 --root {made / 'archive'}"
    again = tvr(*shlex.split(typed)[1:], cwd=place)
    assert again.code == 0, again.err
    assert "not made by you" not in again.err
    assert str(made / "archive") in again.out
