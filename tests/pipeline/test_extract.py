from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tvr.cli.input import asked_extraction
from tvr.cli.input.asked_extraction import AskedExtraction
from tvr.data.base import Preset, load_dataset
from tvr.data.contracts.errors import StoreError, UsageError
from tvr.pipeline import preprocessing
from tvr.pipeline.decoding.pool import DecoderPool, DecodeTask
from tvr.pipeline.encoders import clip
from tvr.pipeline.encoders.base import Encoder
from tvr.pipeline.estimate import estimate
from tvr.pipeline.extract import extract
from tvr.pipeline.job_array import EVERYTHING, JobShare
from tvr.pipeline.options import ExtractionOptions, sampling_of
from tvr.pipeline.preprocessing import Pixels
from tvr.pipeline.probe.pairs import as_record, probe
from tvr.pipeline.progress import Progress
from tvr.pipeline.request import load_request
from tvr.pipeline.sampling import Sampling
from tvr.pipeline.store.checksummed_json import read_checksummed, write_checksummed
from tvr.pipeline.store.generations.record import load_manifest
from tvr.pipeline.store.reader import FeatureStore
from tvr.pipeline.store.shards import MISSING
from tvr.pipeline.video.sample_clip import write_sample
from tvr.pipeline.workspace import Workspace

from ..fixtures.archive import (
    as_from_before_pixels,
    bytes_of,
    extracted,
    options_for,
    warm_extract,
    write_archive,
)
from ..fixtures.circles import write_circle
from ..fixtures.datasets import dataset

OPTIONS = ExtractionOptions(
    Sampling(num_frames=4), videos_per_shard=2, texts_per_shard=4, frames_per_batch=6, num_children=1
)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return clip.load("tvr-storyboard", None, precision="fp32")


@pytest.fixture
def videos(tmp_path: Path) -> dict[str, Path | None]:
    """Three sound clips, an empty file and a missing one."""
    paths: dict[str, Path | None] = {}
    for name in ("a", "b", "d"):
        write_sample(tmp_path / f"{name}.mp4")
        paths[name] = tmp_path / f"{name}.mp4"
    (tmp_path / "c.mp4").touch()
    return paths | {"c": tmp_path / "c.mp4", "e": None}


def test_extract(videos: dict[str, Path | None], encoder: Encoder, tmp_path: Path) -> None:
    events: list[Progress] = []
    summary = extract(dataset(videos), encoder, OPTIONS, tmp_path / "store", on_progress=events.append)
    assert dict(summary.status) == {"ok": 3, "failed": 1, "missing": 1}
    assert (summary.videos, summary.texts, summary.frames) == (5, 5, 12)
    assert [event.done for event in events if event.stage == "videos"] == [1, 2, 3, 4, 5]
    store = FeatureStore.open(tmp_path / "store")
    statuses = {row.id: row for row in store.statuses()}
    assert statuses["e"].reason == MISSING
    assert statuses["c"].status == "failed"
    assert statuses["c"].reason
    path = videos["a"]
    assert path is not None
    with DecoderPool(1, "pyav") as pool:
        decoded = next(pool.decode([DecodeTask("a", path, OPTIONS.sampling, encoder.identity.preprocessing)]))
    shades = decoded.frames.mean(axis=(1, 2, 3))
    assert np.allclose(
        shades, 20 + 20 * 8 * store.frame_seconds("a"), atol=2
    )  # the sample's shade tells its time
    assert np.allclose(store.frames("a"), encoder.encode_frames(decoded.frames), rtol=2e-3, atol=2e-3)


def test_the_encoder_is_shown_stills_before_the_first_shard_and_once(
    videos: dict[str, Path | None], encoder: Encoder, tmp_path: Path
) -> None:
    folder, events = tmp_path / "store", list[Progress]()
    warm_extract(dataset(videos), encoder, OPTIONS, folder, on_progress=events.append)
    assert [event.stage for event in events].index("probe") < [event.stage for event in events].index(
        "videos"
    )
    expected = as_record(probe(encoder))
    assert [as_record(event.probe) for event in events if event.probe] == [expected]
    assert load_manifest(folder).probe == expected
    (folder / "video-00000-of-00003.h5").unlink()
    events.clear()
    summary = warm_extract(dataset(videos), encoder, OPTIONS, folder, on_progress=events.append)
    assert summary.shards_done == 1
    assert not [event for event in events if event.stage == "probe"]


