"""``tvr serve``: the page that finds the moment, plays it and shows why."""

import socket
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from ..data.base import Video
from ..data.contracts.errors import UsageError, counted
from ..heads.runs.find_store import run_store
from ..heads.runs.newest import RunEntry, run_entries
from ..pipeline.request import Named, root_of
from ..pipeline.store.entries import StoreEntry, store_entry
from ..pipeline.store.reader import FeatureStore
from ..pipeline.workspace import Workspace
from .input.chosen_run import SERVED, Taken, is_run, named_run, taken_run
from .input.chosen_store import store_in_words, videos_or_note
from .input.options import (
    DEFAULT_WORKSPACE,
    MACHINE,
    MODEL,
    WHAT,
    DatasetOption,
    JsonOption,
    NamedDataOption,
    NamedModelOption,
    RootOption,
    StoreOption,
    WorkspaceOption,
    key_values,
)
from .output.waiting import waiting
from .page.app import page_app
from .page.connections import server_of
from .page.context import PageContext
from .page.guard import Guard, is_every_address, is_loopback, new_token
from .page.media.shelf import MediaShelf
from .page.opened_store import OpenedStore
from .terminal import Meter, err, out, print_json

PORT = 8765
PROXIES = "played"
"""Folder of a workspace for copies of videos that browsers cannot play as they are."""


def serve(
    run: Annotated[
        Path | None,
        typer.Argument(
            help="A run: its name as `tvr runs` lists it, or its folder; or a workspace, such as tvr-demo. Default: "
            "the newest run of the store, if there is one."
        ),
    ] = None,
    store: StoreOption = None,
    dataset: DatasetOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    zero_shot: Annotated[
        bool,
        typer.Option(
            "--zero-shot", help="Begin with mean pooling, not with a trained head.", rich_help_panel=MODEL
        ),
    ] = False,
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen on. Others than this machine's own demand a token, which the address that is "
            "printed holds.",
            rich_help_panel=MACHINE,
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="Port to listen on; 0: any that is free.", rich_help_panel=MACHINE)
    ] = PORT,
    open_: Annotated[
        bool, typer.Option("--open", help="Open the page in a browser.", rich_help_panel=MACHINE)
    ] = False,
    candidates: Annotated[
        int | None,
        typer.Option(
            help="How many of the nearest videos a head compares. Default: every video of up to 10,000, else as many "
            "as the index of frames says (`tvr index`), and 200 without one.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    model: NamedModelOption = None,
    pretrained: Annotated[
        str | None,
        typer.Option(
            help="Checkpoint file of the encoder, if it has moved or another user made the store.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    root: RootOption = None,
    data: NamedDataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Search, play and compare in a browser: a page on this machine, and the same as an HTTP API."""
    if zero_shot and run is not None:
        raise UsageError(
            f"--zero-shot begins without a run, got {run}. The page has both: leave one of them out"
        )
    named = Named(root=root, settings=key_values(data, "--data"), model=model, pretrained=pretrained)
    place = Workspace(workspace)
    if run is not None:
        place, run = _place_or_run(place, run, dataset)
    with _listening(host, port) as listening:
        taken = taken_run(place, run, store, dataset, zero_shot=zero_shot, wording=SERVED)
        context = _context(place, taken, named, candidates, zero_shot=zero_shot)
        token = None if is_loopback(host) else new_token()
        address = _address(host, listening, token)
        server = server_of(Guard(page_app(context), host, token), host, port)
        try:
            _say(address, has_token=token is not None, as_json=as_json)
            if open_:
                webbrowser.open(address)
            server.run(sockets=[listening])
        except KeyboardInterrupt:  # the server has ended what was under way, and tells who started it
            err.print("stopped")


def _place_or_run(place: Workspace, named: Path, dataset: str | None) -> tuple[Workspace, Path | None]:
    """Where to look, and which run is meant: a workspace is named as a run is.

    Raises:
        UsageError: it is neither.
    """
    if Workspace(named).stores() or Workspace(named).run_folders():
        return Workspace(named), None
    try:
        run = named_run(place, named, dataset)
        if not is_run(run):
            RunEntry.of(run)
    except UsageError as error:
        raise UsageError(
            f"{error}\nNor is it a workspace, which `tvr serve` takes too: {named} has no features and no runs"
        ) from error
    return place, run


def _say(address: str, *, has_token: bool, as_json: bool) -> None:
    if as_json:
        print_json({"address": address})
        return
    out.print(f"{address}   (Ctrl-C ends it)", soft_wrap=True)
    if has_token:
        out.print("whoever has this address can search and watch these videos", soft_wrap=True)


def _listening(host: str, port: int) -> socket.socket:
    """A socket that holds the port before anything is loaded.

    Raises:
        UsageError: the port is taken, or the address is not this machine's.
    """
    try:
        family, *_, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # Who connects while the archive is loaded waits for its answer; and a socket that only has its port, without
        # listening, would keep no other server from it.
        both = family == socket.AF_INET6 and socket.has_dualstack_ipv6()
        return socket.create_server(address, family=family, dualstack_ipv6=both)
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"cannot listen on {host} port {port} ({getattr(error, 'strerror', None) or error}): is another "
            "`tvr serve` running? --port 0 takes any port that is free"
        ) from error


def _address(host: str, listening: socket.socket, token: str | None) -> str:
    """What is typed into a browser."""
    name = socket.gethostname() if is_every_address(host) else host
    name = f"[{name}]" if ":" in name else name
    question = "" if token is None else f"?token={token}"
    return f"http://{name}:{listening.getsockname()[1]}/{question}"


def _context(
    place: Workspace, taken: Taken, named: Named, candidates: int | None, *, zero_shot: bool
) -> PageContext:
    """Everything loaded that the first query needs."""
    first = None if taken.run is None else RunEntry.of(taken.run)
    folder = taken.store or _store_of(first)
    store = FeatureStore.open(folder)
    entries = [entry for entry in run_entries(place) if entry.is_of(store.manifest, folder)]
    if first is not None and all(entry.folder.resolve() != first.folder.resolve() for entry in entries):
        entries.insert(0, first)
    runs = [entry for entry in entries if entry.is_finished]
    if first is not None:
        runs.sort(key=lambda entry: entry.folder.resolve() != first.folder.resolve())
    videos = _videos(folder, named)
    with waiting(f"loading {store.manifest.model}"):
        opened = OpenedStore(
            store, videos, runs, named=named, candidates=candidates, begins_with_run=not zero_shot
        )
    with Meter("encoding", "videos") as meter:
        way = opened.searcher(None, meter.update).way
    if way:
        err.print(way)
    cache = place.root / PROXIES
    media = MediaShelf(store, videos, cache, root=named.root or root_of(folder))
    entry: StoreEntry = store_entry(folder)
    return PageContext(opened, media, entries, place, store_in_words(entry))


def _store_of(run: RunEntry | None) -> Path:
    assert run is not None, "there is a run or a store"
    return run_store(run.folder, run.record).folder


def _videos(folder: Path, named: Named) -> dict[str, Video]:
    """The files of the store's data set; none, and the reason as a note, where nobody knows."""
    found = dict(videos_or_note(folder, named, "serve", "nothing can be played or shown"))
    missing = sum(video.path is None for video in found.values())
    if missing:
        err.print(f"note: the files of {counted(missing, 'video')} are not there", soft_wrap=True)
    return found
