"""What every head costs, beside the same mathematics straight from the equations: ``python -m benchmarks.heads``.

For each head: parameters, one training step, all similarities of N x N items, and the most memory that tensors
held meanwhile. The head works in blocks, the reference on all pairs at once, on the same encodings, in turns;
the smallest of several processor times of one thread counts. Where the reference would not fit, it is left out.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from tvr.data.contracts.plug_ins import load_plug_in, plug_in_names
from tvr.heads.base import FeatureShape, Head, TextFeatures, VideoFeatures
from tvr.heads.layers.blocks import similarity_in_blocks

from .head_references import OF_PAIRS, as_published, reference_similarity
from .record import keep

MOST_SECONDS = 90.0
"""A size that is expected to take the head longer than this is left out."""
ENOUGH_SECONDS = 6.0
"""Both are timed in turns until this much time is spent, three times at least (once where once takes longer)."""
ROUNDS = 15
WANTED_RATIO = 1.1


def main() -> None:
    """Print a line per head and size, and keep the figures."""
    options = _options()
    torch.set_num_threads(options.threads)
    shape = FeatureShape(options.dim, options.frames, options.words)
    figures: dict[str, Any] = {
        name: getattr(options, name) for name in ("dim", "frames", "words", "batch", "threads")
    }
    print(
        f"{'head':18}{'parameters':>12}{'items':>7}{'ms':>10}{'reference':>11}{'ratio':>7}{'MB':>9}{'reference':>11}"
    )
    for name in options.heads or plug_in_names("tvr.heads"):
        module = load_plug_in("tvr.heads", name)
        torch.manual_seed(0)
        head = module.Head(module.Config(), shape)
        parameters = sum(parameter.numel() for parameter in head.parameters())
        rows = [_training_step(name, module, head, options.batch)] if parameters else []
        rows += [row for items in options.items if (row := _similarities(name, module, head.eval(), items))]
        for row in rows:
            print(_line(name, parameters, row), flush=True)
        figures[name] = {"parameters": parameters, "measurements": rows}
    worst = {
        name: max(r["ratio"] for r in figures[name]["measurements"] if "ratio" in r)
        for name in figures
        if isinstance(figures[name], dict) and any("ratio" in r for r in figures[name]["measurements"])
    }
    keep("heads", figures | {"worst_ratio": worst, "wanted_ratio": WANTED_RATIO})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--heads", nargs="*")
    parser.add_argument("--items", nargs="*", type=int, default=[50, 200, 1000])
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--words", type=int, default=32)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def _line(name: str, parameters: int, row: dict[str, Any]) -> str:
    items = f"{row['items']}" if row["what"] == "similarity" else "step"
    times = f"{row['milliseconds']:>10,.1f}{row.get('reference_milliseconds', float('nan')):>11,.1f}"
    memory = f"{row['megabytes']:>9,.1f}{row.get('reference_megabytes', float('nan')):>11,.1f}"
    return f"{name:18}{parameters:>12,}{items:>7}{times}{row.get('ratio', float('nan')):>7.2f}{memory}"


def _features(shape: FeatureShape, items: int) -> tuple[TextFeatures, VideoFeatures]:
    """Texts and videos of every length, at CLIP's usual norm."""
    generator = torch.Generator().manual_seed(0)

    def parts(most: int) -> tuple[Tensor, Tensor]:
        lengths = torch.randint(max(1, most // 3), most + 1, (items, 1), generator=generator)
        lengths[0] = most
        mask = torch.arange(most) < lengths
        values = torch.randn(items, most, shape.dim, generator=generator) * 10 / shape.dim**0.5
        return values.masked_fill(~mask[..., None], 0.0), mask

    words, frames = parts(shape.num_words), parts(shape.num_frames)
    return TextFeatures(*words, words[0][:, 0].clone()), VideoFeatures(*frames)


def _similarities(name: str, module: ModuleType, head: Head, items: int) -> dict[str, Any] | None:
    """All pairs of N texts and N videos; None where it would take too long."""
    if _expected_seconds(head, items) > MOST_SECONDS:
        return None
    features = _features(head.shape, items)
    with torch.no_grad():
        encoded = head.encode_text(features[0]), head.encode_video(features[1])

    def ours() -> Tensor:
        return similarity_in_blocks(head, *encoded)

    @torch.no_grad()
    def reference() -> Tensor:
        return reference_similarity(name, head, features, encoded)

    return {"what": "similarity", "items": items} | _compared(
        module, ours, reference, _pair_megabytes(head, items)
    )


def _expected_seconds(head: Head, items: int) -> float:
    text, video = _features(head.shape, 8)
    with torch.no_grad():
        encoded = head.encode_text(text), head.encode_video(video)
        seconds = min(_seconds(lambda: head.similarity(*encoded)) for _ in range(3))
    return seconds * (items / 8) ** 2


def _pair_megabytes(head: Head, items: int) -> float:
    """About what the reference holds: it keeps twice as many tensors a pair, and pooled videos in full."""
    return 2 * max(head.numbers_per_pair(), head.shape.dim) * items**2 * 4 / 1e6


def _training_step(name: str, module: ModuleType, head: Head, batch: int) -> dict[str, Any]:
    """Encode, compare, loss, gradient, step."""
    features = _features(head.shape, batch)
    optimiser = torch.optim.AdamW(head.parameters(), lr=1e-6)
    same = torch.eye(batch, dtype=torch.bool)
    own = head.similarity

    def step() -> None:
        head.train()
        views = [head.encode_video(features[1]) for _ in range(head.num_views)]
        head.loss(head.encode_text(features[0]), views, same)["total"].backward()
        optimiser.step()
        optimiser.zero_grad()

    def as_reference() -> None:
        if name in OF_PAIRS:
            head.similarity = lambda text, video: OF_PAIRS[name](head, *features)
        try:
            step()
        finally:
            head.similarity = own

    return {"what": "training step", "items": batch} | _compared(module, step, as_reference, 0.0)


def _compared(
    module: ModuleType, ours: Callable[[], Any], reference: Callable[[], Any], megabytes: float
) -> dict[str, Any]:
    """Times and memory of both, taken in turns."""
    fits = megabytes < _free_megabytes() / 2
    seconds: dict[str, list[float]] = {"ours": [], "reference": []}
    while len(seconds["ours"]) < ROUNDS and _worth_another(seconds):
        seconds["ours"].append(_seconds(ours))
        if fits:
            with as_published(module):
                seconds["reference"].append(_seconds(reference))
    found: dict[str, Any] = {
        "milliseconds": round(1e3 * min(seconds["ours"]), 2),
        "megabytes": round(peak_bytes(ours) / 1e6, 2),
    }
    if not fits:
        return found
    with as_published(module):
        found["reference_megabytes"] = round(peak_bytes(reference) / 1e6, 2)
    found["reference_milliseconds"] = round(1e3 * min(seconds["reference"]), 2)
    pairs = zip(seconds["ours"], seconds["reference"], strict=True)
    found["ratio"] = round(median(a / b for a, b in pairs), 3)
    return found


def _worth_another(seconds: dict[str, list[float]]) -> bool:
    spent, rounds = sum(map(sum, seconds.values())), len(seconds["ours"])
    return rounds == 0 or spent < ENOUGH_SECONDS or (rounds < 3 and spent < 5 * ENOUGH_SECONDS)


def _seconds(work: Callable[[], Any]) -> float:
    """Processor time of one call, of as many as make a measurable span: what other programs do does not count."""
    calls, spent = 0, 0.0
    started = time.process_time()
    while spent < 0.02:
        work()
        calls += 1
        spent = time.process_time() - started
    return spent / calls


def _free_megabytes() -> float:
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
    return int(lines["MemAvailable"].split()[0]) / 1e3


def peak_bytes(work: Callable[[], Any]) -> int:
    """The most bytes that tensors made within the call held at once."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        work()
    events = recorded.profiler.kineto_results.events()  # type: ignore[union-attr]
    changes = sorted((event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]")
    return int(torch.tensor([0] + [change for _, change in changes]).cumsum(0).max())


if __name__ == "__main__":
    main()
