"""What a reader of any figure must know of the encoder first: where its features say little or nothing of the videos.

It follows from what every store and every encoder says of itself, so stores of earlier versions answer too.
"""

from dataclasses import dataclass

DRAWINGS_MODEL, DRAWINGS_DATASET = "tvr-storyboard", "storyboard"
"""The encoder that is shipped with the package, and the data set of generated videos that it was trained on."""
UNKNOWN = "unknown"
"""Model, weights or precision of features that were imported and that nobody named."""
WORDS_MODEL = "words"
"""The encoder whose weights are packages."""


@dataclass(frozen=True, slots=True)
class Caution:
    """A short name to stand beside a figure, and the sentence that explains it once."""

    label: str
    """Two or three words, such as ``random weights``."""
    sentence: str
    """What follows for whoever reads a figure, without a full stop."""

    def __str__(self) -> str:
        """The name, then the sentence, as a line of its own."""
        return f"{self.label}: {self.sentence}"


RANDOM_WEIGHTS = Caution("random weights", "the model was never trained, scores will be chance")
DRAWINGS_ONLY = Caution(
    "knows drawings only",
    f"{DRAWINGS_MODEL} was trained on the generated shapes of {DRAWINGS_DATASET} alone, on other videos its scores "
    "mean nothing",
)
WEAK = Caution(
    "weak encoder",
    f"{WORDS_MODEL} knows the 1,000 classes of ImageNet and plain English; a weak but real zero-shot encoder",
)

UNPROJECTED = Caution(
    "texts not in the space of frames",
    "captions have hidden states before the encoder's text projection alone, so zero-shot scores mean nothing",
)


def caution_of(model: str, dataset: str, *, random_weights: bool) -> Caution | None:
    """What must be known of features of this encoder on this data set; None where they are what they seem.

    Args:
        model: name of the encoder, as the store records it.
        dataset: name of the data set, as the store records it.
        random_weights: whether the encoder was never trained.
    """
    if random_weights:
        return RANDOM_WEIGHTS
    if model == DRAWINGS_MODEL and dataset != DRAWINGS_DATASET:
        return DRAWINGS_ONLY
    return WEAK if model == WORDS_MODEL else None


def label_of(caution: Caution | None) -> str | None:
    """As a record for programs has it: its short name, or None where there is nothing to know."""
    return None if caution is None else caution.label
