"""A damaged store ends as the undamaged one, and a repair never makes it worse."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tvr.data.contracts.errors import StoreError, WeightsError
from tvr.pipeline.encoders.base import Encoder
from tvr.pipeline.repair import repair
from tvr.pipeline.request import Named, root_of
from tvr.pipeline.store.checksummed_json import read_checksummed, write_checksummed
from tvr.pipeline.store.reader import FeatureStore
from tvr.pipeline.store.verification import verify

from ..fixtures.archive import as_from_before_pixels, built_in_encoder, bytes_of, extracted, write_archive
from ..fixtures.circles import write_circle

VIDEO, TEXT = "video-00001-of-00003.h5", "text-00000-of-00002.h5"


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return built_in_encoder()


@pytest.fixture(scope="module")
def sound(encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an archive and its store."""
    folder = tmp_path_factory.mktemp("sound")
    extracted(write_archive(folder / "archive"), encoder, folder / "store")
    return folder


@pytest.fixture
def place(sound: Path, tmp_path: Path) -> Path:
    """A copy of the store; the archive stays where the store was told it is."""
    shutil.copytree(sound / "store", tmp_path / "store")
    return tmp_path


def forget_files(store: Path) -> None:
    """As an earlier version wrote it, which did not keep which files it was made of."""
    for receipt in store.glob("video-*.json"):
        record = read_checksummed(receipt)
        write_checksummed(receipt, {name: value for name, value in record.items() if name != "files"})


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def disagree(path: Path) -> None:
    """Put the receipt of one shard beside another."""
    other = (
        path.name.replace("00001-of", "00000-of")
        if "video" in path.name
        else path.name.replace("00000", "00001", 1)
    )
    shutil.copy(path.with_name(other).with_suffix(".json"), path.with_suffix(".json"))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "flipped": flip,
    "truncated": cut,
    "missing": Path.unlink,
    "emptied": lambda path: path.write_bytes(b""),
    "receipt missing": lambda path: path.with_suffix(".json").unlink(),
    "receipt flipped": lambda path: flip(path.with_suffix(".json")),
    "receipt of another": disagree,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_shards_are_mended_and_others_not_touched(sound: Path, place: Path, damage: str) -> None:
    folder = place / "store"
    whole = [path for path in folder.glob("*.h5") if path.name not in (VIDEO, TEXT)]
    untouched = {path.name: path.stat().st_mtime_ns for path in whole}
    DAMAGES[damage](folder / VIDEO)
    DAMAGES[damage](folder / TEXT)
    found = verify(folder)
    assert [each.file for each in found.damages] == [VIDEO, TEXT]
    mended = repair(found)
    assert mended.mended == found.damages
    assert mended.changed == ()
    assert verify(folder).damages == ()
    assert bytes_of(folder) == bytes_of(sound / "store")
    assert untouched == {name: (folder / name).stat().st_mtime_ns for name in untouched}


def test_everything_at_once_is_mended(sound: Path, place: Path) -> None:
    folder = place / "store"
    for shard in folder.glob("*.h5"):
        flip(shard)
    (folder / TEXT).unlink()
    (folder / "splits.json").write_text("{}")
    assert len(verify(folder).damages) == 6
    repair(verify(folder))
    assert verify(folder).damages == ()
    assert bytes_of(folder) == bytes_of(sound / "store")


def test_a_lost_manifest_is_written_anew(sound: Path, place: Path) -> None:
    folder = place / "store"
    flip(folder / "store.json")
    (folder / VIDEO).unlink()
    assert [each.file for each in verify(folder).damages] == ["store.json"]
    mended = repair(verify(folder))
    assert [each.file for each in mended.mended] == ["store.json", VIDEO]
    assert verify(folder).damages == ()
    for name in ("store.json", "splits.json", VIDEO):
        assert (folder / name).read_bytes() == (sound / "store" / name).read_bytes()


@pytest.mark.parametrize("damaged", [("store.json", VIDEO), (VIDEO,)])
def test_a_store_from_before_pixels_is_mended_as_it_was(
    place: Path, sound: Path, encoder: Encoder, damaged: tuple[str, ...]
) -> None:
    archive = shutil.copytree(sound / "archive", place / "archive")
    write_circle(archive / "d.mp4")
    folder = as_from_before_pixels(
        extracted(archive, encoder, place / "own", pixels="stored", resize="exact")
    )
    before = bytes_of(folder)
    for name in damaged:
        flip(folder / name)
    repair(verify(folder), Named(root=archive))  # nobody here asked for it in the words of that version
    assert bytes_of(folder) == before
    assert bytes_of(extracted(archive, encoder, place / "square")) != before


def test_a_sound_store_is_left_alone(place: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (place / "store").iterdir()}
    assert repair(verify(place / "store")).mended == ()
    assert before == {path: path.stat().st_mtime_ns for path in (place / "store").iterdir()}


def test_a_root_that_has_moved(sound: Path, place: Path) -> None:
    moved = shutil.copytree(sound / "archive", place / "elsewhere" / "archive")
    extracted(moved, built_in_encoder(), place / "own")
    shutil.move(moved, place / "archive")
    flip(place / "own" / VIDEO)
    with pytest.raises(Exception, match="elsewhere"):
        repair(verify(place / "own"))
    repair(verify(place / "own"), Named(root=place / "archive"))
    assert bytes_of(place / "own") == bytes_of(sound / "store")
    flip(place / "own" / VIDEO)
    repair(verify(place / "own"))  # the new root is remembered


