"""With which encoders one `tvr extract` makes stores: with one, or with several, one after the other."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import typer

from ...data.contracts.errors import INTERRUPTED, UsageError
from ..terminal import err
from .options import MODEL

ModelsOption = Annotated[
    list[str] | None,
    typer.Option(
        help="A model of open_clip, words (a weak but real one, of packages), transformers:owner/name, or "
        "tvr-storyboard. Several, each with its own --model, are a store each. Default: ViT-B-32.",
        rich_help_panel=MODEL,
    ),
]
PretrainedOption = Annotated[
    list[str] | None,
    typer.Option(
        help="A tag of that model, a checkpoint file, or 'random'; of several models one for each, in their order, or "
        "none. Default: the model's usual one.",
        rich_help_panel=MODEL,
    ),
]


def chosen_model(
    models: Sequence[str] | None, pretrained: Sequence[str] | None, usual: str
) -> tuple[str, str | None]:
    """The one model that was typed, or the usual one, and its weights.

    Raises:
        UsageError: it has several weights.
    """
    if len(pretrained or ()) > 1:
        raise UsageError(
            f"--pretrained goes with a --model of its own: got {len(pretrained or ())} for one model"
        )
    return (models[0] if models else usual), (pretrained[0] if pretrained else None)


def one_by_one(command: Callable[..., None], asked: Mapping[str, Any]) -> int:
    """Run a command for each of its models, as if it were typed alone.

    Args:
        command: what takes ``model`` and ``pretrained``, and ends with an exit code.
        asked: its options, several models among them.

    Returns:
        The exit code: of the first that did not end well, or 0. An interrupt ends all.

    Raises:
        UsageError: options that several models cannot share. Nothing is done then.
    """
    models, weights = list(asked["model"]), list(asked["pretrained"] or ())
    _check(models, weights, asked)
    codes: list[int] = []
    for number, model in enumerate(models):
        err.print(f"{number + 1} of {len(models)}: {model}", soft_wrap=True)
        own = {"model": [model], "pretrained": weights[number : number + 1]}
        try:
            command(**{**asked, **own})
        except typer.Exit as ended:
            codes.append(ended.exit_code)
        if INTERRUPTED in codes:
            break
    return INTERRUPTED if INTERRUPTED in codes else next((code for code in codes if code), 0)


def _check(models: Sequence[str], weights: Sequence[str], asked: Mapping[str, Any]) -> None:
    if weights and len(weights) != len(models):
        raise UsageError(
            f"--pretrained is given as often as --model, or not at all: got {len(weights)} for {len(models)} models"
        )
    pairs = list(zip(models, weights or [""] * len(models), strict=True))
    if len(set(pairs)) < len(pairs):
        raise UsageError("--model names one encoder twice: each makes a store of its own")
    if asked["store"] is not None:
        raise UsageError("--store names one store, and several --model make one each: leave it out")
    if asked["watch"]:
        raise UsageError(
            "--watch never ends, so that only the first --model would be used: start one for each"
        )
