"""The study trains each trial once, and spoils captions as it says."""

import dataclasses
import json
from pathlib import Path

import pytest
from tvr.data.contracts.plug_ins import plug_in_names
from tvr.pipeline.store.reader import FeatureStore

from benchmarks.record import RESULTS
from benchmarks.storyboard.measuring import GeneratedSet, Task, run_task
from benchmarks.storyboard.study import (
    Contender,
    Settings,
    best_trial,
    changes,
    contenders,
    folder_of,
    further_trials,
    repeats,
    row_of,
    settings_of,
    tuned_before,
    tuning_row,
)
from benchmarks.storyboard.training_sets import first_videos
from benchmarks.storyboard.trials import NO_PARAMETERS, Trial


def task(trial: Trial, videos: GeneratedSet, workspace: Path) -> Task:
    return Task(trial, videos, folder_of(trial, workspace), tested=True)


@pytest.mark.parametrize("head", ["mean_pool", "hcmi"])
def test_a_trial_is_measured_once(head: str, videos: GeneratedSet, tmp_path: Path) -> None:
    settings = {"layers": "1", "word_layers": "1"} if head == "hcmi" else {}
    some = task(Trial(head, settings=settings, train_videos=48, epochs=2, num_frames=8), videos, tmp_path)
    file = run_task(some)
    figures = json.loads(file.read_text())
    assert set(figures["twins"]) == {"order", "colour"}
    assert figures["spans"]["frame_word"]["phrases"] >= 32
    assert ("clip_phrase" in figures["spans"]) == (head == "hcmi")
    ways = {"qb_norm", "sinkhorn_bank", "sinkhorn_bank_std", "dsl", "sinkhorn", "sinkhorn_std"}
    assert set(figures["test"]["normalised"]) == ways
    assert (figures["parameters"] > 0) == (head == "hcmi")
    written = file.stat().st_mtime_ns
    assert run_task(some).stat().st_mtime_ns == written
    row = row_of(head, [some])
    assert row["seeds"] == 1
    assert row["deviation"] == {}


@pytest.mark.parametrize("noise", ["wrong", "duplicate"])
def test_noise_touches_the_share_it_names(noise: str, videos: GeneratedSet) -> None:
    store = FeatureStore.open(videos.store)
    clean = first_videos(store, "train", 48)
    trial = Trial("hcmi", train_videos=48, noise=noise, noise_share=0.25)  # pyright: ignore[reportArgumentType]
    spoilt = first_videos(store, "train", 48, trial)
    told = {clean.video_ids[v]: t for t, v in zip(clean.texts, clean.text_video.tolist(), strict=True)}
    changed = [
        spoilt.video_ids[v]
        for t, v in zip(spoilt.texts, spoilt.text_video.tolist(), strict=True)
        if told[spoilt.video_ids[v]] != t
    ]
    assert len(changed) == 12
    frames_changed = (spoilt.frames.starts != clean.frames.starts).sum()
    assert int(frames_changed) == (12 if noise == "duplicate" else 0)
    if noise == "wrong":
        assert sorted(spoilt.texts) == sorted(clean.texts)


def test_every_head_gets_the_same_effort() -> None:
    assert {rival.head for rival in contenders()} == set(plug_in_names("tvr.heads"))
    assert len({rival.label for rival in contenders()}) == len(contenders())
    grids: set[frozenset[Settings]] = set()
    for rival in contenders():
        first = further_trials(rival.tuned_as, [])
        trained = first[0].is_trained and not rival.is_costly
        assert len({trial.name for trial in first}) == (4 if trained else 1)
        assert {trial.seed for trial in first} == {0}
        if trained:
            assert {(trial.epochs, trial.train_videos, trial.hard_negatives) for trial in first} == {
                (3, 10_000, 4)
            }
            grids.add(frozenset(map(settings_of, first)))
        assert len({trial.name for trial in repeats(first[-1])}) == (3 if first[0].is_trained else 1)
    assert len(grids) == 1


def validated(trial: Trial, score: float, workspace: Path) -> Task:
    """A task that has been done, with this score."""
    nowhere = GeneratedSet(workspace, workspace)
    done = Task(trial, nowhere, folder_of(trial, workspace), tested=False)
    done.folder.mkdir(parents=True)
    recalls = dict.fromkeys(("R@1", "R@5", "R@10"), score)
    done.figures.write_text(json.dumps(done.made_by | {"validation": {"t2v": recalls, "v2t": recalls}}))
    return done


