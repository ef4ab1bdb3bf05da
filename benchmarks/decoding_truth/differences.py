"""One file before every decoder: where an answer differs from what is right."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import av.error
import numpy as np
from tvr.pipeline.decoding.pool import DecodedVideo, DecodeTask

from .damaging import damage_file
from .encodes import MP4, UNCHECKED_CODECS, Encode
from .pictures import UNREADABLE, is_turned, numbers_of
from .questions import Question, questions
from .truth import Truth, complains, first_packet_seconds, true_frames
from .writing import write_clean, write_encode

Kind = Literal["wrong", "failed", "partial", "order", "silent", "unnoticeable"]
"""wrong: another picture, choice, index, time or orientation than is right, with status ok. failed, partial: an
undamaged file that is said to be damaged. order: an answer that depends on what was asked before. silent: a picture
of a damaged file that is visibly wrong, with status ok. unnoticeable: the same where FFmpeg, as strict as it can be,
notices no damage either, or where the codec has nothing to notice it by."""
FAULTS: tuple[Kind, ...] = ("wrong", "failed", "partial", "order", "silent")

_ROUNDING_SECONDS = 2e-4
"""Answers hold their times in float32."""
_BLOCK = 8
_VISIBLE = 24
"""Of 255, on average over a block of so many pixels a side."""
_ASKED_AGAIN = 4
"""Of all questions, in an order of their own, after all were asked in turn."""


class Pool(Protocol):
    """What answers: ``DecoderPool``."""

    def decode(self, tasks: Iterable[DecodeTask]) -> Iterator[DecodedVideo]:
        """The videos in the order of the tasks."""
        ...


@dataclass(frozen=True)
class Finding:
    """One answer that is not right."""

    decoder: str
    kind: Kind
    question: str
    words: str
    wrong_frames: int = 0


@dataclass(frozen=True)
class Outcome:
    """What became of one encode."""

    encode: Encode
    unusable: str = ""
    """Why it proves nothing: no encoder writes it, or a plain decode does not give what was encoded."""
    frames: Mapping[str, int] = field(default_factory=dict)
    """How many frames of each decoder were compared."""
    findings: Sequence[Finding] = ()


def check(encode: Encode, folder: Path, pools: Mapping[str, Pool]) -> Outcome:
    """Write the file into the folder and ask every pool for frames of it, in two orders.

    Each pool has one child, so that what is asked first is what that child decodes first.
    """
    path = folder / f"encode.{encode.container}"
    try:
        truth = _truth(encode, path)
    except (av.error.FFmpegError, ValueError) as error:
        return Outcome(encode, f"{type(error).__name__}: {error}")
    if truth is None:
        return Outcome(encode, "a plain decode does not give what was encoded")
    asked = questions(encode, truth)
    judge = _judge_damaged(path, encode, truth) if encode.is_damaged else _Judge(truth, encode)
    frames: dict[str, int] = {}
    findings: list[Finding] = []
    for decoder, pool in pools.items():
        order = [*range(len(asked)), *encode.random(5).permutation(len(asked))[:_ASKED_AGAIN].tolist()]
        tasks = [asked[place].task(str(turn), path) for turn, place in enumerate(order)]
        answers = list(pool.decode(tasks))
        frames[decoder] = sum(len(answer.frames) for answer in answers)
        for place, answer in zip(order, answers, strict=True):
            findings += [
                Finding(decoder, kind, str(asked[place]), f"by {answer.decoder or decoder}: {words}", count)
                for kind, words, count in judge.findings(asked[place], answer)
            ]
        findings += _order_findings(decoder, asked, order, answers, encode.is_damaged)
    return Outcome(encode, "", frames, findings)


def _truth(encode: Encode, path: Path) -> Truth | None:
    """Of the clean file; afterwards the file is as the encode says. None where the truth itself is in doubt."""
    if not encode.is_damaged:
        truth = true_frames(write_encode(encode, path), encode)
    else:
        truth = true_frames(write_clean(encode, path), encode)
        damage_file(path, encode)
    count = encode.frames * (2 if encode.damage == "joined" else 1)
    pieces = encode.edit in ("two", "four")
    is_whole = len(truth.numbers) == count or pieces or encode.start_seconds < 0
    in_order = (np.diff(truth.numbers) > 0).all() and (truth.numbers != UNREADABLE).all()
    return truth if is_whole and in_order else None


class _Judge:
    """Of a file without damage."""

    def __init__(self, truth: Truth, encode: Encode) -> None:
        self._truth, self._encode = truth, encode

    def findings(self, question: Question, answer: DecodedVideo) -> Iterator[tuple[Kind, str, int]]:
        """What is not right of one answer: kind, words, wrong frames."""
        if answer.status == "failed":
            if self._is_due(question):
                yield "failed", answer.reason, 0
            return
        if answer.status != "ok":
            yield "partial", answer.reason, 0
        index = answer.frame_index.astype(int)
        if len(index) and (index.min() < 0 or index.max() >= len(self._truth.numbers)):
            yield "wrong", f"frame_index {_short(index)} of {len(self._truth.numbers)} frames", len(index)
            return
        numbers, right = numbers_of(answer.frames), self._truth.numbers[index]
        if (numbers != right).any():
            yield "wrong", _difference(answer, numbers, right), int((numbers != right).sum())
        if answer.status == "ok" and (self._truth.is_stamped or self._truth.is_steady):
            yield from self._times_of(answer, question)
        else:
            yield from self._order_of(answer, question)

    def _is_due(self, question: Question) -> bool:
        """Whether there is something to answer; of a span that is not known where times are a guess."""
        knows_times = self._truth.is_stamped or self._truth.is_steady
        return len(question.answer(self._truth)) > 0 and (knows_times or question.end_seconds is None)

    def _times_of(self, answer: DecodedVideo, question: Question) -> Iterator[tuple[Kind, str, int]]:
        """What holds of a file that says when its frames are shown."""
        index = answer.frame_index.astype(int)
        if not question.is_answered_by(index, self._truth):
            expected = question.answer(self._truth)
            count = len(set(index.tolist()) ^ set(expected.tolist()))
            yield "wrong", f"frames {_short(index)} instead of {_short(expected)}", count
        apart = np.abs(answer.frame_seconds - self._truth.seconds[index])
        if (apart > max(self._truth.half_a_frame, _ROUNDING_SECONDS)).any():
            worst = int(apart.argmax())
            words = (
                f"{answer.frame_seconds[worst]:.3f} s instead of {self._truth.seconds[index][worst]:.3f} s"
            )
            yield "wrong", f"times up to {apart[worst]:.3f} s off: {words}", int((apart > 0.01).sum())

    def _order_of(self, answer: DecodedVideo, question: Question) -> Iterator[tuple[Kind, str, int]]:
        """What holds even where the file does not say when its frames are shown."""
        # Times that differ by too little for a float32 are equal.
        if (np.diff(answer.frame_index) <= 0).any() or (np.diff(answer.frame_seconds) < 0).any():
            yield "wrong", f"not in order: frames {_short(answer.frame_index)}", 1
        is_all = question.sampling.policy == "all" and question.end_seconds is None
        if answer.status == "ok" and is_all and len(answer.frame_index) < len(self._truth.numbers):
            yield "wrong", f"{len(answer.frame_index)} of all {len(self._truth.numbers)} frames", 1


class _DamagedJudge:
    """Of a damaged file: whatever is given with status ok has to be the clean picture of its time."""

    def __init__(self, truth: Truth, origins: Sequence[float], kind: Kind) -> None:
        self._truth, self._origins = truth, origins
        self._kind: Kind = kind
        self._place = {int(number): place for place, number in enumerate(truth.numbers)}

    def findings(self, question: Question, answer: DecodedVideo) -> Iterator[tuple[Kind, str, int]]:
        """What is not right of one answer: kind, words, wrong frames."""
        if answer.status != "ok":
            return
        numbers = numbers_of(answer.frames)
        clean = [self._place.get(int(number)) for number in numbers]
        spoilt = [
            place is None or _is_visible(frame, self._truth.pictures[place])
            for frame, place in zip(answer.frames, clean, strict=True)
        ]
        kind: Kind = self._kind
        if any(spoilt):
            yield kind, f"visibly wrong: frames {_short(answer.frame_index[spoilt])}", sum(spoilt)
        elif (np.diff(numbers) <= 0).any():
            yield kind, f"not in display order: {_short(numbers)}", 1
        elif self._truth.is_stamped and self._origins:
            off = min(self._off(answer, numbers, origin) for origin in self._origins)
            if off:
                yield kind, f"pictures {_short(numbers)} at {_short(answer.frame_seconds)} s", off

    def _off(self, answer: DecodedVideo, numbers: np.ndarray, origin: float) -> int:
        """How many pictures are not those of their time, if the file's clock begins there."""
        seconds = answer.frame_seconds + origin - self._truth.first_seconds
        nearest = np.abs(self._truth.seconds[None] - seconds[:, None]).argmin(1)
        return int((self._truth.numbers[nearest] != numbers).sum())


