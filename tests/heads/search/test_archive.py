"""A file that is searched with becomes what the store would have made of it."""

from pathlib import Path

import numpy as np
from PIL import Image
from tvr.heads.search.archive import open_archive
from tvr.heads.search.query_features import ONLY, QueryFeatures
from tvr.pipeline.options import resize_of
from tvr.pipeline.preprocessing import resize
from tvr.pipeline.store.reader import FeatureStore

from ...fixtures.archive import as_from_before_pixels, built_in_encoder, extracted, write_archive
from ...fixtures.circles import write_circle


def test_a_file_has_the_pixels_of_the_store(tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "archive")
    file = write_circle(archive / "a.mp4")
    features: dict[str, np.ndarray] = {}
    for pixels, resize_as in (("square", None), ("stored", "exact")):
        options = {"pixels": pixels, "resize": resize_as}
        folder = extracted(archive, built_in_encoder(), tmp_path / pixels, **options)
        if pixels == "stored":
            as_from_before_pixels(folder)
        opened = open_archive(None, folder)
        found = opened.video(file)
        features[pixels] = found.frames[0][found.mask[0]].numpy()
        stored = np.asarray(opened.store.frames("a"), np.float32)
        assert np.allclose(features[pixels], stored, atol=2e-3)
    assert not np.allclose(features["square"], features["stored"], atol=2e-2)


def test_a_picture_is_encoded_as_a_frame_is(tmp_path: Path) -> None:
    encoder = built_in_encoder()
    store = FeatureStore.open(extracted(write_archive(tmp_path / "archive"), encoder, tmp_path / "store"))
    pixels = np.random.default_rng(0).integers(0, 255, (90, 160, 3), np.uint8)
    file = tmp_path / "picture.png"
    Image.fromarray(pixels).save(file)
    way = resize_of(store.manifest.resize)
    wanted = encoder.encode_frames(resize(pixels, encoder.identity.preprocessing, way=way)[None])
    found = QueryFeatures(store, encoder).of_image(file).batch(ONLY, 8).frames[0]
    np.testing.assert_allclose(found.float().numpy(), wanted, rtol=1e-3, atol=1e-3)  # rounded as the store is


def test_a_picture_is_turned_as_its_file_says(tmp_path: Path) -> None:
    encoder = built_in_encoder()
    store = FeatureStore.open(extracted(write_archive(tmp_path / "archive"), encoder, tmp_path / "store"))
    upright = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    upright.save(tmp_path / "upright.png")
    upright.rotate(180).save(tmp_path / "turned.png", exif=exif)
    queries = QueryFeatures(store, encoder)
    one, other = (
        queries.of_image(tmp_path / name).batch(ONLY, 8).frames for name in ("upright.png", "turned.png")
    )
    np.testing.assert_array_equal(one.numpy(), other.numpy())
