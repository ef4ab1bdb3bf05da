"""``python -m benchmarks.real_clips``: what the encoder ``words`` finds on 131 real clips, and what it costs.

Every caption looks for its clip with the heads that have nothing to train, in each folder of clips and in both
together, by 1, 4, 12 and 24 frames a clip. Features and the speed of the encoders are kept in the workspace and are not
measured again; without its file ``encoders.json`` the speed is. Nothing is chosen on these clips here; what the encoder
is made of (its temperature, its prompt, that a mean is taken away) was tried out on them, so this is no untouched test
set.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from tvr.heads.evaluation.evaluate import Evaluation
from tvr.pipeline.encoders.base import load_encoder
from tvr.pipeline.encoders.words import class_names

from benchmarks.record import keep

from .clips import Gallery, extracted, galleries, linked
from .encoding import MEASURED, encoder_figures
from .plain_queries import plain_queries
from .retrieval import (
    BEST,
    MEAN,
    WITHOUT_BANK,
    both_directions,
    by_named_class,
    difference,
    each_clip_once,
    evaluations,
    ranks_by_caption,
)

NUM_FRAMES = (1, 4, 12, 24)
USUAL = 12
ASSUMED = (
    "Normalised columns use all captions of the gallery to score each one, and take it that every clip is asked for "
    "about as often as every other. A search with one query has neither, so they are no figures of a search."
)

Found = Mapping[int, Mapping[str, Mapping[str, Evaluation]]]
"""By number of frames, gallery and head."""


def main(
    data: Annotated[Path, typer.Option(help="Folder of both folders of clips.")] = Path("../shared/data"),
    workspace: Annotated[Path, typer.Option(help="Features, and what was timed.")] = Path("tvr-real-clips"),
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    precision: Annotated[str, typer.Option(help="Of the features: auto, fp32, bf16, fp16.")] = "auto",
    rounds: Annotated[int, typer.Option(help="How often each encoder is timed.", min=1)] = 5,
) -> None:
    """Measure the encoder `words` on real clips."""
    encoder = load_encoder(MEASURED, device=device, precision=precision)
    exact = load_encoder(MEASURED, device=device, precision="fp32")
    root = linked(data, workspace)
    stores = {number: extracted(root, encoder, number, workspace) for number in NUM_FRAMES}
    sets = {number: galleries(store) for number, store in stores.items()}
    found = {number: _found(some, number) for number, some in sets.items()}
    in_fp32 = _found(galleries(extracted(root, exact, USUAL, workspace)), USUAL)
    figures: dict[str, Any] = {
        "encoder": {"model": encoder.identity.model, "precision": encoder.identity.precision},
        "num_frames": USUAL,
        "galleries": {
            gallery.name: _gallery(gallery, found, in_fp32[gallery.name]) for gallery in sets[USUAL]
        },
        "normalised_assume": ASSUMED,
        "plain_queries": plain_queries(stores[USUAL]),
        "encoders": _timed(workspace / "encoders.json", device, rounds),
    }
    keep("real_clips", figures)


def _found(sets: Sequence[Gallery], num_frames: int) -> dict[str, dict[str, Evaluation]]:
    """By gallery and head; normalised too by as many frames as heads usually read."""
    normalise = WITHOUT_BANK if num_frames == USUAL else ()
    return {gallery.name: evaluations(gallery.features, num_frames, normalise) for gallery in sets}


def _gallery(gallery: Gallery, found: Found, in_fp32: Mapping[str, Evaluation]) -> dict[str, Any]:
    """Everything of clips that are searched together."""
    usual = found[USUAL][gallery.name]
    plain = usual[MEAN].ranks.t2v
    return {
        "clips": gallery.features.num_videos,
        "captions": gallery.features.num_texts,
        "heads": {name: both_directions(one.ranks) for name, one in usual.items()},
        "normalised": {name: _normalised(one) for name, one in usual.items()},
        "frames": {
            str(number): {name: both_directions(some[gallery.name][name].ranks) for name in (MEAN, BEST)}
            for number, some in found.items()
        },
        "in_fp32": {name: both_directions(one.ranks) for name, one in in_fp32.items()},
        "each_clip_once": {name: each_clip_once(one.ranks.t2v) for name, one in usual.items()},
        "differences": _differences(gallery.name, found, in_fp32),
        "captions_that_say_a_class": by_named_class(plain, gallery.features.texts, class_names()),
        "place_by_caption": ranks_by_caption(usual, gallery.features),
    }


def _normalised(evaluation: Evaluation) -> dict[str, Any]:
    """Columns of their own, the reason of each that means nothing with these scores, and what is wrong with others."""
    columns = {name: both_directions(ranks) for name, ranks in evaluation.normalised.items()}
    return {"columns": columns, "refused": evaluation.refused, "caveats": list(evaluation.caveats)}


def _differences(gallery: str, found: Found, in_fp32: Mapping[str, Evaluation]) -> dict[str, Any]:
    """Of captions that look for clips: heads, numbers of frames and normalised scores against mean_pool at 12."""
    usual = found[USUAL][gallery]
    measure = usual[MEAN].ranks.t2v
    others = {f"{name} - {MEAN}": one.ranks.t2v for name, one in usual.items() if name != MEAN}
    others |= {
        f"{MEAN} by {number} frames - by {USUAL}": some[gallery][MEAN].ranks.t2v
        for number, some in found.items()
        if number != USUAL
    }
    others |= {
        f"{MEAN} normalised by {name} - plain": ranks.t2v for name, ranks in usual[MEAN].normalised.items()
    }
    others[f"{MEAN} in fp32 - as measured"] = in_fp32[MEAN].ranks.t2v
    return {label: difference(ranks, measure) for label, ranks in others.items()}


def _timed(kept: Path, device: str, rounds: int) -> dict[str, Any]:
    """What was timed before with these settings, or what is timed now."""
    settings = {"device": device, "rounds": rounds}
    if kept.is_file():
        before = json.loads(kept.read_text(encoding="utf-8"))
        if before["settings"] == settings:
            return before["figures"]
    figures = encoder_figures(device, rounds)
    kept.write_text(json.dumps({"settings": settings, "figures": figures}), encoding="utf-8")
    return figures


if __name__ == "__main__":
    typer.run(main)
