"""Pictures a second of CLIP's vision towers on a GPU: ``python -m benchmarks.gpu_extract``, or the file by itself.

ViT-B-32, B-16, L-14 and H-14 in bfloat16, at batch sizes up to 1,024, with the way of the pictures from page-locked
memory and of the features back; as a share of the chip's bfloat16 peak, which a large matrix product measures in the
same run. With the core-seconds of a decoded frame follows how many decoding cores keep each tower fed.

The towers have the shapes of CLIP's, and random weights: speed does not depend on them. They are built of torch alone,
so that ``python benchmarks/gpu_extract.py`` runs on a machine without open_clip and the rest of this package.
"""

import argparse
import json
import os
import platform
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

PIXELS = 224
BATCH_SIZES = (64, 128, 256, 512, 1024)
PEAK_SIDE = 8192
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Shape:
    """The size of a vision transformer."""

    patch: int
    width: int
    layers: int
    heads: int
    dim: int

    @property
    def tokens(self) -> int:
        """Patches and the class token."""
        return (PIXELS // self.patch) ** 2 + 1

    @property
    def operations(self) -> float:
        """Floating-point operations of one picture: two for each multiplication and addition of a matrix product."""
        tokens, width = self.tokens, self.width
        layer = 24 * tokens * width**2 + 4 * tokens**2 * width
        return self.layers * layer + 2 * (tokens - 1) * 3 * self.patch**2 * width + 2 * width * self.dim


MODELS = {
    "ViT-B-32": Shape(32, 768, 12, 12, 512),
    "ViT-B-16": Shape(16, 768, 12, 12, 512),
    "ViT-L-14": Shape(14, 1024, 24, 16, 768),
    "ViT-H-14": Shape(14, 1280, 32, 16, 1024),
}


class Layer(nn.Module):
    """Attention and a network of two layers, each behind a norm."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.norm, self.norm_2 = nn.LayerNorm(shape.width), nn.LayerNorm(shape.width)
        self.query_key_value = nn.Linear(shape.width, 3 * shape.width)
        self.out = nn.Linear(shape.width, shape.width)
        self.wide, self.narrow = (
            nn.Linear(shape.width, 4 * shape.width),
            nn.Linear(4 * shape.width, shape.width),
        )

    def forward(self, hidden: Tensor) -> Tensor:
        """Tokens to tokens."""
        frames, tokens, width = hidden.shape
        split = self.query_key_value(self.norm(hidden)).view(frames, tokens, 3, self.heads, -1)
        attended = nn.functional.scaled_dot_product_attention(*split.permute(2, 0, 3, 1, 4))
        hidden = hidden + self.out(attended.transpose(1, 2).reshape(frames, tokens, width))
        return hidden + self.narrow(nn.functional.gelu(self.wide(self.norm_2(hidden))))


class Tower(nn.Module):
    """A vision transformer with CLIP's class token and projection."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, shape.width, shape.patch, shape.patch, bias=False)
        self.class_token = nn.Parameter(torch.randn(shape.width) / shape.width**0.5)
        self.positions = nn.Parameter(torch.randn(shape.tokens, shape.width) / shape.width**0.5)
        self.before, self.after = nn.LayerNorm(shape.width), nn.LayerNorm(shape.width)
        self.layers = nn.Sequential(*(Layer(shape) for _ in range(shape.layers)))
        self.projection = nn.Linear(shape.width, shape.dim, bias=False)

    def forward(self, pictures: Tensor) -> Tensor:
        """Pictures [frame, 3, height, width] to features [frame, dim]."""
        patches = self.patches(pictures).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.class_token.expand(len(patches), 1, -1), patches], dim=1)
        hidden = self.layers(self.before(tokens + self.positions))
        return self.projection(self.after(hidden[:, 0]))


