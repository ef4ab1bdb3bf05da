"""Encodings that are kept are those of the head, whatever stopped the keeping, and never another's."""

import errno
import os
from pathlib import Path

import pytest
import torch
from tvr.data.contracts.errors import StoreError
from tvr.data.contracts.plug_ins import load_plug_in, plug_in_names
from tvr.heads import wti
from tvr.heads.base import Head
from tvr.heads.features.feature_set import FeatureSet, Origin
from tvr.heads.features.from_store import CONTENT_DIGEST
from tvr.heads.search.gallery import encodings_folder
from tvr.heads.search.gallery import kept_encodings as module
from tvr.heads.search.gallery.encoded_items import EncodedNow
from tvr.heads.search.gallery.encodings_folder import ITEM, LOCK, NEXT, RECORD
from tvr.heads.search.gallery.item_digests import Growth, digests_of
from tvr.heads.search.gallery.kept_encodings import KeptEncodings, kept_encodings, kept_or_anew
from tvr.pipeline.store.checksummed_json import read_checksummed, write_checksummed
from tvr.pipeline.store.file_locks import FileLock

from ....fixtures.generated import generated_features

VIDEOS = 10


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten videos are three blocks."""
    for one in (module, encodings_folder):
        monkeypatch.setattr(one, "BLOCK", 4)


@pytest.fixture(scope="module")
def features() -> FeatureSet:
    return generated_features(videos=VIDEOS, noise=2.0)


def head_of(features: FeatureSet, seed: int = 0) -> Head:
    torch.manual_seed(seed)
    return wti.Head(wti.Config(layers=1, init="random"), features.shape()).eval()


@pytest.mark.parametrize("name", plug_in_names("tvr.heads"))
def test_every_head_compares_as_with_what_it_encodes_now(
    name: str, features: FeatureSet, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    plug_in = load_plug_in("tvr.heads", name)
    head: Head = plug_in.Head(plug_in.Config(), features.shape()).eval()
    kept = kept_encodings(head, features, tmp_path)
    items = torch.tensor([7, 0, 5])
    with torch.no_grad():
        text = head.encode_text(features.text_batch(torch.arange(4), head.shape.num_words))
        expected = head.similarity(text, EncodedNow(head, features).of(items))
        torch.testing.assert_close(head.similarity(text, kept.of(items)), expected, atol=2e-3, rtol=0)
    # Read again they are the same to the last bit.
    for name_of, rows in KeptEncodings.opened(tmp_path, head, features).of(items).items():
        assert torch.equal(rows, kept.of(items)[name_of])


def gallery(*places: int) -> FeatureSet:
    """Some of the videos in some order, as if of a store of which they are all."""
    whole, some = generated_features(videos=VIDEOS, noise=2.0), torch.tensor(places)
    found = whole.cut(some, torch.zeros_like(some), whole.frames.lengths[some])
    found.origin = Origin("all", store={CONTENT_DIGEST: str(places)})
    return found


def counted(head: Head, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many videos each call of the head encodes from now on."""
    encoded: list[int] = []
    encode = head.encode_video
    monkeypatch.setattr(head, "encode_video", lambda video: encoded.append(len(video.mask)) or encode(video))
    return encoded


def assert_whole(kept: KeptEncodings, folder: Path) -> None:
    """They are what the head makes of each, to half precision, and read so again."""
    items = torch.arange(kept.features.num_videos)
    now, again = (
        EncodedNow(kept.head, kept.features).of(items),
        KeptEncodings.opened(folder, kept.head, kept.features),
    )
    for name, rows in kept.of(items).items():
        own = rows[:, : now[name].shape[1]]  # the rest is of an item that is gone
        torch.testing.assert_close(own, now[name], atol=1e-3, rtol=0)
        assert torch.equal(again.of(items)[name], rows)
    assert len(list(folder.glob("*.array"))) == len(kept.of(items)) + 1
    assert not (folder / NEXT).exists()


