"""A data set in memory, for tests of planning and extraction."""

from pathlib import Path

from tvr.data.base import Caption, Dataset, Preset, Split, Video


def dataset(paths: dict[str, Path | None], *, paragraph: bool = False) -> Dataset:
    """One video an entry, with one caption; the last video is the test split, the one before it validation."""
    ids = list(paths)
    sentences = ("a shape moves.", "then it stops.") if paragraph else ("a shape moves",)
    splits = {"train": ids[:-2], "val": ids[-2:-1], "test": ids[-1:]}
    return Dataset(
        name="toy",
        protocol="paragraph" if paragraph else "single",
        preset=Preset(num_frames=4, max_words=16),
        videos={i: Video(i, path) for i, path in paths.items()},
        captions=[Caption(f"{i}#0", i, (f"{i}: {sentences[0]}", *sentences[1:])) for i in ids],
        splits={name: Split(tuple(members), len(members), "made up") for name, members in splits.items()},
        annotation_digests={"toy.csv": "00"},
    )
