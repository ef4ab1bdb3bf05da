"""Checks of this machine that do the thing itself: decode a frame, write a shard, multiply on the GPU."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..data.contracts.cautions import DRAWINGS_MODEL, DRAWINGS_ONLY, caution_of
from ..data.contracts.errors import TvrError, counted
from ..data.contracts.plug_ins import load_plug_in, plug_in_names
from ..data.sources.address import SCHEMES
from ..data.sources.fetching import why_not_installed
from .decoders.base import FORMER_DECODER
from .decoding.pool import DecoderPool, DecodeTask
from .options import EncoderSpec
from .preprocessing import Preprocessing
from .probe.pairs import probe
from .sampling import Sampling
from .video.sample_clip import write_sample

_FREE_GIGABYTES = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    check: str
    ok: bool
    detail: str
    remedy: str = ""
    """What to do where it is not ok."""
    skipped: bool = False
    """Whether nothing was tried, as it is optional and not there: nothing is wrong."""


def examine(workspace: Path, encoder: EncoderSpec | None = None) -> Iterator[Finding]:
    """Every check in turn. One that breaks is a finding, not an end.

    Args:
        workspace: the folder that is to hold features.
        encoder: shown rendered stills; None: the one that comes with the package.
    """
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "sample.mp4"
        write_sample(clip)
        for name in plug_in_names("tvr.pipeline.decoders"):
            yield _checked(f"decoder {name}", lambda name=name: _decodes(name, clip))
    yield _checked("encoder", lambda: _sees(encoder or EncoderSpec(DRAWINGS_MODEL)))
    yield _checked("GPU", _gpu)
    yield _checked("weights", _weights)
    yield _checked("servers", _servers)
    yield _checked("disk", lambda: _disk(workspace))
    yield _checked("HDF5 locking", lambda: _locking(workspace))


def _checked(check: str, run: Callable[[], Finding]) -> Finding:
    try:
        return run()
    except TvrError as error:
        detail, _, more = str(error).partition("\n")
        return Finding(check, False, detail, more.replace("\n", "; "))
    except Exception as error:  # noqa: BLE001 - a broken library may raise anything; saying so is the point here
        return Finding(check, False, f"{type(error).__name__}: {error}", "reinstall with `pip install -e .`")


def _decodes(name: str, clip: Path) -> Finding:
    """In a child process, as an extraction does: a decoder that crashes must not take the doctor with it."""
    why = load_plug_in("tvr.pipeline.decoders", name).available()
    if why:
        instead = "PyAV takes its place" if name == FORMER_DECODER else f"only --decoder {name} needs it"
        return Finding(f"decoder {name}", True, f"optional, {instead}: {why}", skipped=True)
    size = Preprocessing(64, 64, "squash", "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    with DecoderPool(1, name) as pool:
        video = next(pool.decode([DecodeTask("sample", clip, Sampling(policy="all"), size)]))
    brightness = [int(frame.mean().round()) for frame in video.frames]
    right = len(brightness) == 8 and np.allclose(brightness, range(20, 161, 20), atol=3)
    remedy = f"reinstall {name}, or choose another with --decoder"
    if right and video.decoder == name:
        return Finding(
            f"decoder {name}", True, "all 8 frames of a test clip have the right brightness", remedy
        )
    wrong = "" if right else f", brightness {brightness} instead of 20, 40, ..., 160"
    served = f"{video.decoder or 'no decoder'} read a test clip" + (
        f" ({video.reason})" if video.reason else ""
    )
    return Finding(
        f"decoder {name}", False, f"{served}: {counted(len(brightness), 'frame')} of 8{wrong}", remedy
    )


def _sees(encoder: EncoderSpec) -> Finding:
    """Whether it tells rendered stills apart; one that was never trained is named, and nothing is wrong with it."""
    loaded = encoder.load()
    identity, result = loaded.identity, probe(loaded)
    caution = caution_of(identity.model, "", random_weights=identity.random_weights)
    known_for = f" ({caution.label})" if caution else ""
    remedy = (
        "weights, preprocessing or activation are wrong: name the checkpoint by its tag (--pretrained tag=FILE), or "
        "reinstall open_clip_torch and torch"
    )
    return Finding(
        "encoder", result.sees or identity.random_weights, f"{identity.model}{known_for} {result}", remedy
    )


def _gpu() -> Finding:
    import torch

    if not torch.cuda.is_available():
        return Finding("GPU", True, f"none; the CPU's {torch.get_num_threads()} threads are used")
    total = float(torch.ones(64, 64, device="cuda").sum())
    name = torch.cuda.get_device_name(0)
    remedy = "the driver and torch's CUDA build do not match: see `nvidia-smi` and pytorch.org"
    return Finding("GPU", total == 4096.0, name, remedy)


def _weights() -> Finding:
    from huggingface_hub.constants import HF_HUB_CACHE

    folder = Path(HF_HUB_CACHE)
    models = sorted(path.name.removeprefix("models--") for path in folder.glob("models--*"))
    offline = " (HF_HUB_OFFLINE is set)" if os.environ.get("HF_HUB_OFFLINE") else ""
    cached = f"{counted(len(models), 'model')} cached in {folder}{offline}"
    return Finding("weights", True, f"{cached}; tvr-storyboard is built in ({DRAWINGS_ONLY.label})")


def _servers() -> Finding:
    """Which addresses a manifest may hold; no server is asked."""
    lacking = {scheme: why for scheme in SCHEMES if (why := why_not_installed(scheme))}
    read = " ".join(f"{scheme}://" for scheme in SCHEMES if scheme not in lacking)
    said = [f"videos are read from {read}"] if read else []
    said += dict.fromkeys(f"optional: {why}" for why in lacking.values())
    return Finding("servers", True, "; ".join(said), skipped=not read)


def _disk(workspace: Path) -> Finding:
    place = next(path for path in [workspace.resolve(), *workspace.resolve().parents] if path.exists())
    free = shutil.disk_usage(place).free / 1e9
    remedy = f"less than {_FREE_GIGABYTES} GB: choose another disk with --workspace or TVR_WORKSPACE"
    return Finding("disk", free >= _FREE_GIGABYTES, f"{free:,.0f} GB free for {workspace}", remedy)


def _locking(workspace: Path) -> Finding:
    import h5py

    from .store.atomic_files import atomic_write

    existed = workspace.exists()
    workspace.mkdir(parents=True, exist_ok=True)
    path = workspace / ".doctor.h5"
    try:
        with atomic_write(path) as beside, h5py.File(beside, "w") as file:
            file["x"] = np.arange(3)
        with h5py.File(path, "r", locking=False) as file:
            value = int(np.asarray(file["x"])[2])
    finally:
        path.unlink(missing_ok=True)
        if not existed:
            workspace.rmdir()
    remedy = "set HDF5_USE_FILE_LOCKING=FALSE, or choose another disk with --workspace"
    return Finding(
        "HDF5 locking",
        value == 2,
        f"wrote, renamed and read a shard (HDF5 {h5py.version.hdf5_version})",
        remedy,
    )
