"""What both commands take, and what they show while they work."""

from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from typing import Annotated, Any

import typer

from ...data.contracts.errors import check_name
from ...data.contracts.plug_ins import plug_in_names
from ...pipeline.exchange.importing import LAYOUTS
from ..terminal import Meter

LayoutArgument = Annotated[
    str,
    typer.Argument(metavar="LAYOUT", help="univtg, npy, clip-video-encode, clip-retrieval or parquet."),
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Look at all there is, say what it would come to, write nothing.")
]


def check_layout(layout: str) -> None:
    """See that there is such a layout.

    Raises:
        UsageError: there is none; the message lists those there are.
    """
    check_name("layout", layout, [name.replace("_", "-") for name in plug_in_names(LAYOUTS)])


def chosen(option: str, value: str | None, known: tuple[Any, ...]) -> Any:
    """The value of an option that takes one of a few, or None.

    Raises:
        UsageError: it is none of them.
    """
    if value is not None:
        check_name(option, value, known)
    return value


@contextmanager
def meters() -> Generator[Callable[[str, int, int], None]]:
    """A bar for each stage, one after another."""
    with ExitStack() as stack:
        begun: dict[str, Meter] = {}

        def show(stage: str, done: int, total: int) -> None:
            if stage not in begun:
                stack.close()
                unit = "shards" if stage == "digests" else stage
                begun[stage] = stack.enter_context(Meter(stage, unit, at_once=False))
            begun[stage].update(done, total)

        yield show
