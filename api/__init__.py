"""Cache frozen CLIP features of videos once, then train and compare text-video retrieval heads.

What a program may use without the command line. Importing it loads nothing heavy: no torch, no video library.

``__version__`` is that of the installed package; ``pyproject.toml`` states it.
"""

from typing import Any

__all__ = ["__version__"]

__version__: str


def __getattr__(name: str) -> Any:
    # Looked up when it is asked for: importlib.metadata takes as long to import as Python to start (27 ms), and every
    # decoding child imports this package.
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import version

    return version("tvr")
