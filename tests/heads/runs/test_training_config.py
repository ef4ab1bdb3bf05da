import pytest
from tvr.data.contracts.errors import UsageError
from tvr.data.contracts.records import configured
from tvr.heads.runs.training_config import TrainingConfig, with_current_names


def test_every_field_says_what_it_is() -> None:
    assert TrainingConfig(epochs=3, lr=1e-4, ema=0.99, patience=2).seed == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("lr", 0.0),
        ("lr", -1e-4),
        ("lr", float("nan")),
        ("lr", 3.0),
        ("epochs", 0),
        ("batch_size", 1),
        ("weight_decay", -0.1),
        ("warmup", 1.5),
        ("clip_norm", -1.0),
        ("ema", 1.0),
        ("patience", 0),
        ("num_frames", 0),
        ("seed", -1),
        ("logit_scale", 0.0),
        ("hard_negatives", 0),
        ("hard_negatives", 18),
    ],
)
def test_config_fails_naming_the_field(field: str, value: float) -> None:
    with pytest.raises(UsageError, match=rf"{field} must be .*, got {field}="):
        TrainingConfig(**{field: value})  # type: ignore[arg-type]


def test_config_fails_on_an_unknown_field() -> None:
    with pytest.raises(UsageError, match="Did you mean 'epochs'"):
        configured(TrainingConfig, {"epoch": "3"}, "training")


def test_former_names_become_the_current_ones() -> None:
    assert with_current_names({"alike": "4", "lr": "0.1"}) == {"hard_negatives": "4", "lr": "0.1"}


def test_former_names_fail_beside_the_current_ones() -> None:
    with pytest.raises(UsageError, match="write hard_negatives alone"):
        with_current_names({"alike": "4", "hard_negatives": "2"})
