"""What is asked of every file: some numbers of frames, a rate, all frames, and spans."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tvr.pipeline.decoding.pool import DecodeTask
from tvr.pipeline.preprocessing import usual_resize
from tvr.pipeline.sampling import Sampling, sample

from .encodes import Encode
from .truth import PREPROCESSING, Truth

_SLACK = 0.1
_RATES = (0.5, 1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True)
class Question:
    """Which frames are asked for."""

    sampling: Sampling
    start_seconds: float = 0.0
    end_seconds: float | None = None

    def __str__(self) -> str:
        sampling = self.sampling
        numbers = {
            "uniform": f" N={sampling.num_frames}",
            "fps": f" {sampling.fps:g} N={sampling.num_frames}",
        }
        words = f"{sampling.policy}{numbers.get(sampling.policy, '')}"
        if self.end_seconds is None:
            return words
        return f"{words} of {self.start_seconds:.3f} to {self.end_seconds:.3f} s"

    def task(self, name: str, path: Path) -> DecodeTask:
        """For the pool: half of the questions with frames that are resampled fast."""
        way = usual_resize() if self.end_seconds is None else "exact"
        return DecodeTask(
            name, path, self.sampling, PREPROCESSING, self.start_seconds, self.end_seconds, resize=way
        )

    def answer(self, truth: Truth, sooner: float = 0.0) -> np.ndarray:
        """The frames that are right, by their place in display order.

        Args:
            truth: of the file.
            sooner: by how many seconds every frame but the first comes before its time.
        """
        seconds = truth.seconds - np.where(np.arange(len(truth.seconds)) > 0, sooner, 0.0)
        return sample(seconds, self.sampling, self.start_seconds, self.end_seconds)

    def is_answered_by(self, index: np.ndarray, truth: Truth) -> bool:
        """Whether these are the frames that are right.

        Where a file does not say when its frames are shown, one that changes at the very moment asked for may be
        taken for shown or for not yet shown.
        """
        slack = 0.0 if truth.is_stamped else _SLACK * truth.half_a_frame
        answers = [self.answer(truth, sooner) for sooner in (slack, 0.0, -slack)]
        if any(index.tolist() == answer.tolist() for answer in answers):
            return True
        latest, _, earliest = answers
        has_all = len(latest) == len(index) == len(earliest)
        return has_all and bool(((earliest <= index) & (index <= latest)).all())


def questions(encode: Encode, truth: Truth) -> list[Question]:
    """Those of one file; they depend on the encode's seed, and the spans on how long it lasts."""
    random = encode.random(4)
    asked = [
        Question(Sampling("uniform", int(random.integers(low, high))))
        for low, high in ((1, 9), (9, 25), (25, 41))
    ]
    asked.append(Question(Sampling("fps", 40, fps=float(random.choice(_RATES)))))
    asked.append(Question(Sampling("all")))
    end = float(truth.seconds[-1]) + 2 * truth.half_a_frame
    for sampling in (Sampling("uniform", int(random.integers(1, 13))), Sampling("all")):
        start, stop = np.sort(random.uniform(0, end, 2)).round(3).tolist()
        asked.append(Question(sampling, start, stop))
    return asked
