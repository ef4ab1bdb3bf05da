"""The text of docs/heads.md does what it says."""

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
import tvr.heads
from tvr.data.contracts.plug_ins import load_plug_in, plug_in_names

from . import test_every_head as promises

TEXT = (Path(__file__).parents[2] / "docs" / "heads.md").read_text(encoding="utf-8")


@pytest.fixture
def learned_mean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The documented head, saved where the text says."""
    (block,) = re.findall(r"```python file=learned_mean\.py\n(.*?)```", TEXT, re.DOTALL)
    (tmp_path / "learned_mean.py").write_text(block, encoding="utf-8")
    monkeypatch.setattr(tvr.heads, "__path__", [*tvr.heads.__path__, str(tmp_path)])
    assert "learned_mean" in plug_in_names("tvr.heads")
    return load_plug_in("tvr.heads", "learned_mean")


def test_the_documented_head_keeps_every_promise(learned_mean: ModuleType) -> None:
    by_head: list[Callable[..., None]] = [
        promises.test_scores_are_finite_cosines,
        promises.test_padding_length_changes_nothing,
        promises.test_encodings_can_be_padded_and_joined,
        promises.test_the_rest_of_the_batch_changes_nothing,
        promises.test_permuted_items_permute_the_scores,
        promises.test_half_precision_agrees,
        promises.test_words_are_read_only_where_declared,
    ]
    for promise in by_head:
        promise(promises.shaken(promises.fresh(learned_mean)))
    promises.assert_blind_to_padding(promises.shaken(promises.fresh(learned_mean)), float("nan"))
    by_file: list[Callable[..., None]] = [
        promises.test_is_one_file_of_the_agreed_shape,
        promises.test_every_parameter_learns,
        promises.test_gradients_are_right,
        promises.test_memory_of_a_pair_is_as_declared,
        promises.test_starts_at_least_at_mean_pool,
    ]
    for promise in by_file:
        promise(learned_mean)


def test_the_other_programs_run() -> None:
    torch.manual_seed(0)
    names: dict[str, object] = {}
    blocks = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        exec(compile(block, "docs/heads.md", "exec"), names)
