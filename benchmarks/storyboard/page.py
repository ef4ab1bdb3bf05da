"""The tables of ``docs/storyboard.md``, put between its marks; the words around them are written by hand."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.record import RESULTS

from .study import Settings

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "storyboard.md"
README = DOCS.parent / "README.md"

EARLIER = {
    "random": RESULTS / "storyboard_random_batches.json",
    "fewer": RESULTS / "storyboard_3000_videos.json",
}
"""The study as it was: with 3,000 videos in batches drawn at random for twelve epochs in bf16, and with 3,000 videos in
batches of the alike for eight epochs."""

NOT_MEASURED = "(not measured in this run)"

Row = Mapping[str, Any]

HEAD_COLUMNS = {
    "t2v R@1": "test/t2v/R@1",
    "R@5": "test/t2v/R@5",
    "R@10": "test/t2v/R@10",
    "MdR": "test/t2v/MdR",
    "MnR": "test/t2v/MnR",
    "v2t R@1": "test/v2t/R@1",
    "v2t R@5": "test/v2t/R@5",
    "v2t R@10": "test/v2t/R@10",
    "v2t MdR": "test/v2t/MdR",
    "v2t MnR": "test/v2t/MnR",
}
README_COLUMNS = {
    "t2v R@1": "test/t2v/R@1",
    "v2t R@1": "test/v2t/R@1",
    "order twins": "twins/order",
    "colour twins": "twins/colour",
    "frame-word IoU": "spans/frame_word/iou",
}
COST_COLUMNS = {
    "parameters": "parameters",
    "training seconds": "seconds",
    "learning rate": "lr",
    "logit scale": "logit_scale",
}
NORMALISED_COLUMNS = {
    f"{way} {title}": f"{'test' if not name else f'test/normalised/{name}'}/{way}/R@1"
    for way in ("t2v", "v2t")
    for title, name in (
        ("plain", ""),
        ("QB-Norm", "qb_norm"),
        ("Sinkhorn, bank", "sinkhorn_bank"),
        ("DSL*", "dsl"),
        ("Sinkhorn*", "sinkhorn"),
    )
}
GROUND_TRUTH_COLUMNS = {
    "order twins": "twins/order",
    "colour twins": "twins/colour",
    "frame-word IoU": "spans/frame_word/iou",
    "pointing": "spans/frame_word/pointing",
    "clip-phrase IoU": "spans/clip_phrase/iou",
    "clip-phrase pointing": "spans/clip_phrase/pointing",
}
UNSEEN_COLUMNS = {
    "t2v R@1": "unseen/test/t2v/R@1",
    "v2t R@1": "unseen/test/v2t/R@1",
    "order twins": "unseen/twins/order",
    "colour twins": "unseen/twins/colour",
}
ABLATION_COLUMNS = {
    "t2v R@1": "test/t2v/R@1",
    "v2t R@1": "test/v2t/R@1",
    "order twins": "twins/order",
    "colour twins": "twins/colour",
    "frame-word IoU": "spans/frame_word/iou",
    "clip-phrase IoU": "spans/clip_phrase/iou",
}


def fill(figures: Mapping[str, Any], page: Path = PAGE) -> None:
    """Put every table into the page.

    Raises:
        ValueError: the page has no mark for a table.
    """
    _put(tables(figures) | earlier_tables(), page)


def fill_readme(figures: Mapping[str, Any], readme: Path = README) -> None:
    """Put the short table of all heads into README.

    Raises:
        ValueError: it has no mark for it.
    """
    _put({"readme": short_table(figures)}, readme)


def _put(found: Mapping[str, str], page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name, table in found.items():
        text = _between_marks(text, name, table)
    page.write_text(text, encoding="utf-8")


def short_table(figures: Mapping[str, Any]) -> str:
    """What README shows of every head."""
    return markdown(figures["heads"], README_COLUMNS)


def tables(figures: Mapping[str, Any]) -> dict[str, str]:
    """Every table as Markdown, by the name of its mark."""
    heads = figures["heads"]
    return {
        "heads": markdown(heads, HEAD_COLUMNS),
        "cost": markdown(heads, COST_COLUMNS),
        "tuning": tuning_table(figures["tuning"]),
        "unseen": markdown(heads, UNSEEN_COLUMNS),
        "normalised": markdown(heads, NORMALISED_COLUMNS),
        "ground-truth": markdown(heads, GROUND_TRUTH_COLUMNS),
        "ablation": _ablation(figures),
    }


def tuning_table(rows: Sequence[Row]) -> str:
    """What each head was tuned to, and how its neighbours did: mean of the six recalls that choose, in per cent."""
    if not rows:
        return NOT_MEASURED
    lines = ["| | tried | learning rate, logit scale | score | neighbours |", "|---|---:|---|---:|---|"]
    for row in rows:
        scores = {
            Settings(tried["lr"], tried["logit_scale"]): tried["validation_score"] / 6
            for tried in row["tried"]
        }
        best = max(scores, key=scores.__getitem__)
        around = [f"{_said(one)}: {scores[one]:.1f}" for one in best.neighbours if one in scores]
        lines.append(
            f"| {row['label']} | {len(scores)} | {_said(best)} | {scores[best]:.1f} | {'; '.join(around)} |"
        )
    return "\n".join(lines)


def _said(settings: Settings) -> str:
    return f"{settings.lr:g}, {_scale(settings.logit_scale)}"


def _scale(logit_scale: float | None) -> str:
    return "encoder's" if logit_scale is None else f"{logit_scale:g}"


def earlier_tables() -> dict[str, str]:
    """What the earlier studies had found."""
    found: dict[str, str] = {}
    for name, record in EARLIER.items():
        figures = json.loads(record.read_text(encoding="utf-8"))["figures"]
        found |= {f"{name}-heads": short_table(figures), f"{name}-ablation": _ablation(figures)}
    return found


def _ablation(figures: Mapping[str, Any]) -> str:
    if not figures["ablation"]:
        return NOT_MEASURED
    labelled = [row | {"label": f"{row['group']}: {row['label']}"} for row in figures["ablation"]]
    return markdown(labelled, ABLATION_COLUMNS)


def markdown(rows: Sequence[Row], columns: Mapping[str, str]) -> str:
    """A table with a row for each label; mean ± deviation where there are several seeds."""
    lines = [f"| | {' | '.join(columns)} |", f"|---|{'---:|' * len(columns)}"]
    lines += [
        f"| {row['label']} | {' | '.join(_cell(row, name) for name in columns.values())} |" for row in rows
    ]
    return "\n".join(lines)


def _cell(row: Row, name: str) -> str:
    if name in ("lr", "logit_scale"):
        return _setting_cell(row, name)
    if name not in row["mean"]:
        return ""
    digits = 2 if name.endswith("iou") else 0 if name in ("parameters", "seconds") else 1
    mean = f"{row['mean'][name]:,.{digits}f}"
    deviation = row["deviation"].get(name)
    return mean if deviation is None or name == "parameters" else f"{mean} ± {deviation:.{digits}f}"


def _setting_cell(row: Row, name: str) -> str:
    if not row["mean"]["parameters"]:
        return ""
    return f"{row[name]:g}" if name == "lr" else _scale(row[name])


def _between_marks(text: str, name: str, table: str) -> str:
    begin, end = _marks(name)
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"the page has no mark {begin} ... {end}")
    return pattern.sub(lambda _: _marked(name, table).strip(), text)


def _marked(name: str, table: str) -> str:
    begin, end = _marks(name)
    return f"\n{begin}\n{table}\n{end}\n"


def _marks(name: str) -> tuple[str, str]:
    return f"<!-- table: {name} -->", f"<!-- end of table: {name} -->"