def test_tuning_goes_on_until_the_best_has_no_neighbour_left(tmp_path: Path) -> None:
    def score(trial: Trial) -> float:
        return -abs(trial.lr - 0.016) * 1000 + (trial.logit_scale or 23.6) / 100

    rival, tried, rounds = Contender("xpool"), [], 0
    while more := further_trials(rival, tried):
        tried += [validated(trial, min(score(trial), -1.0), tmp_path) for trial in more]
        rounds += 1
    best = settings_of(best_trial(tried))
    assert rounds > 2
    assert set(best.neighbours) <= {settings_of(task.trial) for task in tried}
    assert best.lr == 0.016


@pytest.mark.parametrize(("scale", "around"), [(None, {50.0}), (50.0, {None, 100.0}), (100.0, {50.0, 200.0})])
def test_the_encoders_own_logit_scale_is_the_least(scale: float | None, around: set[float | None]) -> None:
    here = Settings(0.004, scale)
    assert {one.logit_scale for one in here.neighbours if one.lr == here.lr} == around
    assert {one.lr for one in here.neighbours if one.logit_scale == scale} == {0.002, 0.008}


def test_an_earlier_study_says_how_every_head_was_tuned() -> None:
    chosen = tuned_before(RESULTS / "storyboard_random_batches.json")
    grid = set(map(settings_of, further_trials(contenders()[0], [])))
    for rival in contenders():
        if rival.head in ("tight_transformer", *NO_PARAMETERS):
            continue
        assert chosen[rival.tuned_as.label] in grid


@pytest.mark.parametrize("text", ["{", "[]", '{"figures": {"steps": []}}', None])
def test_tuned_before_fails(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "record.json").write_text(text)
    with pytest.raises(ValueError, match=r"record.json is no record of this study"):
        tuned_before(tmp_path / "record.json")


def test_validation_chooses(videos: GeneratedSet, tmp_path: Path) -> None:
    trials = [Trial("xpool", lr=lr, train_videos=48, epochs=2, num_frames=8) for lr in (1e-9, 8e-3)]
    tasks = [dataclasses.replace(task(trial, videos, tmp_path), tested=False) for trial in trials]
    for one in tasks:
        run_task(one)
    row = tuning_row("xpool", tasks)
    scores = [tried["validation_score"] for tried in row["tried"]]
    assert [tried["lr"] for tried in row["tried"]] == [1e-9, 8e-3]
    assert len(set(scores)) == 2
    assert settings_of(best_trial(tasks)) == Settings([1e-9, 8e-3][scores.index(max(scores))], None)


def test_tuning_never_sees_the_test_split(videos: GeneratedSet, tmp_path: Path) -> None:
    some = task(Trial("xpool", train_videos=48, epochs=1, num_frames=8), videos, tmp_path)
    some = dataclasses.replace(some, tested=False)
    figures = json.loads(run_task(some).read_text())
    assert "validation" in figures
    assert not {"test", "twins", "spans"} & set(figures)
    assert not dataclasses.replace(some, tested=True).is_done


def test_what_was_measured_otherwise_is_not_taken(videos: GeneratedSet, tmp_path: Path) -> None:
    some = task(Trial("mean_pool", train_videos=48, num_frames=8), videos, tmp_path)
    some = dataclasses.replace(some, normalised=False)
    run_task(some)
    assert some.is_done
    assert not dataclasses.replace(some, trial=dataclasses.replace(some.trial, epochs=5)).is_done
    assert not dataclasses.replace(some, normalised=True).is_done
    assert not dataclasses.replace(some, unseen=videos).is_done
    kept = json.loads(some.figures.read_text())
    some.figures.write_text(json.dumps(kept | {"features": "of a store made otherwise"}))
    assert not some.is_done
    kept["training"]["lr_of_an_earlier_default"] = 1
    some.figures.write_text(json.dumps(kept))
    assert not some.is_done


def test_another_set_is_scored_beside_the_test_split(videos: GeneratedSet, tmp_path: Path) -> None:
    some = dataclasses.replace(
        task(Trial("mean_pool", train_videos=48, num_frames=8), videos, tmp_path),
        normalised=False,
        unseen=videos,
    )
    figures = json.loads(run_task(some).read_text())
    assert figures["unseen"] == {"test": figures["test"], "twins": figures["twins"]}


def test_every_change_is_another_trial() -> None:
    base = Trial("hcmi")
    names = {f"{change.group}: {change.label}": change.of(base).name for change in changes()}
    assert len(set(names.values())) == len(names) == len(list(changes()))
    for change in changes():
        assert change.of(base).head_config is not None


def test_other_numbers_of_videos_train_for_about_as_many_steps() -> None:
    usual = Trial("hcmi")
    for change in changes():
        if change.group == "training videos":
            steps = change.epochs * (change.train_videos // usual.batch_size)
            assert 0.98 <= steps / (usual.epochs * (usual.train_videos // usual.batch_size)) <= 1
