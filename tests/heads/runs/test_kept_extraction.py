"""What made a run's features is kept with the run, and told where they are gone, but not of a stranger's run."""

import shutil
from pathlib import Path

import pytest
from tvr.heads.runs.kept_extraction import extract_again_command, keep_extraction
from tvr.pipeline.options import EncoderSpec, ExtractionOptions, Request
from tvr.pipeline.request import save_request
from tvr.pipeline.sampling import Sampling

STORE, RUN = Path("features/toy/model-tag"), Path("runs/toy/run-1")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """With what a store says of how it was made, and a run that keeps it."""
    workspace = tmp_path / "a workspace"
    for folder in (STORE, RUN):
        (workspace / folder).mkdir(parents=True)
    request = Request("folder", tmp_path / "videos", {}, EncoderSpec("RN50", "openai"))
    save_request(workspace / STORE, ExtractionOptions(Sampling(num_frames=4), request=request))
    keep_extraction(workspace / RUN, recorded(workspace))
    return workspace


def recorded(workspace: Path, relative: Path = Path("../../..") / STORE) -> dict[str, str]:
    """What a run says of where its store lies."""
    return {"path": str(workspace / STORE), "relative_path": str(relative)}


def told(run: Path, store: Path) -> str:
    return f"tvr extract --config '{run}/extract.toml' --store '{store}'"


def test_what_made_a_store_is_told_once_it_is_gone(workspace: Path) -> None:
    kept = (workspace / RUN / "extract.toml").read_text()
    assert kept == (workspace / STORE / "extract.toml").read_text()
    shutil.rmtree(workspace / STORE)
    run = workspace / RUN
    assert extract_again_command(run, recorded(workspace)) == told(run, workspace / STORE)
    moved = workspace.rename(workspace.with_name("moved to here"))
    command = extract_again_command(moved / RUN, recorded(workspace))
    assert command == told(moved / RUN, moved / STORE), "a workspace that has moved makes it within itself"
    alone = (moved / RUN).rename(moved.parent / "run alone")
    assert extract_again_command(alone, recorded(workspace)) == told(alone, workspace / STORE)


def test_what_made_a_store_fails_to_be_told_where_another_store_is_in_its_place(workspace: Path) -> None:
    """What is extracted there again may be of an archive that has grown: not what the run was trained on."""
    (workspace / STORE / "store.json").touch()
    assert extract_again_command(workspace / RUN, recorded(workspace)) is None


def test_what_made_a_store_fails_to_be_told_of_a_strangers_run(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it names may be any file of this machine, and nobody is to open that by pasting a line."""
    run, record = workspace / RUN, recorded(workspace)
    with monkeypatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(workspace / "of another user"))
        assert extract_again_command(run, record) is None
        (run / "extract.toml").unlink()
        keep_extraction(run, record)
        assert not (run / "extract.toml").exists(), "nor is what a stranger's store names kept as one's own"
    (run / "extract.toml").write_text('root = "/somewhere/else"')
    assert extract_again_command(run, record) is None


def test_nothing_is_kept_where_a_run_does_not_say_what_it_was_trained_on(workspace: Path) -> None:
    keep_extraction(workspace / RUN.with_name("other"), {})
    assert not (workspace / RUN.with_name("other")).exists()
    assert extract_again_command(workspace / RUN, {}) is None
    assert extract_again_command(workspace / RUN, {"path": 7, "relative_path": ["x"]}) is None