def test_a_store_from_before_stills_were_shown_is_extended(
    videos: dict[str, Path | None], encoder: Encoder, tmp_path: Path
) -> None:
    folder = tmp_path / "store"
    warm_extract(dataset(videos), encoder, OPTIONS, folder)
    record = read_checksummed(folder / "store.json")
    del record["probe"]
    write_checksummed(folder / "store.json", record)
    assert load_manifest(folder).probe is None
    warm_extract(dataset(videos), encoder, OPTIONS, folder)
    assert load_manifest(folder).probe is None, "nothing was to be done"
    (folder / "video-00000-of-00003.h5").unlink()
    warm_extract(dataset(videos), encoder, OPTIONS, folder)
    assert load_manifest(folder).probe == as_record(probe(encoder))


def test_texts_are_what_the_encoder_gives(
    videos: dict[str, Path | None], encoder: Encoder, tmp_path: Path
) -> None:
    described = dataset(videos, paragraph=True)
    warm_extract(described, encoder, OPTIONS, tmp_path / "store")
    rows = FeatureStore.open(tmp_path / "store").texts(["b"])
    assert rows.texts == ("b: a shape moves. then it stops.",)
    whole = encoder.encode_texts(rows.texts)[0]
    assert np.allclose(rows.words, whole.words, rtol=2e-3, atol=1e-3)
    assert rows.parts is not None
    assert len(rows.parts) == 2
    parts = [
        text.words[text.sentence_row]
        for text in encoder.encode_texts(["b: a shape moves.", "then it stops."])
    ]
    assert np.allclose(rows.parts, np.stack(parts), rtol=2e-3, atol=1e-3)


def test_running_again_does_nothing(videos: dict[str, Path | None], encoder: Encoder, tmp_path: Path) -> None:
    first = warm_extract(dataset(videos), encoder, OPTIONS, tmp_path / "store")
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "store").glob("*.h5")}
    again = warm_extract(dataset(videos), encoder, OPTIONS, tmp_path / "store")
    assert (again.shards_done, again.shards_skipped) == (0, first.shards_done)
    assert again.status == first.status
    assert before == {path.name: path.stat().st_mtime_ns for path in (tmp_path / "store").glob("*.h5")}


def test_a_missing_video_that_appears_is_extracted(
    videos: dict[str, Path | None], encoder: Encoder, tmp_path: Path
) -> None:
    warm_extract(dataset(videos), encoder, OPTIONS, tmp_path / "store")
    write_sample(tmp_path / "e.mp4")
    complete = dataset(videos | {"e": tmp_path / "e.mp4"})
    summary = warm_extract(complete, encoder, OPTIONS, tmp_path / "store")
    assert summary.shards_done == 1
    assert dict(summary.status) == {"ok": 4, "failed": 1}
    warm_extract(complete, encoder, OPTIONS, tmp_path / "fresh")
    assert _shards(tmp_path / "store") == _shards(tmp_path / "fresh")


def test_retry_extracts_failed_videos_again(
    videos: dict[str, Path | None], encoder: Encoder, tmp_path: Path
) -> None:
    warm_extract(dataset(videos), encoder, OPTIONS, tmp_path / "store")
    write_sample(tmp_path / "c.mp4")
    again = ExtractionOptions(**{**_fields(OPTIONS), "retry": "failed"})
    assert warm_extract(dataset(videos), encoder, again, tmp_path / "store").shards_done == 1
    assert {row.id: row.status for row in FeatureStore.open(tmp_path / "store").statuses()}["c"] == "ok"


def test_extract_fails_on_a_store_made_otherwise(
    videos: dict[str, Path | None], encoder: Encoder, tmp_path: Path
) -> None:
    warm_extract(dataset(videos), encoder, OPTIONS, tmp_path / "store")
    before = _shards(tmp_path / "store")
    other = ExtractionOptions(**{**_fields(OPTIONS), "sampling": Sampling(num_frames=3)})
    with pytest.raises(StoreError, match=r"sampling.num_frames: the store has 4, this run would use 3"):
        warm_extract(dataset(videos), encoder, other, tmp_path / "store")
    random_weights = clip.load("tvr-storyboard", "random", precision="fp32")
    with pytest.raises(StoreError, match=r"encoder\.weights_digest"):
        warm_extract(dataset(videos), random_weights, OPTIONS, tmp_path / "store")
    assert _shards(tmp_path / "store") == before


