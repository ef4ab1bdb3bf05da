"""What of an extraction was asked for, and what it would come to."""

from dataclasses import dataclass, replace
from pathlib import Path

from ...data.base import Dataset
from ...pipeline.encoders.base import Encoder, EncoderIdentity
from ...pipeline.estimate import Estimate, estimate
from ...pipeline.extract import as_begun, count_retried, planned_growth
from ...pipeline.job_array import JobShare
from ...pipeline.options import ExtractionOptions
from ...pipeline.plan import Plan
from ...pipeline.store.generations.record import Generation
from ...pipeline.workspace import Workspace
from ..output.extraction import extraction_meters
from ..terminal import Meter


@dataclass(frozen=True)
class AskedExtraction:
    """A data set, and what is to be done with it."""

    dataset: Dataset
    options: ExtractionOptions
    batch_size: int | None
    """None: what suits the encoder's device."""
    store: Path | None
    """None: the workspace's."""
    place: Workspace
    share: JobShare

    def folder(self, identity: EncoderIdentity) -> Path:
        """Of the store."""
        return self.store or self.place.store_folder(
            self.dataset.name, identity.model, identity.pretrained, self.options.limit
        )

    def frames_per_batch(self, usual: int) -> int:
        """As it was asked for, or else what suits the encoder's device."""
        return usual if self.batch_size is None else self.batch_size

    def growth(self, encoder: Encoder) -> tuple[Generation, Plan] | None:
        """What a store that is there lacks, and the shards of it; None where it lacks nothing or is not there."""
        folder = self.folder(encoder.identity)
        with extraction_meters() as show:
            return planned_growth(self.dataset, encoder.identity, self.options, folder, on_progress=show)

    def estimated(self, encoder: Encoder, planned: Plan | None = None) -> Estimate:
        """From a sample that is measured on this machine, with what a store that is there already was begun with."""
        folder = self.folder(encoder.identity)
        frames = self.frames_per_batch(encoder.frames_per_batch)
        options = replace(self.options, frames_per_batch=frames)
        options = as_begun(options, self.dataset, folder, alone=True)
        with Meter("measuring", "videos") as meter:
            return estimate(self.dataset, encoder, options, meter.update, planned)

    def retried(self, encoder: Encoder) -> int | None:
        """How many videos --retry means; None without it."""
        if self.options.retry is None:
            return None
        folder = self.folder(encoder.identity)
        with extraction_meters() as show:
            return count_retried(
                self.dataset, encoder.identity, self.options, folder, share=self.share, on_progress=show
            )