def _judge_damaged(path: Path, encode: Encode, truth: Truth) -> _DamagedJudge:
    # Zeros cannot stand in a NAL unit of known length, whatever a decoder says of them.
    has_units = encode.codec in ("libx264", "libx265") and encode.container in (*MP4, "mkv")
    is_plain = encode.damage == "zeroed" and has_units
    is_hopeless = encode.codec in UNCHECKED_CODECS or not (is_plain or complains(path))
    origins = [truth.first_seconds, *first_packet_seconds(path)]
    return _DamagedJudge(truth, origins, "unnoticeable" if is_hopeless else "silent")


def _order_findings(
    decoder: str,
    asked: Sequence[Question],
    order: Sequence[int],
    answers: Sequence[DecodedVideo],
    is_damaged: bool,
) -> Iterator[Finding]:
    """Where the second answer to a question is not the first one.

    Damaged pictures that are given for sound ones are counted as such, and FFmpeg paints them from whatever is in
    its memory: there, only which frames are given is compared.
    """
    first = dict(zip(order[: len(asked)], answers[: len(asked)], strict=True))
    for place, answer in zip(order[len(asked) :], answers[len(asked) :], strict=True):
        before = first[place]
        is_same = (answer.status, answer.reason) == (before.status, before.reason)
        is_same &= np.array_equal(answer.frame_index, before.frame_index)
        if is_same and (is_damaged or np.array_equal(answer.frames, before.frames)):
            continue
        words = (
            f"{before.status} by {before.decoder} ({before.reason}), then {answer.status} by {answer.decoder}"
        )
        yield Finding(decoder, "order", str(asked[place]), f"{words} ({answer.reason})")


def _difference(answer: DecodedVideo, numbers: np.ndarray, right: np.ndarray) -> str:
    places = np.flatnonzero(numbers != right)
    if is_turned(answer.frames[places[0]]):
        return "not upright"
    gone = f", {int((numbers == UNREADABLE).sum())} unreadable" if (numbers == UNREADABLE).any() else ""
    return f"pictures {_short(numbers[places])} where frame_index says {_short(right[places])}{gone}"


def _is_visible(frame: np.ndarray, clean: np.ndarray) -> bool:
    """Whether somewhere a block of the picture is far from the clean one's on average."""
    apart = np.abs(frame.astype(int) - clean).mean(-1)
    height, width = apart.shape
    blocks = apart.reshape(height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK).mean((1, 3))
    return bool(blocks.max() > _VISIBLE)


def _short(values: np.ndarray) -> str:
    shown = [round(float(value), 3) if values.dtype.kind == "f" else int(value) for value in values[:12]]
    return f"{shown}{' ...' if len(values) > 12 else ''}"