def test_extract_fails_where_it_cannot_write(
    videos: dict[str, Path | None], encoder: Encoder, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"cannot write to"):
        warm_extract(dataset(videos), encoder, OPTIONS, tmp_path / "file" / "store")


def test_a_store_keeps_the_shards_it_was_begun_with(encoder: Encoder, tmp_path: Path) -> None:
    """Also where one more file, or a longer one, would give others now; an option that says others is refused."""
    archive = write_archive(tmp_path / "archive")
    store = extracted(archive, encoder, tmp_path / "store", videos_per_shard=2)
    next(store.glob("video-00001-*.h5")).unlink()
    again = warm_extract(
        load_dataset("folder", archive, {}), encoder, options_for(archive, videos_per_shard=None), store
    )
    assert (again.shards_done, again.shards_skipped) == (1, 4)
    assert load_manifest(store).videos_per_shard == 2
    with pytest.raises(StoreError, match="videos_per_shard: the store has 2, this run would use 3"):
        extracted(archive, encoder, store, videos_per_shard=3)


def test_a_store_goes_on_with_the_frames_that_presets_stored_before(
    videos: dict[str, Path | None], encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody says how many; of other numbers somebody said so, and is to say it again."""
    long = replace(dataset(videos), preset=Preset(num_frames=64))
    unasked = replace(OPTIONS, sampling=sampling_of(long.preset, None, None, None), is_sampling_open=True)
    for frames in (64, 48):
        warm_extract(
            long, encoder, replace(OPTIONS, sampling=Sampling(num_frames=frames)), tmp_path / f"{frames}"
        )
    assert warm_extract(long, encoder, unasked, tmp_path / "64").shards_done == 0
    assert load_manifest(tmp_path / "64").sampling["num_frames"] == 64
    with pytest.raises(StoreError, match=r"sampling.num_frames: the store has 48, this run would use 128"):
        warm_extract(long, encoder, unasked, tmp_path / "48")
    with pytest.raises(StoreError, match=r"sampling.num_frames: the store has 64, this run would use 128"):
        warm_extract(long, encoder, replace(unasked, is_sampling_open=False), tmp_path / "64")
    estimated: list[int] = []
    monkeypatch.setattr(
        asked_extraction,
        "estimate",
        lambda *given: estimated.append(given[2].sampling.num_frames) or estimate(*given),
    )
    for folder in ("64", "a new one"):
        place = Workspace(tmp_path)
        AskedExtraction(long, unasked, None, tmp_path / folder, place, EVERYTHING).estimated(encoder)
    assert estimated == [64, 128], "a dry run is of the frames that would be stored"


def test_pixels_are_square_in_a_new_store(
    videos: dict[str, Path | None], encoder: Encoder, tmp_path: Path
) -> None:
    write_circle(tmp_path / "a.mp4")
    stores: dict[str | None, dict[str, bytes]] = {}
    for pixels in (None, "square", "stored"):
        summary = warm_extract(
            dataset(videos), encoder, replace(OPTIONS, pixels=pixels), tmp_path / f"store {pixels}"
        )
        stores[pixels] = _shards(summary.folder)
        assert summary.pixels == load_manifest(summary.folder).pixels == (pixels or "square")
    assert stores[None] == stores["square"]
    differing = [name for name, data in stores["stored"].items() if stores["square"][name] != data]
    assert differing == ["video-00000-of-00003.h5"], "the others hold pictures of square pixels"


def test_an_older_store_goes_on_with_stored_pixels(encoder: Encoder, tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "archive")
    write_circle(archive / "a.mp4")
    of_old = {"pixels": "stored", "resize": "exact"}
    whole = bytes_of(extracted(archive, encoder, tmp_path / "whole", **of_old))
    store = as_from_before_pixels(extracted(archive, encoder, tmp_path / "store", **of_old))
    (store / "video-00000-of-00003.h5").unlink()
    extracted(archive, encoder, store)
    assert bytes_of(store) == whole
    assert load_manifest(store).pixels == load_request(store)[1].pixels == "stored"
    assert load_manifest(store).resize == load_request(store)[1].resize == "exact"


def test_how_frames_are_resampled_is_part_of_a_store(
    shared: Path, encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("cykooz_resizer", reason="it has no wheel for this machine")
    clips: dict[str, Path | None] = {
        path.stem: path for path in sorted((shared / "data/panda70m_samples/videos").glob("*.mp4"))[:2]
    }
    stores: dict[str | None, dict[str, bytes]] = {}
    for way in (None, "fast", "exact"):
        folder = warm_extract(
            dataset(clips), encoder, replace(OPTIONS, resize=way), tmp_path / f"{way}"
        ).folder
        stores[way] = _shards(folder)
        assert load_manifest(folder).resize == (way or "fast")
    assert stores[None] == stores["fast"] != stores["exact"]
    features = [
        np.concatenate([FeatureStore.open(tmp_path / way).frames(name) for name in clips])
        for way in ("fast", "exact")
    ]
    assert (np.sum(features[0] * features[1], -1) >= 0.9999).all(), "of unit length"
    begun = tmp_path / "exact"
    with pytest.raises(StoreError, match="resize: the store has 'exact', this run would use 'fast'"):
        warm_extract(dataset(clips), encoder, replace(OPTIONS, resize="fast"), begun)
    (shard,) = begun.glob("video-*.h5")
    shard.unlink()
    # Also where the package has gone since, or another machine goes on.
    monkeypatch.setattr(preprocessing, "_FAST_PACKAGE", "a_package_that_is_not_here")
    warm_extract(dataset(clips), encoder, OPTIONS, begun)
    assert _shards(begun) == stores["exact"]


def test_how_frames_are_resampled_is_part_of_a_store_fails(
    videos: dict[str, Path | None], encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the package resampled goes on with it alone."""
    pytest.importorskip("cykooz_resizer", reason="it has no wheel for this machine")
    warm_extract(dataset(videos), encoder, replace(OPTIONS, resize="fast"), tmp_path / "store")
    monkeypatch.setattr(preprocessing, "_FAST_PACKAGE", "a_package_that_is_not_here")
    with pytest.raises(UsageError, match="--resize fast needs the package cykooz-resizer"):
        warm_extract(dataset(videos), encoder, OPTIONS, tmp_path / "store")


@pytest.mark.parametrize(("stored", "wanted"), [("stored", "square"), ("square", "stored")])
def test_extract_fails_with_other_pixels(
    videos: dict[str, Path | None], encoder: Encoder, tmp_path: Path, stored: Pixels, wanted: Pixels
) -> None:
    warm_extract(dataset(videos), encoder, replace(OPTIONS, pixels=stored), tmp_path / "store")
    with pytest.raises(StoreError, match=f"pixels: the store has '{stored}', this run would use '{wanted}'"):
        warm_extract(dataset(videos), encoder, replace(OPTIONS, pixels=wanted), tmp_path / "store")


def test_a_store_goes_on_with_the_decoder_it_was_begun_with(encoder: Encoder, tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "archive")
    whole = bytes_of(store := extracted(archive, encoder, tmp_path / "store", decoder="decord"))
    (store / "video-00000-of-00003.h5").unlink()
    extracted(archive, encoder, store)
    assert load_manifest(store).decoder == load_request(store)[1].decoder == "decord"
    assert bytes_of(store) == whole, "a row names the decoder that served it"
    assert load_manifest(extracted(archive, encoder, tmp_path / "new")).decoder == "pyav"
    with pytest.raises(StoreError, match="decoder: the store has 'decord', this run would use 'pyav'"):
        extracted(archive, encoder, store, decoder="pyav")


def test_jobs_that_start_together_have_the_pixels_of_the_first(
    videos: dict[str, Path | None], encoder: Encoder, tmp_path: Path
) -> None:
    first = replace(OPTIONS, pixels="stored")
    warm_extract(dataset(videos), encoder, first, tmp_path / "store", share=JobShare(0, 2))
    for shard in (tmp_path / "store").glob("*.h5"):
        shard.unlink()
    warm_extract(dataset(videos), encoder, OPTIONS, tmp_path / "store", share=JobShare(1, 2))
    assert load_manifest(tmp_path / "store").pixels == "stored"


def _shards(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.h5"))}


def _fields(options: ExtractionOptions) -> dict[str, object]:
    return {name: getattr(options, name) for name in ExtractionOptions.__dataclass_fields__}
