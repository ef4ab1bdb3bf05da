"""The tables of ``tvr eval`` on terminals of 80 and of 120 columns, and in a pipe."""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from tvr.cli import terminal
from tvr.cli.output import evaluation
from tvr.data.contracts.cautions import caution_of, label_of
from tvr.heads.evaluation.evaluate import Evaluation, evaluate
from tvr.heads.evaluation.evaluate_runs import ZERO_SHOT_LABEL, Scored, zero_shot
from tvr.heads.evaluation.normalisations import COLUMNS
from tvr.heads.report.published import METRICS
from tvr.heads.report.table import markdown_table, table_rows, worse_than_untrained

from ...fixtures.generated import generated_features

LONG_NAME = "seq_transformer (a-run-of-mine-with-a-rather-long-name-2400)"
COUNTS = ("queries", "tied")


@cache
def evaluated(captions: int = 1) -> Evaluation:
    """Zero-shot mean pooling on generated features, normalised in every way."""
    features = generated_features("test", videos=24, captions=captions)
    bank = generated_features("train", videos=12)
    return evaluate(zero_shot(features), features, tuple(COLUMNS), bank)


def scored(dataset: str, run: str | None = None, *, captions: int = 1, **changes: Any) -> Scored:
    """A head, or zero-shot, as if a whole test split had been scored with a thousand videos."""
    facts = {
        "dataset": dataset,
        "store": f"features/{dataset}/ViT-B-32-openai",
        "model": "ViT-B-32",
        "pretrained": "openai",
        "random_weights": False,
        "limit": None,
        "split_source": "MSRVTT_JSFUSION_test.csv",
    }
    facts |= {name: changes.pop(name) for name in list(changes) if name in facts}
    whole = {"videos": 1000, "expected_videos": 1000, "normalised": {}}
    return Scored(
        run or ZERO_SHOT_LABEL,
        Path(run) if run else None,
        replace(evaluated(captions), **(whole | changes)),
        facts,
    )


CASES: dict[str, tuple[list[Scored], dict[str, bool]]] = {
    "plain": ([scored("msrvtt"), scored("msrvtt", LONG_NAME)], {}),
    "intervals": ([scored("msrvtt"), scored("msrvtt", LONG_NAME)], {"intervals": True}),
    "normalised": ([scored("msrvtt", LONG_NAME, normalised=evaluated().normalised)], {}),
    "compared": ([scored("msrvtt"), scored("msrvtt", LONG_NAME)], {"compare": True}),
    "stores": (
        [one for name in ("msrvtt", "holiday-2019") for one in (scored(name), scored(name, LONG_NAME))],
        {"intervals": True},
    ),
    "stores of one set": (
        [
            one
            for store in ("features/msrvtt/ViT-B-32-openai", "features/msrvtt/a-copy-with-a-long-name")
            for one in (scored("msrvtt", store=store), scored("msrvtt", LONG_NAME, store=store))
        ],
        {},
    ),
    "several captions": ([scored("msvd"), scored("msvd", LONG_NAME, captions=3)], {"intervals": True}),
    "partial": ([scored("msrvtt", videos=12)], {"compare": True}),
}


def shown(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    case: tuple[Sequence[Scored], dict[str, bool]],
    width: int | None,
) -> tuple[str, str]:
    """What goes to standard output and error, on a terminal of that width or (None) in a pipe."""
    some, how = case
    console = Console(force_terminal=width is not None, width=width or 80, color_system=None, markup=False)
    monkeypatch.setattr(terminal, "out", console)
    monkeypatch.setattr(evaluation, "out", console)
    evaluation.print_table(table_rows(some, **how), some, compare=how.get("compare", False))
    told = capsys.readouterr()
    return told.out, told.err


def table_lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line[:1] in "┏┃┡│└"]


def headers(text: str) -> set[str]:
    return {cell.strip() for line in text.splitlines() if line.startswith("┃") for cell in line.split("┃")}