def test_of_a_gallery_that_changed_only_what_is_new_is_encoded(
    features: FeatureSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New ones stand between those of before, some of which are gone or stand elsewhere, and one is there twice."""
    head = head_of(features)
    assert kept_encodings(head, gallery(0, 1, 2, 3, 4, 5), tmp_path).growth is None
    encoded = counted(head, monkeypatch)
    grown = kept_encodings(head, gallery(9, 0, 8, 5, 4, 2, 2, 7), tmp_path)
    assert sum(encoded) == 3
    assert grown.growth == Growth(kept=4, new=4, gone=2)
    assert str(grown.growth) == "4 new, 4 as before, 2 gone"
    assert_whole(grown, tmp_path)
    encoded.clear()
    fewer = kept_encodings(head, gallery(8, 0), tmp_path)
    assert encoded == []
    assert fewer.growth == Growth(kept=2, new=0, gone=6)
    assert_whole(fewer, tmp_path)


def test_what_was_stopped_while_a_gallery_grew_goes_on(
    features: FeatureSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head, before, after = head_of(features), gallery(0, 2, 4, 6), gallery(*range(VIDEOS))
    kept_encodings(head, before, tmp_path)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kept_encodings(head, after, tmp_path, stop)
    KeptEncodings.opened(tmp_path, head, before)  # those of before are there until the new ones are
    encoded = counted(head, monkeypatch)
    grown = kept_encodings(head, after, tmp_path)
    assert sum(encoded) == 4, "two of six new ones were written before it stopped"
    assert grown.growth == Growth(kept=4, new=6, gone=0)
    assert_whole(grown, tmp_path)


def test_damaged_ones_of_before_fail_to_be_taken(
    features: FeatureSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = head_of(features)
    kept_encodings(head, gallery(0, 1, 2), tmp_path)
    file = tmp_path / "frames.array"
    file.write_bytes(bytes([file.read_bytes()[0] ^ 1]) + file.read_bytes()[1:])
    encoded = counted(head, monkeypatch)
    assert_whole(kept_encodings(head, gallery(0, 1, 2, 3), tmp_path), tmp_path)
    assert encoded[0] == 4


def test_those_that_do_not_tell_items_apart_are_made_again(features: FeatureSet, tmp_path: Path) -> None:
    """As an earlier version wrote them."""
    head = head_of(features)
    kept_encodings(head, features, tmp_path)
    record = read_checksummed(tmp_path / RECORD)
    del record["arrays"][ITEM]
    (tmp_path / f"{ITEM}.array").unlink()
    write_checksummed(tmp_path / RECORD, record)
    assert_whole(kept_encodings(head, features, tmp_path), tmp_path)


def test_digests_tell_items_apart(features: FeatureSet) -> None:
    videos = features.video_batch(torch.tensor([0, 1, 0]), 6)
    first, second, third = (bytes(row) for row in digests_of(videos))
    assert first == third != second
    videos.mask[2, -1] = ~videos.mask[2, -1]
    assert bytes(digests_of(videos)[2]) != first


def test_what_was_stopped_goes_on(
    features: FeatureSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = head_of(features)

    def stop(done: int, total: int) -> None:
        assert total == VIDEOS
        if done == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kept_encodings(head, features, tmp_path, stop)
    with pytest.raises(StoreError, match="holds 8 of 10 encodings"):
        KeptEncodings.opened(tmp_path, head, features)
    assert isinstance(kept_or_anew(head, features, tmp_path), EncodedNow)
    encoded: list[int] = []
    encode = head.encode_video
    monkeypatch.setattr(head, "encode_video", lambda video: encoded.append(len(video.mask)) or encode(video))
    kept = kept_encodings(head, features, tmp_path)
    assert encoded == [2], "what was written is not encoded again"
    whole = kept_encodings(head, features, tmp_path / "whole")
    for name, rows in whole.of(torch.arange(VIDEOS)).items():
        assert torch.equal(kept.of(torch.arange(VIDEOS))[name], rows)
    encoded.clear()
    kept_encodings(head, features, tmp_path)
    assert encoded == []
    assert isinstance(kept_or_anew(head, features, tmp_path), KeptEncodings)


@pytest.mark.parametrize("damage", ["a byte", "cut", "gone", "record"])
def test_what_was_damaged_fails_and_is_made_again(damage: str, features: FeatureSet, tmp_path: Path) -> None:
    head = head_of(features)
    expected = kept_encodings(head, features, tmp_path).of(torch.arange(VIDEOS))
    file = tmp_path / (RECORD if damage == "record" else "frames.array")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(content[:-9] if damage == "cut" else content)
    with pytest.raises(StoreError, match=r"holds (no|other) encodings"):
        KeptEncodings.opened(tmp_path, head, features)
    again = kept_encodings(head, features, tmp_path).of(torch.arange(VIDEOS))
    assert all(torch.equal(again[name], rows) for name, rows in expected.items())


def test_those_of_another_head_fail_and_are_made_again(features: FeatureSet, tmp_path: Path) -> None:
    kept_encodings(head_of(features), features, tmp_path)
    other = head_of(features, seed=1)
    with pytest.raises(StoreError, match="no encodings of this head"):
        KeptEncodings.opened(tmp_path, other, features)
    kept = kept_encodings(other, features, tmp_path).of(torch.arange(2))
    now = EncodedNow(other, features).of(torch.arange(2))
    torch.testing.assert_close(kept["frames"], now["frames"], atol=1e-3, rtol=0)


def test_a_record_that_names_another_file_fails(features: FeatureSet, tmp_path: Path) -> None:
    head = head_of(features)
    kept_encodings(head, features, tmp_path / "kept")
    (tmp_path / "kept" / "frames.array").rename(tmp_path / "secret.array")
    record = read_checksummed(tmp_path / "kept" / RECORD)
    record["arrays"]["../secret"] = record["arrays"].pop("frames")
    write_checksummed(tmp_path / "kept" / RECORD, record)
    with pytest.raises(StoreError, match="other encodings"):
        KeptEncodings.opened(tmp_path / "kept", head, features)


@pytest.mark.parametrize("link", ["file", "folder"])
def test_a_link_in_a_strangers_run_fails_to_lead_writing_elsewhere(
    link: str, features: FeatureSet, tmp_path: Path
) -> None:
    head, mine, folder = head_of(features), tmp_path / "mine", tmp_path / "encodings"
    kept_encodings(head, features, mine)
    before = {file: file.read_bytes() for file in mine.iterdir()}
    if link == "folder":
        folder.symlink_to(mine)
        with pytest.raises(StoreError, match="is a link"):
            kept_encodings(head_of(features, seed=1), features, folder)
    else:
        folder.mkdir()
        for file in mine.iterdir():
            (folder / file.name).symlink_to(file)
        kept_encodings(head_of(features, seed=1), features, folder)
        assert not any(file.is_symlink() for file in folder.iterdir())
    assert {file: file.read_bytes() for file in before} == before


def test_two_at_once_fail(features: FeatureSet, tmp_path: Path) -> None:
    with FileLock(tmp_path / LOCK) as lock:
        assert lock.acquire()
        with pytest.raises(StoreError, match="another process writes the encodings"):
            kept_encodings(head_of(features), features, tmp_path)


def test_a_full_disk_fails_before_anything_is_mapped(
    features: FeatureSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StoreError, match=r"cannot be kept in .*No space left on device\. Make room"):
        kept_encodings(head_of(features), features, tmp_path)


def test_numbers_too_large_for_half_precision_fail(features: FeatureSet, tmp_path: Path) -> None:
    head = head_of(features)
    encode = head.encode_video
    head.encode_video = lambda video: {"frames": encode(video)["frames"] * 1e6}  # type: ignore[method-assign]
    with pytest.raises(StoreError, match="'frames' of this head is too large"):
        kept_encodings(head, features, tmp_path)
