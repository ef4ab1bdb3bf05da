"""A folder with a ``base.py`` holds one plug-in per file, and the file name is its name on the command line."""

import pkgutil
from importlib import import_module
from types import ModuleType

from .errors import UsageError, unknown_name

_KINDS = {
    "tvr.data": "data set",
    "tvr.heads": "head",
    "tvr.pipeline.decoders": "decoder",
    "tvr.pipeline.encoders": "encoder",
    "tvr.pipeline.exchange.layouts": "layout",
}
"""What the plug-ins of a folder are called in an error."""


def plug_in_names(package: str) -> list[str]:
    """Names of the plug-ins in a package such as ``tvr.heads``: its modules, without ``base`` and sub-folders."""
    paths = import_module(package).__path__
    return sorted(m.name for m in pkgutil.iter_modules(paths) if not m.ispkg and m.name != "base")


def load_plug_in(package: str, name: str) -> ModuleType:
    """Import the one plug-in that is named.

    Raises:
        UsageError: there is no plug-in of that name; the message lists the known ones.
    """
    names = plug_in_names(package)
    if name not in names:
        raise UsageError(unknown_name(_KINDS.get(package, package), name, names))
    return import_module(f"{package}.{name}")
