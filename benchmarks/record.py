"""What every benchmark keeps beside its figures: command, machine, versions, date."""

import json
import os
import platform
import shlex
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("tvr", "torch", "open_clip_torch", "h5py", "numpy", "av", "decord", "pillow", "cykooz-resizer")


def keep(name: str, figures: dict[str, Any]) -> Path:
    """Print the figures and write them to ``results/<name>.json`` with what they were measured on."""
    module = sys.modules["__main__"].__spec__
    record = {
        "command": shlex.join(
            ["python", "-m", (module.name if module else name).removesuffix(".__main__"), *sys.argv[1:]]
        ),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": machine(),
        "versions": {"python": platform.python_version()} | versions(),
        "figures": figures,
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=2))
    return path


def versions() -> dict[str, str]:
    """Of the packages that are there: not every benchmark needs all of them."""
    found: dict[str, str] = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    """Processor, cores, memory and accelerator, as far as the system tells."""
    import torch

    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {"cpu": _processor(), "cores": os.cpu_count(), "memory_gib": round(memory, 1), "gpu": gpu}


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
