"""``python -m benchmarks.standing``: is "nothing stands out" said where nothing is right, and not where something is?

Every caption looks for its video among all of a split, and once more with that video taken away, which leaves nothing
that is right. Counted is how often the best hit is said to stand out in either case, by what validation measured or,
without it, by chance alone. The real clips of ``benchmarks.real_clips`` with the encoder ``words`` and mean pooling
have no validation split here; of runs, such as those of ``tvr demo``, theirs measures.
"""

from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from tvr.heads.base import Head
from tvr.heads.evaluation.evaluate_runs import zero_shot
from tvr.heads.evaluation.scores import similarity_matrix
from tvr.heads.features.feature_set import FeatureSet
from tvr.heads.features.from_store import features_of
from tvr.heads.runs.find_store import run_store
from tvr.heads.runs.run_folder import load_run
from tvr.heads.search.calibration import Calibration, calibrated, nothing_stands_out
from tvr.heads.search.comparing import Usual
from tvr.pipeline.encoders.base import load_encoder

from .real_clips.clips import extracted, linked
from .record import keep

FRAMES = 12


def main(
    runs: Annotated[
        list[Path] | None, typer.Argument(help="Runs with a validation and a test split.")
    ] = None,
    data: Annotated[Path, typer.Option(help="Folder of both folders of clips.")] = Path("../shared/data"),
    workspace: Annotated[Path, typer.Option(help="Features of the clips.")] = Path("tvr-real-clips"),
) -> None:
    """Count what is said to stand out."""
    store = extracted(linked(data, workspace), load_encoder("words"), FRAMES, workspace)
    clips = features_of(store, "test")
    figures: dict[str, Any] = {"real clips, words, mean_pool": _counted(zero_shot(clips), clips, None)}
    for run in runs or []:
        head, record = load_run(run)
        opened = run_store(run, record)
        test, validation = features_of(opened, "test"), features_of(opened, "val")
        figures[f"{opened.manifest.dataset}, {run.name}"] = _counted(head, test, calibrated(head, validation))
    keep("standing", figures)


def _counted(head: Head, features: FeatureSet, calibration: Calibration | None) -> dict[str, Any]:
    scores = similarity_matrix(head.eval(), features)
    there, taken_away, right = list[bool](), list[bool](), list[bool]()
    for row, video in zip(scores, features.text_video.tolist(), strict=True):
        others = torch.cat([row[:video], row[video + 1 :]])
        right.append(int(row.argmax()) == video)
        there.append(_stands_out(row, calibration))
        taken_away.append(_stands_out(others, calibration))
    found_first = [said for said, is_right in zip(there, right, strict=True) if is_right]
    return {
        "videos": features.num_videos,
        "captions": features.num_texts,
        "by": "validation" if calibration else "chance",
        "stands_out_where_found_first": _per_cent(found_first),
        "stands_out_of_all_captions": _per_cent(there),
        "stands_out_with_the_video_taken_away": _per_cent(taken_away),
    }


def _stands_out(scores: torch.Tensor, calibration: Calibration | None) -> bool:
    usual = Usual.of(scores, len(scores))
    return nothing_stands_out(float(scores.max()), usual, calibration) == ""


def _per_cent(said: list[bool]) -> float:
    return round(100 * sum(said) / len(said), 1)


if __name__ == "__main__":
    typer.run(main)
