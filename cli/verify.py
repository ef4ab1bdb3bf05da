"""``tvr verify``: are the bytes of a store still those that were written?"""

from dataclasses import asdict

import typer

from .options import DEFAULT_WORKSPACE, DatasetOption, JsonOption, StoreOption, WorkspaceOption


def verify(
    store: StoreOption = None,
    dataset: DatasetOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """Compare every shard with the sha256 in its receipt; exit code 4 if one is damaged or missing."""
    from ..data.contracts.errors import StoreError
    from ..pipeline.store import FeatureStore
    from ..pipeline.workspace import Workspace
    from .terminal import out, print_json

    opened = FeatureStore.open(store or Workspace(workspace).find_store(dataset), complete=False)
    damages = opened.verify()
    if as_json:
        print_json([asdict(damage) for damage in damages])
    else:
        for damage in damages:
            out.print(f"{damage.shard} {damage.problem}", soft_wrap=True)
        shards = len(opened.shard_names("video")) + len(opened.shard_names("text"))
        out.print(f"{shards - len(damages)} of {shards} shards are whole: {opened.folder}", soft_wrap=True)
        if damages:
            out.print("mend: delete the damaged shards and run the same `tvr extract` again")
    if damages:
        raise typer.Exit(StoreError.exit_code)
