"""One head over one gallery, that answers any number of queries.

The command line, programs and the page ask here, so that nothing is found twice in two ways.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ...pipeline.encoders.base import token_names
from ..base import Encoded, TextFeatures, VideoFeatures
from ..evaluation.blockwise import similarity_in_blocks
from ..layers.padding import l2_normalise
from .alignment import Alignment, align_pair
from .answers import FIRST_FEW, Answer, FoundVideo, OwnVideo, Wish
from .archive import Archive
from .calibration import Calibration, nothing_stands_out
from .catalogue import Catalogue
from .comparing import AskedTexts, Candidates, Compared, Comparer, EveryItem, Usual, best_first
from .gallery.coarse import CoarseVectors, coarse_of
from .gallery.encoded_items import EncodedItems, EncodedNow
from .gallery.exact import check_top_k
from .moments import Moment, apart, moment_of, moments_of, window_curves
from .query_features import QueryText, batch_of
from .ways import way_of

WINDOWS_FOR_MOMENTS = 100
"""So many of the best windows are cut into moments, whichever part of these is wanted."""


class Searcher:
    """Answers queries to one archive.

    Args:
        archive: head, videos and encoder.
        catalogue: what is known of the videos.
        comparer: how a text meets the gallery; None: with every item, of which nothing is kept.
        vectors: one vector an item for what looks alike; None: made for each query.
        encoded: the items as the head encodes them; None: made for each query.
    """

    def __init__(
        self,
        archive: Archive,
        catalogue: Catalogue,
        comparer: Comparer | None = None,
        vectors: CoarseVectors | None = None,
        encoded: EncodedItems | None = None,
    ) -> None:
        self.archive = archive
        self.catalogue = catalogue
        self.calibration: Calibration | None = None
        """Set by who has measured it."""
        self.way = ""
        """Which videos are compared and what is known of that, for a person; empty: there is nothing to say."""
        self.is_measuring = False
        """Whether it is being measured: until then nothing is said of what a score is worth."""
        self._head = archive.head.eval()
        self._windows = archive.windows
        self._compare = comparer or EveryItem(self._head, self._windows.features, kept=False)
        self._vectors = vectors
        self._encoded = encoded or EncodedNow(self._head, self._windows.features)
        self._coarse = coarse_of(self._head)
        self._places = {video: place for place, video in enumerate(archive.features.video_ids)}

    @classmethod
    def open(
        cls, archive: Archive, catalogue: Catalogue | None = None, candidates: int | None = None
    ) -> "Searcher":
        """For a few queries: nothing of the gallery is kept.

        Args:
            archive: head, videos and encoder.
            catalogue: what is known of the videos; None: what the store says alone.
            candidates: how many videos are compared, named by the index beside the run or store; None: as many as the
                index of frames says, and where there is none that is current, every video.

        Raises:
            UsageError: candidates are asked for, and there is no index.
            StoreError: candidates are asked for, and the index is damaged, or was made of another head, split or state
                of the store.
        """
        catalogue = catalogue or Catalogue(archive.store, {})
        way = way_of(archive, candidates)
        searcher = cls(archive, catalogue, way.compare, encoded=way.encoded)
        searcher.way = way.said
        return searcher

    def by_text(self, text: str | QueryText, wish: Wish = FIRST_FEW) -> Answer:
        """The best videos, or moments, for a text.

        Raises:
            UsageError: fewer than one is wanted, or more than are compared.
        """
        if isinstance(self._compare, Candidates):
            self._compare.check(wish.offset + wish.top_k)
        query = self.archive.queries.of_text(text) if isinstance(text, str) else text
        return self.by_texts([query], [wish])[0]

    @torch.no_grad()
    def by_texts(self, queries: Sequence[QueryText], wishes: Sequence[Wish]) -> list[Answer]:
        """The same for several texts at once, each with its own wish; what was not compared is not there."""
        for wish in wishes:
            check_top_k(wish.top_k)
        among = [self._items(wish) for wish in wishes]
        asked = AskedTexts.of(self._head, batch_of(queries, self._head.shape.num_words))
        rows = [asked.row(place) for place in range(len(queries))]
        if all(mask is None for mask in among):
            compared = self._compare(asked)
        else:
            compared = [self._compare(row, mask)[0] for row, mask in zip(rows, among, strict=True)]
        encoded = [row.encoded for row in rows]
        return [self._text_answer(*one) for one in zip(queries, encoded, compared, wishes, strict=True)]

    @torch.no_grad()
    def by_look(self, video: VideoFeatures, wish: Wish = FIRST_FEW, *, without: str | None = None) -> Answer:
        """The videos that look most alike: by the cosine of the head's global vectors of videos, or of the means of
        their frames where the head has none.

        Args:
            video: a video, a frame or a picture as the head sees it, alone.
            wish: which part of the answer is wanted.
            without: the id of a video that is left out, because it is the query.

        Raises:
            UsageError: fewer than one is wanted.
        """
        check_top_k(wish.top_k)
        vectors = self._vectors or CoarseVectors(self._coarse, self._encoded)
        scores = vectors.scores(self._coarse.of_videos(video))[0]
        usual = Usual.of(scores, len(scores))
        wish = self._without(wish, without)
        items = self._items(wish)
        chosen = torch.arange(len(scores)) if items is None else items.nonzero().flatten()
        look = l2_normalise(l2_normalise(video.frames[0][video.mask[0]].float()).mean(dim=0))

        def curves(windows: Sequence[int]) -> Mapping[int, Float[Tensor, " frame"]]:
            return {window: (l2_normalise(self._batch(window).frames[0]) @ look).cpu() for window in windows}

        return self._answer(Compared(chosen, scores[chosen], usual), wish, curves, None)

    def video(self, video_id: str) -> VideoFeatures:
        """A video of the gallery as the head sees it, a batch of one.

        Raises:
            KeyError: the gallery has no such video.
        """
        place = self._places[video_id]
        return self.archive.features.video_batch(torch.tensor([place]), self._head.shape.num_frames)

    def frame(self, video_id: str, seconds: float) -> VideoFeatures:
        """The cached frame of a video that is nearest to a time, as a video of one frame.

        Raises:
            KeyError: the gallery has no such video.
        """
        place = torch.tensor([self._places[video_id]])
        stored = self.catalogue.store.frame_seconds(video_id)
        first = torch.tensor([int(abs(torch.as_tensor(stored.copy()) - seconds).argmin())])
        one = self.archive.features.cut(place, first, torch.ones(1, dtype=torch.long))
        return one.video_batch(torch.zeros(1, dtype=torch.long), 1)

    def alignment(self, query: QueryText, video_id: str, near_seconds: float | None = None) -> Alignment:
        """What the head sees in one video for a text: of a long one, in the window that is nearest to a time, or in
        the best one.

        Raises:
            KeyError: the gallery has no such video.
        """
        shape = self._head.shape
        text = query.batch(shape.num_words)
        window = self._window(text, self._places[video_id], near_seconds)
        model = str(self.catalogue.store.manifest.encoder["model"])
        return align_pair(
            self._head,
            (text, self._batch(window)),
            text=query.text,
            words=token_names(model, query.token_ids(shape.num_words)),
            frame_seconds=self._seconds(window),
        )

    @torch.no_grad()
    def scores_of(self, queries: Sequence[QueryText], video_id: str) -> list[float]:
        """What the head says of one video for each text: of a long one, in its best window.

        Raises:
            KeyError: the gallery has no such video.
        """
        video = self._encoded.of(self._windows.of(self._places[video_id]))
        texts = self._head.encode_text(batch_of(queries, self._head.shape.num_words))
        return similarity_in_blocks(self._head, texts, video).amax(dim=1).tolist()

    @torch.no_grad()
    def moments(self, query: QueryText, video_id: str) -> list[tuple[Moment, float]]:
        """The moments of one video for a text, each with the head's score of its frames alone, best first.

        Raises:
            KeyError: the gallery has no such video.
        """
        windows = self._windows.of(self._places[video_id]).tolist()
        found = self._moments(self._head.encode_text(query.batch(self._head.shape.num_words)), query, windows)
        return [(moment, score) for _, moment, score in apart(found)]

    def _without(self, wish: Wish, video: str | None) -> Wish:
        """The same wish, but for one video that cannot be found."""
        if video is None or video not in self._places:
            return wish
        count = self.archive.features.num_videos
        among = torch.ones(count, dtype=torch.bool) if wish.among is None else wish.among.clone()
        among[self._places[video]] = False
        return replace(wish, among=among)

    def _items(self, wish: Wish) -> Bool[Tensor, " window"] | None:
        """Which windows may be found."""
        return None if wish.among is None else wish.among[self._windows.owner]

    def _text_answer(self, query: QueryText, encoded: Encoded, compared: Compared, wish: Wish) -> Answer:
        if wish.by == "moment":
            return self._by_moment(encoded, query, compared, wish)
        asked = encoded, query.batch(self._head.shape.num_words)

        def curves(windows: Sequence[int]) -> Mapping[int, Float[Tensor, " frame"]]:
            found = window_curves(self._encoded, asked, windows)
            return {window: curve for window, _, curve in found}

        return self._answer(compared, wish, curves, query.text)

    def _answer(
        self,
        compared: Compared,
        wish: Wish,
        curves: Callable[[Sequence[int]], Mapping[int, Float[Tensor, " frame"]]],
        text: str | None,
    ) -> Answer:
        """Videos, each by its best window."""
        scores, window = compared.by_owner(self._windows.owner, self.archive.features.num_videos)
        order = best_first(scores)
        wanted = {
            int(window[place]): place for place in order[wish.offset : wish.offset + wish.top_k].tolist()
        }
        of_windows = curves(list(wanted))
        hits = [
            self._found(
                place, float(scores[place]), moment_of(of_windows[own], self._seconds(own)), compared.usual
            )
            for own, place in wanted.items()
        ]
        if self.calibration is not None and text is not None:
            hits = [replace(hit, share_right=self.calibration.share_right(hit.score)) for hit in hits]
        usual = None if text is None else compared.usual
        return self._said(hits, wish, scores[order], usual, self._own(text, scores, order))

    def _said(
        self,
        hits: Sequence[FoundVideo],
        wish: Wish,
        ranked: Float[Tensor, " ranked"],
        usual: Usual | None,
        own: tuple[OwnVideo, ...],
    ) -> Answer:
        searched = self.archive.features.num_videos if wish.among is None else int(wish.among.sum())
        why = None
        if len(ranked) and usual is not None and not self.is_measuring:
            spread = usual if self.archive.run is None else None  # a trained head's is of its own kind
            why = nothing_stands_out(float(ranked[0]), spread, self.calibration)
        return Answer(tuple(hits), searched, len(ranked), why, own)

    def _by_moment(self, encoded: Encoded, query: QueryText, compared: Compared, wish: Wish) -> Answer:
        """Stretches of the best windows, by the head's score of their frames alone."""
        wanted = wish.offset + wish.top_k
        order = compared.scores.argsort(descending=True, stable=True)
        best = compared.items[order[:WINDOWS_FOR_MOMENTS]].tolist()
        found = apart(self._moments(encoded, query, best))
        hits = [
            self._found(place, score, moment, None) for place, moment, score in found[wish.offset : wanted]
        ]
        scores, _ = compared.by_owner(self._windows.owner, self.archive.features.num_videos)
        ranked = best_first(scores)
        own = self._own(query.text, scores, ranked)
        return self._said(hits, wish, scores[ranked], compared.usual, own)

    def _moments(
        self, encoded: Encoded, query: QueryText, windows: Sequence[int]
    ) -> list[tuple[int, Moment, float]]:
        """The moments of some windows, each with its video and the head's score of its frames, best first."""
        text = query.batch(self._head.shape.num_words)
        cut = [
            (int(self._windows.owner[window]), moment, frames[part])
            for window, frames, curve in window_curves(self._encoded, (encoded, text), windows)
            for moment, part in moments_of(curve, self._seconds(window))
        ]
        if not cut:
            return []
        frames = pad_sequence([rows for _, _, rows in cut], batch_first=True)
        mask = pad_sequence([torch.ones(len(rows), dtype=torch.bool) for _, _, rows in cut], batch_first=True)
        spans = self._head.encode_video(VideoFeatures(frames, mask))
        scores = similarity_in_blocks(self._head, encoded, spans)[0].float().cpu().tolist()
        found = [(place, moment, score) for (place, moment, _), score in zip(cut, scores, strict=True)]
        return sorted(found, key=lambda one: -one[2])

    def _found(self, place: int, score: float, moment: Moment, usual: Usual | None) -> FoundVideo:
        video = self.archive.features.video_ids[place]
        return FoundVideo(
            video,
            score,
            moment,
            self.catalogue.captions.get(video, ()),
            self.catalogue.videos.get(video),
            self.catalogue.numbers[video],
            None if usual is None else usual.deviations(score),
        )

    def _own(
        self, text: str | None, scores: Float[Tensor, " video"], order: Int[Tensor, " ranked"]
    ) -> tuple[OwnVideo, ...]:
        own = [self.catalogue[number] for number in self.catalogue.owners.get(text or "", ())]
        ranks = {place: rank for rank, place in enumerate(order.tolist(), start=1)} if own else {}
        places = [self._places.get(one.id, -1) for one in own]
        return tuple(
            OwnVideo(one.id, one.number, ranks.get(place), float(scores[place]) if place in ranks else None)
            for one, place in zip(own, places, strict=True)
        )

    @torch.no_grad()
    def _window(self, text: TextFeatures, place: int, near_seconds: float | None) -> int:
        """Of a video the window whose middle is nearest to a time; without one the best."""
        windows = self._windows.of(place)
        if len(windows) == 1:
            return int(windows[0])
        if near_seconds is not None:
            return self._windows.nearest(windows, near_seconds, self._head.shape.num_frames)
        encoded = self._head.encode_text(text)
        scores = similarity_in_blocks(self._head, encoded, self._encoded.of(windows))[0]
        return int(windows[int(scores.argmax())])

    def _batch(self, window: int) -> VideoFeatures:
        """As many frames as the head sees."""
        return self._windows.features.video_batch(torch.tensor([window]), self._head.shape.num_frames)

    def _seconds(self, window: int) -> list[float]:
        return self._windows.features.frame_seconds(window, self._head.shape.num_frames).tolist()
