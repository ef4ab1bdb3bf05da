"""A file that is searched with becomes what the store would have made of it."""

from pathlib import Path

import numpy as np
from tvr.heads.search.archive import open_archive

from ...fixtures.archive import as_from_before_pixels, built_in_encoder, extracted, write_archive
from ...fixtures.circles import write_circle


def test_a_file_has_the_pixels_of_the_store(tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "archive")
    file = write_circle(archive / "a.mp4")
    features: dict[str, np.ndarray] = {}
    for pixels in ("square", "stored"):
        folder = extracted(archive, built_in_encoder(), tmp_path / pixels, pixels=pixels)
        if pixels == "stored":
            as_from_before_pixels(folder)
        opened = open_archive(None, folder)
        found = opened.video(file)
        features[pixels] = found.frames[0][found.mask[0]].numpy()
        stored = np.asarray(opened.store.frames("a"), np.float32)
        assert np.allclose(features[pixels], stored, atol=2e-3)
    assert not np.allclose(features["square"], features["stored"], atol=2e-2)
