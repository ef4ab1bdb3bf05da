"""``tvr import-checkpoint``: heads that others trained."""

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from ..data.contracts.records import reconfigured
from ..heads.features.from_store import features_of
from ..heads.runs.import_checkpoint import Checkpoint, not_reproduced, published_config
from ..heads.runs.import_checkpoint import import_checkpoint as write_run
from ..heads.runs.training_config import TrainingConfig
from ..pipeline.store.reader import FeatureStore
from ..pipeline.workspace import Workspace
from .input.chosen_run import new_run
from .input.chosen_store import taken_store
from .input.options import (
    DEFAULT_WORKSPACE,
    MODEL,
    WHAT,
    DatasetOption,
    JsonOption,
    StoreOption,
    WorkspaceOption,
    key_values,
)
from .output.next_command import print_next
from .terminal import out, print_json


def import_checkpoint(
    checkpoint: Annotated[
        Path, typer.Argument(help="A released state dict: .pt, .pth, .bin or .safetensors.")
    ],
    head: Annotated[str, typer.Option(help="Which head it is of.", rich_help_panel=MODEL)],
    dataset: DatasetOption = None,
    store: StoreOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    run: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="Name or folder of the run to write. Default: a new one.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="key=value for the head's Config, where it is not as published; repeatable.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    num_frames: Annotated[
        int | None,
        typer.Option(help="Frames it was trained with. Default: the data set's.", rich_help_panel=MODEL),
    ] = None,
    num_words: Annotated[
        int | None,
        typer.Option(help="Words it was trained with. Default: the data set's.", rich_help_panel=MODEL),
    ] = None,
    lowest_layers: Annotated[
        bool,
        typer.Option(
            "--lowest-layers",
            help="Take the lowest layers of one that has more, such as CLIP's.",
            rich_help_panel=MODEL,
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Make a run of a head that its authors released (CLIP4Clip, X-CLIP, DRL, X-Pool, UATVR, HBI)."""
    place = Workspace(workspace)
    config = reconfigured(published_config(head), key_values(settings, "--set"), head)
    opened = FeatureStore.open(taken_store(place, store, dataset))
    features = features_of(opened, sorted(opened.splits)[0])
    training = TrainingConfig(num_frames=num_frames, num_words=num_words)
    dataset = opened.manifest.dataset
    made = (
        place.new_run_folder(dataset, f"{head}-imported")
        if run is None
        else nullcontext(new_run(place, run, dataset))
    )
    with made as folder:
        found = write_run(Checkpoint(checkpoint, head, config, lowest_layers), features, training, folder)
    if as_json:
        print_json(
            {
                "folder": str(folder),
                "weights": len(found.weights),
                "left": len(found.of_others),
                "not_reproduced": not_reproduced(head),
            }
        )
        return
    out.print(
        f"{len(found.weights)} weights of the head; {len(found.without_effect)} that change no similarity and "
        f"{len(found.of_others)} of other parts (such as the encoder) were left",
        soft_wrap=True,
    )
    if (unlike := not_reproduced(head)) is not None:
        out.print(f"not as released: {unlike}", soft_wrap=True)
    print_next("eval", folder)
