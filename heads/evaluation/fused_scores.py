"""A weighted sum of scores whose texts and videos are matched by id."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int, Num
from torch import Tensor

from ...data.contracts.errors import DataError, counted, cut_short
from .given_ids import MatrixIds
from .ranks import ColumnScores, ScoreBlock
from .saved_scores import Basis
from .scores import NUMBERS_PER_BLOCK


@dataclass(frozen=True)
class Part:
    """Scores that are to be added, with what their rows and columns stand for."""

    name: str
    scores: ColumnScores
    ids: MatrixIds
    basis: Basis
    notes: tuple[str, ...] = ()
    sentences: tuple[str, ...] | None = None
    """What each text says; None: not known."""

    @property
    def owners(self) -> dict[str, str]:
        """The video that each text describes."""
        videos = self.ids.videos
        return {
            text: videos[place]
            for text, place in zip(self.ids.texts, self.ids.text_video.tolist(), strict=True)
        }


@dataclass(frozen=True)
class Places:
    """Where in one part the texts and videos are that all have."""

    texts: Int[Tensor, " text"]
    videos: Int[Tensor, " video"]


@dataclass(frozen=True)
class Common:
    """What all parts have, in the order of the first, and where each has it."""

    ids: MatrixIds
    places: tuple[Places, ...]
    lost_videos: Mapping[str, str]
    """Why each other video is left out."""
    lost_texts: Mapping[str, str]
    notes: tuple[str, ...]
    """The same in a line for each part that lacks some."""


def common_part(parts: Sequence[Part]) -> Common:
    """What all parts have.

    Raises:
        DataError: there is nothing, or an id stands for another video or sentence in another part.
    """
    _check_same(parts)
    lost_videos = _lost([(part.name, part.ids.videos) for part in parts], "video")
    lost_texts = _lost([(part.name, part.ids.texts) for part in parts], "text")
    owners = {text: video for part in parts for text, video in part.owners.items()}
    lost_texts |= {
        text: f"its video {video!r} is {lost_videos[video]}"
        for text, video in owners.items()
        if video in lost_videos and text not in lost_texts
    }
    videos = tuple(video for video in parts[0].ids.videos if video not in lost_videos)
    texts = tuple(text for text in parts[0].ids.texts if text not in lost_texts)
    if not texts:
        raise DataError(
            f"{' and '.join(part.name for part in parts)} have no text and video in common: rows and columns are "
            f"matched by id, such as {parts[0].ids.texts[0]!r} and {parts[1].ids.texts[0]!r}"
        )
    column = {video: place for place, video in enumerate(videos)}
    text_video = torch.tensor([column[owners[text]] for text in texts], dtype=torch.long)
    places = tuple(Places(_places(part.ids.texts, texts), _places(part.ids.videos, videos)) for part in parts)
    notes = _notes(parts, lost_videos, lost_texts)
    return Common(MatrixIds(texts, videos, text_video), places, lost_videos, lost_texts, notes)


class FusedScores(ColumnScores):
    """The weighted sum of the scores of several parts, with what all of them have.

    Numbers are as wide as the widest part's, and on the first part's device.
    """

    def __init__(self, parts: Sequence[Part], places: Sequence[Places], weights: Sequence[float]) -> None:
        self.parts = [
            (part.scores, where, weight) for part, where, weight in zip(parts, places, weights, strict=True)
        ]
        self.num_texts, self.num_videos = len(places[0].texts), len(places[0].videos)

    def blocks(self) -> Iterator[ScoreBlock]:
        """Every video once, in order."""
        for videos in torch.arange(self.num_videos).split(max(1, NUMBERS_PER_BLOCK // self.num_texts)):
            scores = self.columns(videos)
            yield ScoreBlock(videos.to(scores.device), scores)

    def columns(self, videos: Int[Tensor, " block"]) -> Num[Tensor, "text block"]:
        """Every text with these videos."""
        videos = videos.cpu()
        return self._sum([_rows(scores.columns(at.videos[videos]), at.texts) for scores, at, _ in self.parts])

    def pairs(self, videos: Int[Tensor, " text"]) -> Num[Tensor, " text"]:
        """The score of each text with one video."""
        found: list[Tensor] = []
        for scores, at, _ in self.parts:
            asked = torch.zeros(scores.num_texts, dtype=torch.long)
            asked[at.texts] = at.videos[videos.cpu()]
            found.append(_rows(scores.pairs(asked), at.texts))
        return self._sum(found)

    def tie_tolerance(self, truth: Num[Tensor, "*query"]) -> Num[Tensor, "*query"]:
        """What the tolerances of the parts add up to."""
        margins = [weight * scores.tie_tolerance(truth) for scores, _, weight in self.parts]
        return torch.stack(margins).sum(dim=0)

    def _sum(self, found: Sequence[Num[Tensor, "*score"]]) -> Num[Tensor, "*score"]:
        if len(found) == 1:
            return found[0]
        # Whole numbers are not, once they are weighted.
        plain = [some if some.is_floating_point() else some.double() for some in found]
        total: Tensor | None = None
        for some, (_, _, weight) in zip(plain, self.parts, strict=True):
            term = some * weight
            total = term if total is None else total + term.to(total.device)
        assert total is not None, "there is a part"
        return total


def _rows(scores: Num[Tensor, "*score"], rows: Int[Tensor, " row"]) -> Num[Tensor, "*chosen"]:
    """Those of the chosen texts, which most often are all of them."""
    is_all = len(rows) == len(scores) and bool((rows.diff() == 1).all())
    return scores if is_all else scores[rows.to(scores.device)]


def _places(ids: Sequence[str], wanted: Sequence[str]) -> Int[Tensor, " id"]:
    place = {id: number for number, id in enumerate(ids)}
    return torch.tensor([place[id] for id in wanted], dtype=torch.long)


def _lost(named: Sequence[tuple[str, Sequence[str]]], kind: str) -> dict[str, str]:
    """Why ids are left out that not every part has."""
    sets = {name: set(ids) for name, ids in named}
    every = dict.fromkeys(id for _, ids in named for id in ids)
    lacking = {id: [name for name, ids in sets.items() if id not in ids] for id in every}
    return {id: f"not in {cut_short(names)}" for id, names in lacking.items() if names}


def _notes(
    parts: Sequence[Part], lost_videos: Mapping[str, str], lost_texts: Mapping[str, str]
) -> tuple[str, ...]:
    lines: list[str] = []
    for part in parts:
        videos = [id for id in part.ids.videos if id in lost_videos]
        texts = [id for id in part.ids.texts if id in lost_texts]
        if videos or texts:
            lines.append(
                f"left out, for not all have them: {counted(len(videos), 'video')} and {counted(len(texts), 'text')} "
                f"of {part.name} ({cut_short(videos or texts)})"
            )
    return tuple(lines)


def _check_same(parts: Sequence[Part]) -> None:
    """See that an id stands for one thing."""
    first = parts[0]
    sizes = {(len(part.ids.texts), len(part.ids.videos)) for part in parts}
    placed = [part.ids.are_places for part in parts]
    if any(placed) and (not all(placed) or len(sizes) > 1):
        raise DataError(
            f"rows and columns are matched by id, and {parts[placed.index(True)].name} has none: name those of all "
            "matrices with --texts and --videos. Only matrices of one size can do without"
        )
    owners = first.owners
    said = dict(zip(first.ids.texts, first.sentences or (), strict=False))
    for part in parts[1:]:
        for text, video in part.owners.items():
            if owners.get(text, video) != video:
                raise DataError(
                    f"text {text!r} describes {owners[text]!r} in {first.name} and {video!r} in {part.name}: these are "
                    "not scores of one data set"
                )
        for text, sentence in zip(part.ids.texts, part.sentences or (), strict=False):
            if said.get(text, sentence) != sentence:
                raise DataError(
                    f"text {text!r} is {said[text]!r} in {first.name} and {sentence!r} in {part.name}: these are not "
                    "features of one data set"
                )