def test_what_changed_since_is_said(place: Path, sound: Path, encoder: Encoder) -> None:
    archive = shutil.copytree(sound / "archive", place / "archive")
    folder = extracted(archive, encoder, place / "own")
    (archive / "d.mp4").write_bytes((archive / "d.mp4").read_bytes()[:700])
    flip(folder / VIDEO)
    forget_files(folder)
    mended = repair(verify(folder))
    assert mended.changed == (VIDEO,)
    assert verify(folder).damages == ()


def test_repair_fails_where_files_are_other_ones(place: Path, sound: Path, encoder: Encoder) -> None:
    archive = shutil.copytree(sound / "archive", place / "archive")
    folder = extracted(archive, encoder, place / "own")
    other = shutil.copytree(archive, place / "other" / "archive")
    (other / "d.mp4").write_bytes((archive / "d.mp4").read_bytes()[:700])
    flip(folder / VIDEO)
    before = bytes_of(folder)
    with pytest.raises(
        StoreError,
        match=r"1 video of damaged shards changed since the extraction: .*'d': .* bytes then, 700 now",
    ):
        repair(verify(folder), Named(root=other))
    assert bytes_of(folder) == before
    repair(verify(folder))
    assert bytes_of(folder) == bytes_of(sound / "store")


def test_repair_fails_at_a_receipt_that_names_no_file(place: Path) -> None:
    folder = place / "store"
    receipt = (folder / VIDEO).with_suffix(".json")
    write_checksummed(receipt, read_checksummed(receipt) | {"files": {"d": "the one with the cat"}})
    flip(folder / VIDEO)
    with pytest.raises(StoreError, match="does not say which files it was made of: 'the one with the cat'"):
        repair(verify(folder))


def test_a_repair_from_elsewhere_does_not_vouch_for_what_it_left(
    place: Path, sound: Path, encoder: Encoder
) -> None:
    folder = extracted(shutil.copytree(sound / "archive", place / "archive"), encoder, place / "own")
    other = shutil.copytree(sound / "archive", place / "other" / "archive")
    (other / "a.mp4").write_bytes((other / "b.mp4").read_bytes()[:-1] + b"x")
    flip(folder / VIDEO)
    repair(verify(folder), Named(root=other))
    assert root_of(folder) == place / "archive"


def test_repair_fails_where_videos_would_be_lost(sound: Path, place: Path, encoder: Encoder) -> None:
    archive = shutil.copytree(sound / "archive", place / "archive")
    folder = extracted(archive, encoder, place / "own")
    flip(folder / VIDEO)
    before = bytes_of(folder)
    (archive / "d.mp4").unlink()
    with pytest.raises(StoreError, match=r"1 video of damaged shards, .* 'd'.* --root"):
        repair(verify(folder))
    assert bytes_of(folder) == before
    (folder / VIDEO).with_suffix(
        ".json"
    ).unlink()  # now nothing tells which videos were missing from the start
    with pytest.raises(StoreError, match=r"1 video of damaged shards"):
        repair(verify(folder))
    assert bytes_of(folder) == before


def test_an_archive_that_has_changed_is_mended_as_it_is_now(
    sound: Path, place: Path, encoder: Encoder
) -> None:
    archive = shutil.copytree(sound / "archive", place / "archive")
    folder = extracted(archive, encoder, place / "own")
    (archive / "captions.csv").write_text((archive / "captions.csv").read_text().replace("grey", "gray"))
    flip(folder / VIDEO)
    repair(verify(folder))
    assert verify(folder).damages == ()
    mended, fresh = (
        FeatureStore.open(each) for each in (folder, extracted(archive, encoder, place / "fresh"))
    )
    assert mended.videos().frames.tobytes() == fresh.videos().frames.tobytes()
    assert mended.texts().texts == fresh.texts().texts


def test_repair_fails_without_a_request(place: Path) -> None:
    flip(place / "store" / VIDEO)
    flip(place / "store" / "request.json")
    assert [each.file for each in verify(place / "store").damages] == ["request.json", VIDEO]
    for _ in range(2):
        with pytest.raises(StoreError, match=r"request\.json .*Delete the damaged shards and run"):
            repair(verify(place / "store"))
        (place / "store" / "request.json").unlink(missing_ok=True)


def test_repair_fails_without_the_weights(place: Path) -> None:
    flip(place / "store" / VIDEO)
    with pytest.raises(WeightsError, match="no such file"):
        repair(verify(place / "store"), Named(pretrained="nowhere/weights.safetensors"))


def test_paths_are_in_no_shard(sound: Path, place: Path, encoder: Encoder) -> None:
    elsewhere = shutil.copytree(sound / "archive", place / "an" / "archive")
    assert bytes_of(extracted(elsewhere, encoder, place / "own")) == bytes_of(sound / "store")
    assert json.loads((place / "own" / "request.json").read_text())["request"]["root"] == str(elsewhere)


def test_a_video_that_was_missing_from_the_start_may_be_missing(sound: Path, place: Path) -> None:
    last = place / "store" / "video-00002-of-00003.h5"
    assert json.loads(last.with_suffix(".json").read_text())["missing"] == ["e"]
    flip(last)
    flip(last.with_suffix(".json"))
    repair(verify(place / "store"))
    assert bytes_of(place / "store") == bytes_of(sound / "store")
