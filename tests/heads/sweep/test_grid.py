import dataclasses

import pytest
from tvr.data.contracts.errors import UsageError
from tvr.heads import xpool
from tvr.heads.sweep.grid import options_of, parse_grid, plan_trials


def test_every_combination_once() -> None:
    trials = plan_trials(
        parse_grid(["head=seq_transformer,wti", "lr=1e-4,5e-4", "seed=0,1"]), {"epochs": "3"}
    )
    assert len(trials) == len({trial.name for trial in trials}) == 8
    first = trials[0]
    assert first.name == "seq_transformer,lr=1e-4,seed=0"
    assert first.group == "seq_transformer,lr=1e-4"
    assert (first.training.lr, first.training.seed, first.training.epochs) == (1e-4, 0, 3)


def test_a_setting_is_varied_for_heads_that_have_it() -> None:
    trials = plan_trials(parse_grid(["head=seq_transformer,wti", "word_layers=0,1"]), {})
    assert [trial.name for trial in trials] == ["seq_transformer", "wti,word_layers=0", "wti,word_layers=1"]
    assert [getattr(trial.head_config, "word_layers", None) for trial in trials] == [None, 0, 1]


def test_a_preset_is_what_the_authors_published() -> None:
    default, paper = plan_trials({"preset": ["default", "paper"]}, {"head": "xpool", "dropout": "0.1"})
    assert default.head_config == dataclasses.replace(xpool.Config(), dropout=0.1)
    assert paper.head_config == dataclasses.replace(xpool.PUBLISHED, dropout=0.1)
    (fixed,) = plan_trials({}, {"head": "xpool", "preset": "paper"})
    assert fixed.head_config == xpool.PUBLISHED
    assert 'preset = "paper"' in options_of([fixed], {"head": "xpool", "preset": "paper"}, {"path": "store"})


def test_a_preset_fails_that_a_head_does_not_have() -> None:
    with pytest.raises(UsageError, match=r"preset of seq_transformer.*paper"):
        plan_trials({"head": ["xpool", "seq_transformer"]}, {"preset": "paper"})


def test_prefixes_say_which_config() -> None:
    trials = plan_trials(
        parse_grid(["head=wti", "head.layers=1", "training.epochs=2,4"]), {"head.init": "random"}
    )
    assert [trial.training.epochs for trial in trials] == [2, 4]
    assert (trials[0].head_config.layers, trials[0].head_config.init) == (1, "random")


@pytest.mark.parametrize("key", ["alike", "training.alike"])
def test_a_former_name_names_the_trial_and_sets_the_setting(key: str) -> None:
    """So that a sweep of before goes on in its folders."""
    trials = plan_trials(parse_grid([f"{key}=1,4"]), {"head": "wti"})
    assert [trial.name for trial in trials] == [f"wti,{key}=1", f"wti,{key}=4"]
    assert [trial.training.hard_negatives for trial in trials] == [1, 4]
    assert plan_trials({}, {key: "4"})[0].training.hard_negatives == 4


def test_values_may_hold_commas() -> None:
    assert parse_grid(["levels=a,b;a"]) == {"levels": ["a,b", "a"]}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["seed"], "setting=value1,value2, got 'seed'"),
        (["seed=0", "seed=1"], "names seed twice"),
        (["seed="], "no value for seed"),
        (["head=wit"], "unknown head 'wit'. Did you mean 'wti'"),
        (
            ["head=wti,mug"],
            r"'mug' has no parameters .* with --grid head=NAME: hbi, hcmi, seq_lstm.*\n.*--zero-shot mug$",
        ),
        (["hed=xpool"], "Did you mean 'head'"),
        (["laers=1,2"], "unknown setting of seq_transformer 'laers'. Did you mean 'layers'"),
        (["alike=1,2", "hard_negatives=1"], "alike is the former name of hard_negatives: write hard_neg"),
        (["lr=0.1,-1"], "lr must be greater than 0"),
        (["layers=one"], "layers must be of type int, got 'one'"),
    ],
)
def test_plan_fails_before_anything_is_trained(words: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        plan_trials(parse_grid(words), {})


def test_a_head_that_all_trials_share_fails_without_weights() -> None:
    with pytest.raises(
        UsageError, match=r"'mean_pool' has no parameters .* choose another one with --set head=NAME"
    ):
        plan_trials({"seed": ["0"]}, {"head": "mean_pool"})
