"""Long videos are compared in windows of their cached frames, short ones as they always were."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from tvr.heads.features.feature_set import FeatureSet, Origin
from tvr.heads.search.gallery.windows import windows_of
from tvr.pipeline.store.rows import VideoRows

from ....fixtures.generated import no_texts

SEEN = 4


def features_of(*lengths: int) -> FeatureSet:
    """Videos of so many frames, a second apart; row i of all holds the number i."""
    count = sum(lengths)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    videos = VideoRows(
        tuple(f"v{place}" for place in range(len(lengths))),
        np.arange(count, dtype=np.float32)[:, None].repeat(2, 1),
        offsets,
        np.concatenate([np.arange(length, dtype=np.float32) for length in lengths]),
    )
    return FeatureSet(videos, no_texts(2), Origin())


def test_short_videos_are_seen_as_they_are() -> None:
    features = features_of(1, SEEN, 2 * SEEN)
    windows = windows_of(features, SEEN)
    assert windows.features is features
    assert windows.owner.tolist() == [0, 1, 2]
    assert windows.num_long == 0


@pytest.mark.parametrize("length", [2 * SEEN + 1, 3 * SEEN, 100, 101])
def test_windows_of_a_long_video_hold_every_frame(length: int) -> None:
    windows = windows_of(features_of(3, length, 2), SEEN)
    assert windows.num_long == 1
    own = (windows.owner == 1).nonzero().flatten().tolist()
    assert windows.owner.tolist() == [0, *[1] * len(own), 2]
    seen = [windows.features.frame_seconds(window, SEEN).tolist() for window in own]
    assert all(np.diff(seconds).tolist() == [1.0] * (SEEN - 1) for seconds in seen), "consecutive frames"
    assert {second for seconds in seen for second in seconds} == set(map(float, range(length)))
    # Each shares half of its frames with the next, the last one as many as are left.
    assert all(len(set(one) & set(other)) >= SEEN // 2 for one, other in pairwise(seen))
    batch = windows.features.video_batch(torch.tensor(own), SEEN)
    assert batch.frames[:, :, 0].tolist() == [[3 + second for second in seconds] for seconds in seen]


def test_a_head_of_one_frame_sees_each() -> None:
    windows = windows_of(features_of(5), 1)
    assert [windows.features.frame_seconds(window, 1).tolist() for window in range(5)] == [
        [float(second)] for second in range(5)
    ]


def test_the_window_nearest_to_a_time_has_it_in_its_middle() -> None:
    windows = windows_of(features_of(3, 40), SEEN)
    for seconds in (0.0, 7.4, 20.0, 39.0):
        found = windows.nearest(windows.of(1), seconds, SEEN)
        times = windows.features.frame_seconds(found, SEEN)
        assert windows.owner[found] == 1
        assert float(times[0]) - 0.5 <= seconds <= float(times[-1]) + 0.5