def names_its_data_set(case: str, text: str) -> bool:
    """Whether each table does, in its title or a column: it is copied without what stands below."""
    datasets = {f"{one.facts['dataset']}" for one in CASES[case][0]}
    titles = [before.rpartition("┘\n")[2].splitlines()[0] for before in text.split("┏")[:-1]]
    if case == "stores of one set":
        return bool(headers(text) & {"set", "data set"})
    return bool(titles) and all(title.replace(":", " ").split(" ")[0] in datasets for title in titles)


@pytest.mark.parametrize("case", CASES)
def test_80_columns_hold_every_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    """Names are folded, never cut or below a readable width; what is left out is said once."""
    text, remarks = shown(monkeypatch, capsys, CASES[case], 80)
    assert max(map(len, table_lines(text))) <= 80
    assert names_its_data_set(case, text)
    assert {"head", "way", "R@1", "R@5", "R@10"} <= headers(text)
    assert "…" not in text
    for line in table_lines(text):
        if line.startswith("┃"):
            assert len(line.split("┃")[1]) - 2 >= terminal.NAME_WIDTH
    left_out = (set(METRICS) | set(COUNTS)) - headers(text)
    assert len(re.findall("without", remarks)) == bool(left_out)
    assert all(name in remarks for name in left_out)