def main() -> None:
    """Measure every model at every batch size and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=list(BATCH_SIZES))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--compile", action="store_true", help="compile the towers (torch.compile)")
    parser.add_argument(
        "--core-seconds-per-frame",
        type=float,
        help="to decode and resize one frame; default: what benchmarks.extract measured",
    )
    chosen = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("benchmarks.gpu_extract needs an NVIDIA GPU, and torch sees none: nothing was measured")
    core_seconds = chosen.core_seconds_per_frame or _core_seconds_per_frame()
    peak = _peak_operations_per_second()
    models = {name: _measured(name, chosen, peak) for name in chosen.models}
    for figures in models.values():
        fastest = max(figures["pictures_per_second"].values())
        figures["decoding_cores_to_stay_fed"] = round(fastest * core_seconds, 1)
    _keep(
        {
            "gpu": torch.cuda.get_device_name(0),
            "peak_bf16_teraflops": round(peak / 1e12, 1),
            "compiled": chosen.compile,
            "core_seconds_per_decoded_frame": core_seconds,
            "models": models,
        }
    )


def _measured(name: str, chosen: argparse.Namespace, peak: float) -> dict[str, Any]:
    """Pictures a second by batch size."""
    shape = MODELS[name]
    tower: Any = Tower(shape).cuda().to(torch.bfloat16).to(memory_format=torch.channels_last).eval()
    if chosen.compile:
        tower = torch.compile(tower)
    sizes = {
        str(size): round(_pictures_per_second(tower, size, chosen.rounds), 1) for size in chosen.batch_sizes
    }
    return {
        "gigaflops_per_picture": round(shape.operations / 1e9, 2),
        "pictures_per_second": sizes,
        "share_of_peak": {size: round(speed * shape.operations / peak, 3) for size, speed in sizes.items()},
    }


@torch.no_grad()
def _pictures_per_second(tower: Any, size: int, rounds: int) -> float:
    """From uint8 pictures in page-locked memory to features there, several batches under way at a time."""
    pixels = torch.randint(0, 256, (size, PIXELS, PIXELS, 3), dtype=torch.uint8).pin_memory()
    batches = max(2, 2048 // size)
    speeds: list[float] = []
    for turn in range(rounds + 2):
        torch.cuda.synchronize()
        started = time.perf_counter()
        for _ in range(batches):
            pictures = pixels.cuda(non_blocking=True).permute(0, 3, 1, 2).to(torch.bfloat16)
            features = tower(pictures.div_(127.5).sub_(1)).float().to("cpu", non_blocking=True)
        torch.cuda.synchronize()
        if turn >= 2:  # the first two warm up
            speeds.append(batches * size / (time.perf_counter() - started))
    assert bool(features.isfinite().all())
    return median(speeds)


@torch.no_grad()
def _peak_operations_per_second() -> float:
    """Of a large matrix product of random numbers: what this chip does at best, not what its data sheet says."""
    one, other = (torch.randn(PEAK_SIDE, PEAK_SIDE, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    speeds: list[float] = []
    for _ in range(12):
        torch.cuda.synchronize()
        started = time.perf_counter()
        for _ in range(10):
            torch.mm(one, other)
        torch.cuda.synchronize()
        speeds.append(10 * 2 * PEAK_SIDE**3 / (time.perf_counter() - started))
    return median(speeds[2:])


def _core_seconds_per_frame() -> float:
    path = RESULTS / "extract.json"
    if not path.is_file():
        sys.exit(
            "run benchmarks.extract first, or say --core-seconds-per-frame: what it costs to decode one frame"
        )
    figures = json.loads(path.read_text(encoding="utf-8"))["figures"]
    return figures["decoding_processes"] / figures["frames_per_second"]["decode"]


def _keep(figures: dict[str, Any]) -> None:
    """As every benchmark does; where packages are missing, without their versions."""
    try:
        from .record import keep

        keep("gpu_extract", figures)
    except ImportError:
        record = {
            "command": f"python {' '.join(sys.argv)}",
            "date": datetime.now(UTC).strftime("%Y-%m-%d"),
            "machine": {"gpu": torch.cuda.get_device_name(0), "cores": os.cpu_count()},
            "versions": {"python": platform.python_version(), "torch": torch.__version__},
            "figures": figures,
        }
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "gpu_extract.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
