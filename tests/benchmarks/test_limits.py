"""What the limits of stage one are measured against is the same work."""

from pathlib import Path

import numpy as np
import pytest
from tvr.data.contracts.errors import UsageError
from tvr.pipeline.preprocessing import resize, usual_resize
from tvr.pipeline.video.sample_clip import write_sample

from benchmarks.limits import MOST_OF_PLAIN, PREPROCESSING, by_torch, decoding_rows, hand_over_rows, main


@pytest.mark.parametrize("shape", [(360, 640), (540, 960)])
def test_torch_resamples_the_same_picture(shape: tuple[int, int]) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    apart = np.abs(by_torch(frame).astype(int) - resize(frame, PREPROCESSING))
    assert apart.max() <= 1


def test_a_row_is_beside_its_limit(tmp_path: Path) -> None:
    write_sample(clip := tmp_path / "a.mp4")
    (row,) = decoding_rows([clip], ["pyav"], [12], 1)
    assert row["goal"] == MOST_OF_PLAIN[12]
    assert row["ratio"] > 0
    rows = hand_over_rows([clip], 1)
    assert rows[0]["ratio"] == 1
    assert [row["what"].rpartition(", ")[2] for row in rows] == list(dict.fromkeys((usual_resize(), "exact")))


def test_a_row_is_beside_its_limit_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a clip nothing is measured, and nothing is kept."""
    monkeypatch.setattr("sys.argv", ["limits", "--videos", str(tmp_path)])
    with pytest.raises(UsageError, match=r"hold no \.mp4"):
        main()