@pytest.mark.parametrize("case", ["plain", "intervals", "normalised", "compared", "partial"])
def test_120_columns_have_every_column(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    text, remarks = shown(monkeypatch, capsys, CASES[case], 120)
    assert max(map(len, table_lines(text))) <= 120
    assert headers(text) >= {*METRICS, *COUNTS}
    assert remarks == ""


@pytest.mark.parametrize("case", CASES)
def test_a_pipe_has_everything_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    text, remarks = shown(monkeypatch, capsys, CASES[case], None)
    assert names_its_data_set(case, text)
    assert headers(text) >= {*METRICS, *COUNTS}
    assert remarks == ""
    rows = table_rows(CASES[case][0], compare=CASES[case][1].get("compare", False))
    for row in rows:
        assert any(row.name in line and row.direction in line for line in table_lines(text))
        assert row.source in text


def test_sources_are_numbered_and_told_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text, _ = shown(monkeypatch, capsys, CASES["compared"], 80)
    told = dict(re.findall(r"^(\[\d+\]) (.+)$", text, re.MULTILINE))
    assert len(set(told.values())) == len(told) > 5
    used = {number for line in table_lines(text) for number in re.findall(r"\[\d+\]", line)}
    assert used == set(told)


def test_several_stores_have_a_column_and_a_zero_shot_row_each(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text, _ = shown(monkeypatch, capsys, CASES["stores"], None)
    assert "data set" in headers(text)
    for name in ("msrvtt", "holiday-2019"):
        lines = [line for line in table_lines(text) if ZERO_SHOT_LABEL in line and name in line]
        assert [line.split("│")[3].strip() for line in lines] == ["t2v", "v2t"]


def test_80_columns_tell_stores_by_letters_where_the_heading_does_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text, _ = shown(monkeypatch, capsys, CASES["stores of one set"], 80)
    assert {"set", "queries", "tied"} <= headers(text)
    rows = [line.split("│") for line in table_lines(text) if "2v" in line or "v2" in line]
    assert [row[2].strip() for row in rows] == ["A", "A", "B", "B"] * 2
    assert "A: msrvtt, ViT-B-32-openai\nB: msrvtt, a-copy-with-a-long-name\n" in text
    text, _ = shown(monkeypatch, capsys, CASES["stores"], 80)
    assert not {"set", "data set"} & headers(text)
    assert "A: " not in text
    for name in ("msrvtt", "holiday-2019"):
        assert f"{name} test (single" in text


@pytest.mark.parametrize("case", CASES)
def test_80_columns_leave_out_last_what_says_how_much_a_figure_is_worth(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    text, remarks = shown(monkeypatch, capsys, CASES[case], 80)
    assert "queries" in headers(text)
    assert "tied" in headers(text) or {"MnR", "MdR"}.isdisjoint(headers(text))
    assert remarks == "" or remarks.startswith("without MnR")


@pytest.mark.parametrize(("ahead", "is_said"), [(23, True), (0, False)])
def test_a_head_that_is_worse_than_no_training_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ahead: int, is_said: bool
) -> None:
    both = evaluated().ranks
    same = {way: replace(getattr(both, way), ahead=np.full(24, ahead)) for way in ("t2v", "v2t")}
    head = scored("msrvtt", "hcmi-1", ranks=replace(both, **same))
    text, _ = shown(monkeypatch, capsys, ([scored("msrvtt"), head], {}), 120)
    said = "hcmi-1 is worse here than zero-shot mean pooling, without any training"
    assert (said in text) == is_said
    assert worse_than_untrained([head]) == [], "beside nothing there is nothing to say"


def test_stores_of_one_data_set_are_told_apart() -> None:
    both = [scored("msrvtt", store=f"features/msrvtt/ViT-B-{size}-openai") for size in (16, 32)]
    names = {row.dataset for row in table_rows(both)}
    assert names == {"msrvtt, ViT-B-16-openai", "msrvtt, ViT-B-32-openai"}
    assert {row.name for row in table_rows(both)} == {ZERO_SHOT_LABEL}
    assert "| data set |" in markdown_table(table_rows(both))
    assert {row.dataset for row in table_rows(both[:1])} == {""}


def test_a_part_of_the_split_has_a_struck_table_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text, _ = shown(monkeypatch, capsys, CASES["partial"], 120)
    own, published = text.split("\nmsrvtt: frozen encoder, plain scores", 1)
    assert "frozen encoder, plain scores; not comparable: 12 of 1,000 videos" in own
    assert ZERO_SHOT_LABEL in own
    assert "CLIP4Clip" not in own
    assert "CLIP4Clip" in published
    assert ZERO_SHOT_LABEL not in published
    assert "without 988 of 1,000 the task is easier" in published
    assert "not comparable" not in shown(monkeypatch, capsys, CASES["compared"], 120)[0]


def test_recalls_among_few_candidates_are_marked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of 24 candidates R@10 is worth something; of 12 it is not."""
    text, _ = shown(monkeypatch, capsys, CASES["plain"], 80)
    assert "*" not in text
    features = generated_features("test", videos=12)
    few = [replace(scored("msrvtt"), evaluation=evaluate(zero_shot(features), features))]
    text, _ = shown(monkeypatch, capsys, (few, {}), 80)
    marked = [re.findall(r"[\d.]+\*?", line) for line in table_lines(text) if "2v" in line or "v2" in line]
    assert all([figure.endswith("*") for figure in line[-7:]] == [0, 0, 1, 0, 0, 0, 0] for line in marked)
    assert "* among fewer than 2K candidates, where chance alone gives R@K more than 50" in text
    record = evaluation.record(few, intervals=False)["runs"][0]
    assert record["t2v"]["few_candidates"] == record["v2t"]["few_candidates"] == ["R@10", "R@50", "R@100"]
    assert (
        evaluation.record(CASES["plain"][0], intervals=False)["runs"][0]["t2v"]["few_candidates"][0] == "R@50"
    )


@pytest.mark.parametrize(
    ("model", "random_weights", "label"),
    [
        ("ViT-B-32", True, "random weights"),
        ("tvr-storyboard", False, "knows drawings only"),
        ("ViT-B-32", False, None),
    ],
)
def test_cautions_stand_wherever_features_are_named(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    model: str,
    random_weights: bool,
    label: str | None,
) -> None:
    one = scored("msrvtt", model=model, random_weights=random_weights)
    assert (
        label_of(one.caution) == label_of(caution_of(model, "msrvtt", random_weights=random_weights)) == label
    )
    text, _ = shown(monkeypatch, capsys, ([one], {"compare": True}), None)
    features = {row.features for row in table_rows([one])}
    if label is None:
        assert features == {model}
        assert f"features: {model} openai\n" in text
    else:
        assert features == {f"{model}, {label}"}
        assert f"features: {model} openai ({label})" in text
