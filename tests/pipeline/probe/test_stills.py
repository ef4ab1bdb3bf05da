"""Each still shows what its caption says, and no two are alike."""

from collections import Counter
from typing import get_args

import numpy as np
from tvr.data.rendering.world import BACKGROUNDS, COLOURS
from tvr.pipeline.probe.stills import SIDE_PIXELS, StillKind, rendered_stills


def test_there_are_eight_of_each_kind() -> None:
    stills = rendered_stills()
    assert Counter(still.kind for still in stills) == dict.fromkeys(get_args(StillKind), 8)
    assert len({still.picture.tobytes() for still in stills}) == 32
    assert len({still.caption for still in stills}) == 32


def test_a_colour_is_that_of_its_caption() -> None:
    for still in rendered_stills():
        if still.kind == "colours":
            name = still.caption.split()[2]
            assert tuple(still.picture[SIDE_PIXELS // 2, SIDE_PIXELS // 2]) == COLOURS[name]


def test_a_place_is_that_of_its_caption() -> None:
    for still in rendered_stills():
        if still.kind == "places":
            rows, columns = np.nonzero((still.picture != BACKGROUNDS["black"]).any(axis=2))
            x, y = columns.mean() / SIDE_PIXELS, rows.mean() / SIDE_PIXELS
            where = still.caption.split()[-1]
            assert {"left": x < 0.3, "right": x > 0.7, "top": y < 0.3, "bottom": y > 0.7}[where]


def test_as_many_are_shown_as_the_caption_counts() -> None:
    area: dict[str, list[int]] = {}
    for still in rendered_stills():
        if still.kind == "counts":
            shape = still.caption.split()[2].removesuffix("s")
            area.setdefault(shape, []).append(int((still.picture != BACKGROUNDS["black"]).any(axis=2).sum()))
    for areas in area.values():
        assert np.allclose(np.array(areas) / areas[0], [1, 2, 3, 4], rtol=0.02)
