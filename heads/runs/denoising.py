"""What label denoising came to in a training: how many negatives it left out, and whether it had two views."""

from dataclasses import dataclass

from ...data.contracts.errors import counted


@dataclass(frozen=True, slots=True)
class Denoising:
    """Counted over all epochs of a run, of a head that looks for wrong negatives."""

    pairs: int
    """Pairs of different videos that met in a batch and were no negatives of each other, once for each such batch."""
    epochs: int
    videos: int
    """Of the training split."""
    longer: int
    """Those with more frames than the head sees: two random views of them are two."""
    num_frames: int
    """The most that the head sees of a video."""

    def __str__(self) -> str:
        pairs = counted(self.pairs, "pair") if self.pairs else "no pair"
        epochs = counted(self.epochs, "epoch")
        return (
            f"Label denoising took {pairs} of videos, so alike that neither is a wrong answer for the other, out of "
            f"the negatives in {epochs}{self._views}"
        )

    @property
    def _views(self) -> str:
        """Of how many videos there was anything to compare."""
        if self.longer == self.videos:
            return ""
        if self.longer:
            return (
                f"; both views are one of {counted(self.videos - self.longer, 'video')} that have no more than "
                f"{counted(self.num_frames, 'frame')}"
            )
        return (
            f": no video has more than the {counted(self.num_frames, 'frame')} that the head sees, so both views of "
            "one are the same, and only copies are found. A store with more frames, or a smaller --train num_frames, "
            "makes them two"
        )
