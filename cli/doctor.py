"""``tvr doctor``: does this machine have what tvr needs?"""

from dataclasses import asdict

import typer
from rich.text import Text

from ..data.contracts.errors import one_line
from ..pipeline.doctor import Finding, examine
from .options import DEFAULT_WORKSPACE, JsonOption, WorkspaceOption
from .output.next_command import print_next
from .terminal import out, print_json


def doctor(workspace: WorkspaceOption = DEFAULT_WORKSPACE, as_json: JsonOption = False) -> None:
    """Decode a frame with every decoder, encode one, probe GPU, weights, disk and HDF5 locking."""
    findings = list(examine(workspace))
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            found = one_line(f"{finding.check}: {finding.detail}")
            out.print(Text.assemble(_mark(finding), f" {found}"), soft_wrap=True)
            if not finding.ok and finding.remedy:
                out.print(f"     -> {one_line(finding.remedy)}", soft_wrap=True)
        print_next("demo")
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


def _mark(finding: Finding) -> tuple[str, str]:
    """What stands before a finding, and its style."""
    if finding.skipped:
        return "skip", "dim"
    return ("ok  ", "green") if finding.ok else ("FAIL", "red")
