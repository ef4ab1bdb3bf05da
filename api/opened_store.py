"""A feature store, opened: which videos it holds, their features and captions."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float

from .data.contracts.errors import DataError, counted
from .heads.search.catalogue import Catalogue
from .pipeline.store.manifest import Manifest
from .pipeline.store.reader import FeatureStore
from .pipeline.summary import Summary
from .places import Place, see_that_it_is_of, store_folder_of, workspace_at
from .shown import facts_table


class Store:
    """The features of a data set's videos and captions.

    Args:
        folder: of the store.
        summary: what the extraction came to that has just made it.

    Raises:
        StoreError: there is no whole store, or it cannot be read.
    """

    def __init__(self, folder: Place, summary: Summary | None = None) -> None:
        self.folder = Path(folder)
        self.features = FeatureStore.open(self.folder)
        """What heads, and code of your own, read."""
        self.summary = summary

    @property
    def manifest(self) -> Manifest:
        """What made the features: ``store.json``."""
        return self.features.manifest

    @property
    def dataset(self) -> str:
        """The data set's name."""
        return self.manifest.dataset

    @property
    def video_ids(self) -> list[str]:
        """Every video, in the order of the store, those without frames too."""
        return self.features.video_ids

    @property
    def splits(self) -> Mapping[str, tuple[str, ...]]:
        """The videos of each split, by id."""
        return self.features.splits

    def frames(self, video_id: str) -> Float[np.ndarray, "frame dim"]:
        """The features of a video's frames, not normalised, in the order of time.

        Raises:
            DataError: the store has no such video.
        """
        self._see_that_it_has(video_id)
        return self.features.frames(video_id)

    def seconds(self, video_id: str) -> Float[np.ndarray, " frame"]:
        """When each of these frames is shown, in seconds of its file.

        Raises:
            DataError: the store has no such video.
        """
        self._see_that_it_has(video_id)
        return self.features.frame_seconds(video_id)

    def captions(self, video_id: str) -> tuple[str, ...]:
        """What the data set says of a video.

        Raises:
            DataError: the store has no such video.
        """
        self._see_that_it_has(video_id)
        return self._captions.get(video_id, ())

    @property
    def failed(self) -> dict[str, str]:
        """Why videos have no frames, by id."""
        return {one.id: f"{one.status}: {one.reason}" for one in self.features.statuses() if not one.frames}

    def __len__(self) -> int:
        return len(self.video_ids)

    def __iter__(self) -> Iterator[str]:
        return iter(self.video_ids)

    def __contains__(self, video_id: object) -> bool:
        return video_id in self._known

    def __repr__(self) -> str:
        sizes = f"{counted(len(self), 'video')}, {counted(self.manifest.num_texts, 'caption')}"
        remark = f", {self.manifest.caution.label}" if self.manifest.caution else ""
        return f"Store({str(self.folder)!r}: {sizes}, {self._encoder}, {self.manifest.dim} wide{remark})"

    def _repr_html_(self) -> str:
        manifest = self.manifest
        facts = {
            "data set": f"{manifest.dataset}: {', '.join(f'{name} {len(ids):,}' for name, ids in self.splits.items())}",
            "videos": f"{len(self):,}" + (f", {len(self.failed):,} without frames" if self.failed else ""),
            "captions": f"{manifest.num_texts:,}",
            "encoder": self._encoder,
            "width": f"{manifest.dim:,}",
            "folder": str(self.folder),
        }
        return facts_table(
            "Store", {**facts, **({"note": manifest.caution.label} if manifest.caution else {})}
        )

    @property
    def _encoder(self) -> str:
        return f"{self.manifest.model} {self.manifest.pretrained}"

    @cached_property
    def _captions(self) -> Mapping[str, tuple[str, ...]]:
        return Catalogue(self.features, {}).captions

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.video_ids)

    def _see_that_it_has(self, video_id: str) -> None:
        if video_id not in self._known:
            raise DataError(f"{self.folder} has no video {video_id!r}; video_ids lists those it has")


def open_store(
    store: Place | None = None, *, dataset: str | None = None, workspace: Place | None = None
) -> Store:
    """A store by its folder or its name in the workspace; without one the newest, of that data set or of all.

    Raises:
        StoreError: there is none, or it cannot be read.
        UsageError: nothing has that name.
    """
    place = workspace_at(workspace)
    if store is not None:
        found = Store(store_folder_of(place, store))
        see_that_it_is_of(dataset, found.folder, found.dataset)
        return found
    return Store(place.find_store(dataset).folder)


def stores(*, workspace: Place | None = None, dataset: str | None = None) -> list[Store]:
    """The whole stores of a workspace, the newest first."""
    return [Store(entry.folder) for entry in workspace_at(workspace).stores(dataset) if not entry.lacking]
