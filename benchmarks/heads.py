"""What every head costs, beside the same mathematics straight from the equations: ``python -m benchmarks.heads``.

For each head: parameters, one training step, all similarities of N x N items, and the most memory that tensors
held meanwhile. The head works in blocks, the reference on all pairs at once, from the same encodings (from the
features on where the equations mix both), in turns; the ratio is the median over pairs of turns of processor time
of one thread, each turn as many calls as make a measurable span. Where the reference would not fit, it is left out.
Ends with 1 if a head is slower than allowed or takes more memory than its reference.
"""

import argparse
import sys
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
from tvr.heads.base import Encoded, FeatureShape, Head, TextFeatures, VideoFeatures
from tvr.heads.evaluation.blockwise import similarity_in_blocks

from .head_references import OF_ENCODINGS, OF_PAIRS, as_published
from .record import keep

MAX_SECONDS = 40.0
"""A size that is expected to take the head longer than this is left out."""
ENOUGH_SECONDS = 4.0
"""Both are timed in turns until this much time is spent, twice at least."""
ROUNDS = 16
SPAN_SECONDS = 0.02
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
        f"{'head':18}{'parameters':>12}{'items':>7}{'ms':>12}{'reference':>13}{'ratio':>7}"
        f"{'MB':>10}{'reference':>11}"
    )
    names = options.heads or plug_in_names("tvr.heads")
    for name in names:
        module = load_plug_in("tvr.heads", name)
        torch.manual_seed(0)
        head = module.Head(module.Config(), shape)
        parameters = sum(parameter.numel() for parameter in head.parameters())
        rows = [_training_step(name, module, head, options.batch)] if parameters else []
        rows += [row for items in options.items if (row := _similarities(name, module, head.eval(), items))]
        for row in rows:
            print(_line(name, parameters, row), flush=True)
        figures[name] = {"parameters": parameters, "measurements": rows}
    above = [line for name in names for row in figures[name]["measurements"] if (line := _above(name, row))]
    keep("heads", figures | {"wanted_ratio": WANTED_RATIO, "above": above})
    sys.exit("\n".join(above) or None)


def _above(name: str, row: dict[str, Any]) -> str | None:
    """What is wrong with a row, if anything."""
    at = f"{name}, {row['what']} of {row['items']:,} items"
    if row.get("ratio", 0.0) > WANTED_RATIO:
        return f"{at}: {row['ratio']} x the time of the reference"
    if row["megabytes"] > row.get("reference_megabytes", float("inf")):
        return f"{at}: {row['megabytes']} MB, the reference {row['reference_megabytes']} MB"
    return None


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--heads", nargs="*")
    parser.add_argument("--items", nargs="*", type=int, default=[10, 50, 200, 1000])
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--words", type=int, default=32)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def _line(name: str, parameters: int, row: dict[str, Any]) -> str:
    items = f"{row['items']}" if row["what"] == "similarity" else "step"
    times = f"{row['milliseconds']:>12,.3f}{row.get('reference_milliseconds', float('nan')):>13,.3f}"
    memory = f"{row['megabytes']:>10,.2f}{row.get('reference_megabytes', float('nan')):>11,.2f}"
    return f"{name:18}{parameters:>12,}{items:>7}{times}{row.get('ratio', float('nan')):>7.2f}{memory}"


def random_features(shape: FeatureShape, items: int) -> tuple[TextFeatures, VideoFeatures]:
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
    if _expected_seconds(head, items) > MAX_SECONDS:
        return None
    features = random_features(head.shape, items)
    encoded = _encoded(head, features)

    def ours() -> Tensor:
        # A reference that starts from the features is compared with a head that does so too.
        return similarity_in_blocks(head, *(_encoded(head, features) if name in OF_PAIRS else encoded))

    def reference() -> Tensor:
        with torch.no_grad():
            if name in OF_PAIRS:
                return OF_PAIRS[name](head, *features)
            return OF_ENCODINGS.get(name, head.similarity)(*encoded)

    megabytes = _pair_megabytes(head, items)
    return {"what": "similarity", "items": items} | _compared(module, ours, reference, megabytes)


@torch.no_grad()
def _encoded(head: Head, features: tuple[TextFeatures, VideoFeatures]) -> tuple[Encoded, Encoded]:
    return head.encode_text(features[0]), head.encode_video(features[1])


def _expected_seconds(head: Head, items: int) -> float:
    encoded = _encoded(head, random_features(head.shape, 8))
    with torch.no_grad():
        return min(_seconds(lambda: head.similarity(*encoded)) for _ in range(2)) * (items / 8) ** 2


def _pair_megabytes(head: Head, items: int) -> float:
    """About what the reference holds: it keeps twice as many tensors a pair, and pooled videos in full."""
    return 2 * max(head.numbers_per_pair(), head.shape.dim) * items**2 * 4 / 1e6


def _training_step(name: str, module: ModuleType, head: Head, batch: int) -> dict[str, Any]:
    """Encode, compare, loss, gradient, step."""
    features = random_features(head.shape, batch)
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
    """Times and memory of both, once each has run: a first step makes what the optimiser keeps."""
    ours()
    found: dict[str, Any] = {"megabytes": round(peak_bytes(ours) / 1e6, 3)}
    if megabytes > _free_megabytes() / 2:
        return found | {"milliseconds": _milliseconds([_seconds(ours)])}
    with as_published(module):
        reference()
        found["reference_megabytes"] = round(peak_bytes(reference) / 1e6, 3)
    seconds: dict[str, list[float]] = {"ours": [], "reference": []}
    for turn in range(ROUNDS):
        # Who goes first changes, so that neither always finds the other's memory warm.
        for which in ("ours", "reference") if turn % 2 else ("reference", "ours"):
            if which == "ours":
                seconds[which].append(_seconds(ours))
            else:
                with as_published(module):
                    seconds[which].append(_seconds(reference))
        if turn and sum(map(sum, seconds.values())) > ENOUGH_SECONDS:
            break
    pairs = zip(seconds["ours"], seconds["reference"], strict=True)
    return found | {
        "milliseconds": _milliseconds(seconds["ours"]),
        "reference_milliseconds": _milliseconds(seconds["reference"]),
        "ratio": round(median(a / b for a, b in pairs), 3),
    }


def _milliseconds(seconds: list[float]) -> float:
    return round(1e3 * median(seconds), 4)


def _seconds(work: Callable[[], Any]) -> float:
    """Processor time of one call, of as many as make a measurable span: what other programs do does not count."""
    calls, spent = 0, 0.0
    started = time.process_time()
    while spent < SPAN_SECONDS:
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
    memory: list[Any] = [
        event for event in events if event.name() == "[memory]"
    ]  # nbytes: not in torch's stub
    changes = sorted((event.start_ns(), event.nbytes()) for event in memory)
    return int(torch.tensor([0] + [change for _, change in changes]).cumsum(0).max())


if __name__ == "__main__":
    main()
