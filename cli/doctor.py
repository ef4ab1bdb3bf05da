"""``tvr doctor``: does this machine have what tvr needs?"""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from ..data.contracts.errors import UsageError, one_line
from ..pipeline.doctor import Finding, examine
from ..pipeline.options import EncoderSpec
from .input.options import DEFAULT_WORKSPACE, MODEL, DeviceOption, JsonOption, WorkspaceOption
from .output.next_command import print_next
from .output.waiting import waiting
from .terminal import out, print_json


def doctor(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    model: Annotated[
        str | None,
        typer.Option(help="Encoder to show drawn stills to. Default: tvr-storyboard.", rich_help_panel=MODEL),
    ] = None,
    pretrained: Annotated[
        str | None,
        typer.Option(help="Its weights, as for tvr extract.", rich_help_panel=MODEL),
    ] = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Decode a frame with every decoder, show the encoder drawn stills, try GPU, weights, disk and HDF5 locking."""
    if pretrained is not None and model is None:
        raise UsageError("--pretrained names weights of a model: name it with --model")
    encoder = None if model is None else EncoderSpec(model, pretrained, device)
    findings = list[Finding]()
    for finding in _examined(workspace, encoder):
        findings.append(finding)
        if not as_json:
            _print(finding)
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        print_next(*_next_words(model, pretrained))
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


def _next_words(model: str | None, pretrained: str | None) -> list[str]:
    """The demo, or where an encoder was named an extraction with it."""
    if model is None:
        return ["demo"]
    weights = [] if pretrained is None else ["--pretrained", pretrained]
    return ["extract", "--dataset", "folder", "--root", "DIR", "--model", model, *weights]


def _examined(workspace: Path, encoder: EncoderSpec | None) -> Iterator[Finding]:
    """Each check as soon as it is done: some take seconds."""
    examined = examine(workspace, encoder)
    while True:
        with waiting("looking at this machine"):
            finding = next(examined, None)
        if finding is None:
            return
        yield finding


def _print(finding: Finding) -> None:
    found = one_line(f"{finding.check}: {finding.detail}")
    out.print(Text.assemble(_mark(finding), f" {found}"), soft_wrap=True)
    if not finding.ok and finding.remedy:
        out.print(f"     -> {one_line(finding.remedy)}", soft_wrap=True)


def _mark(finding: Finding) -> tuple[str, str]:
    """What stands before a finding, and its style."""
    if finding.skipped:
        return "skip", "dim"
    return ("ok  ", "green") if finding.ok else ("FAIL", "red")
