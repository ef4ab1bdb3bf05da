"""Cache frozen CLIP features of videos once, then train and compare text-video retrieval heads.

What a program may use without the command line:

    import tvr
    store = tvr.extract("didemo", root="data/didemo", model="ViT-B-32")
    run = tvr.train(store, head="hcmi", epochs=5, seed=0)
    print(tvr.evaluate(run, split="test"))
    for hit in tvr.search(run, "a dog catches a frisbee", top_k=5):
        print(hit.seconds, hit.path)

Keywords are called as the options of the commands, paths may be strings, and errors are ``TvrError``s. Importing it
loads nothing heavy: each name is looked up when it is asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .data.contracts.errors import (
        ClusterError,
        DataError,
        DecodeError,
        StoreError,
        TrainingError,
        TvrError,
        UsageError,
        WeightsError,
    )
    from .evaluating import Evaluations, evaluate
    from .exchanging import export, import_features
    from .extracting import extract
    from .opened_run import Run, open_run, runs
    from .opened_store import Store, open_store, stores
    from .searching import Finder, Hits, open_finder, search
    from .training import train
    from .upkeep import compact, verify

__all__ = [
    "ClusterError",
    "DataError",
    "DecodeError",
    "Evaluations",
    "Finder",
    "Hits",
    "Run",
    "Store",
    "StoreError",
    "TrainingError",
    "TvrError",
    "UsageError",
    "WeightsError",
    "__version__",
    "compact",
    "evaluate",
    "export",
    "extract",
    "import_features",
    "open_finder",
    "open_run",
    "open_store",
    "runs",
    "search",
    "stores",
    "train",
    "verify",
]

__version__: str

_ERRORS = (
    "ClusterError",
    "DataError",
    "DecodeError",
    "StoreError",
    "TrainingError",
    "TvrError",
    "UsageError",
    "WeightsError",
)
_MODULES = {
    **dict.fromkeys(_ERRORS, "data.contracts.errors"),
    **dict.fromkeys(("Store", "open_store", "stores"), "opened_store"),
    **dict.fromkeys(("Run", "open_run", "runs"), "opened_run"),
    **dict.fromkeys(("Evaluations", "evaluate"), "evaluating"),
    **dict.fromkeys(("Finder", "Hits", "open_finder", "search"), "searching"),
    **dict.fromkeys(("compact", "verify"), "upkeep"),
    **dict.fromkeys(("export", "import_features"), "exchanging"),
    "extract": "extracting",
    "train": "training",
}
"""Where each public name is."""


if not TYPE_CHECKING:  # to whom every name would seem to be there

    def __getattr__(name: str) -> Any:
        # Looked up when it is asked for: importlib.metadata takes as long to import as Python to start (27 ms), and
        # every decoding child imports this package.
        if name == "__version__":
            from importlib.metadata import version

            return version("tvr")
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(import_module(f".{_MODULES[name]}", __name__), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return __all__
