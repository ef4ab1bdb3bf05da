"""What is listed of tar files, and what is said of those that are damaged, cut off or meant to do harm."""

import gzip
import io
import random
import tarfile
from pathlib import Path

import pytest
from tvr.data.contracts.errors import DataError
from tvr.data.sources.tar_listing import TarListing, listed_tar, refuse_compressed_name

from ...fixtures.fuzz import cases
from ...fixtures.tars import member, write_tar

LONG = "x" * 300 + ".mp4"


def listing(path: Path) -> TarListing:
    return listed_tar(path, lambda name: name.endswith(".mp4"))


def content(path: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for each in listing(path).members:
        with each.open() as file:
            found[each.member] = file.read()
    return found


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_format_is_read(tmp_path: Path, kind: int) -> None:
    names = ["./a.mp4", "below/ä.mp4", "below/b.txt", *([LONG] if kind != tarfile.USTAR_FORMAT else [])]
    with tarfile.open(tmp_path / "a.tar", "w", format=kind) as archive:
        folder = tarfile.TarInfo("folder.mp4")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name in names:
            archive.addfile(member(name, len(name)), io.BytesIO(b"x" * len(name)))
    found = content(tmp_path / "a.tar")
    assert found == {name.removeprefix("./"): b"x" * len(name) for name in names if name.endswith(".mp4")}
    assert listing(tmp_path / "a.tar").trouble == ""


def test_a_tar_of_two_thousand_members_is_read_by_its_headers(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", ((f"{number:04d}.mp4", b"x") for number in range(2000)))
    found = listing(path)
    assert [each.member for each in found.members] == [f"{number:04d}.mp4" for number in range(2000)]
    assert found.members[-1].offset + 512 < found.tar.num_bytes


@pytest.mark.parametrize(
    "name", ["/a.mp4", "../a.mp4", "b/../../a.mp4", "b\\..\\a.mp4", "C:\\a.mp4", "b/..a/../x.mp4"]
)
def test_names_that_lead_out_fail(tmp_path: Path, name: str) -> None:
    path = write_tar(tmp_path / "a.tar", {"good.mp4": b"x", name: b"x"})
    with pytest.raises(DataError, match="leads out of the tar"):
        listing(path)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (tarfile.SYMTYPE, "is a link"),
        (tarfile.LNKTYPE, "is a link"),
        (tarfile.FIFOTYPE, "is no plain file"),
        (tarfile.CHRTYPE, "is no plain file"),
        (tarfile.GNUTYPE_SPARSE, "is no plain file"),
    ],
)
def test_what_is_no_plain_file_fails(tmp_path: Path, kind: bytes, said: str) -> None:
    info = member("a.mp4")
    info.type, info.linkname = kind, "/etc/passwd"
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.GNU_FORMAT) as archive:
        archive.addfile(info)
    with pytest.raises(DataError, match=said):
        listing(tmp_path / "a.tar")


def test_links_that_nobody_asked_for_are_passed_over(tmp_path: Path) -> None:
    info = member("latest")
    info.type, info.linkname = tarfile.SYMTYPE, "a.mp4"
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.addfile(info)
        archive.addfile(member("a.mp4", 1), io.BytesIO(b"x"))
    assert content(tmp_path / "a.tar") == {"a.mp4": b"x"}


def test_a_name_twice_fails(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", [("a.mp4", b"x"), ("./a.mp4", b"y")])
    with pytest.raises(DataError, match=r"'a\.mp4' is there twice"):
        listing(path)


@pytest.mark.parametrize("name", ["a.tar.gz", "a.TGZ", "a.tar.zst", "a.tbz2", "a.tar.xz"])
def test_compressed_tars_fail_by_their_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"is compressed .*Unpack it: \w+"):
        refuse_compressed_name(tmp_path / name)


def test_compressed_tars_fail_by_their_content(tmp_path: Path) -> None:
    plain = write_tar(tmp_path / "a.tar", {"a.mp4": b"x"}).read_bytes()
    (tmp_path / "a.tar").write_bytes(gzip.compress(plain))
    with pytest.raises(DataError, match=r"is compressed \(gzip\).*gunzip"):
        listing(tmp_path / "a.tar")


@pytest.mark.parametrize("data", [b"", b"x", b"x" * 2000])
def test_what_is_no_tar_fails(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.tar").write_bytes(data)
    with pytest.raises(DataError, match="is no tar file"):
        listing(tmp_path / "a.tar")


def test_every_place_at_which_a_tar_breaks_off_is_told(tmp_path: Path) -> None:
    whole = write_tar(tmp_path / "a.tar", {f"{name}.mp4": name.encode() * 700 for name in "abc"})
    data, members = whole.read_bytes(), listing(whole).members
    end = members[-1].offset + 1024
    for length in range(members[0].offset, end + 512, 171):
        (tmp_path / "cut.tar").write_bytes(data[:length])
        found = listing(tmp_path / "cut.tar")
        assert found.trouble, length
        assert [each.member for each in found.members] == [
            each.member for each in members if each.offset <= length
        ]
        for each in found.members:
            with each.open() as file:
                assert file.read() == data[each.offset : min(each.offset + 700, length)]
    (tmp_path / "cut.tar").write_bytes(data[: end + 1024])
    assert listing(tmp_path / "cut.tar").trouble == ""


def test_damage_in_the_middle_is_told(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {"a.mp4": b"a", "b.mp4": b"b", "c.mp4": b"c"})
    data = bytearray(path.read_bytes())
    second = listing(path).members[1].offset - 512
    data[second : second + 100] = b"\xff" * 100
    path.write_bytes(data)
    found = listing(path)
    assert [each.member for each in found.members] == ["a.mp4"]
    assert found.trouble
    assert "damaged at byte" in found.trouble or "breaks off" in found.trouble


def test_joined_tars_are_told(tmp_path: Path) -> None:
    one, other = (write_tar(tmp_path / f"{name}.tar", {f"{name}.mp4": b"x"}) for name in "ab")
    one.write_bytes(one.read_bytes() + other.read_bytes())
    found = listing(one)
    assert [each.member for each in found.members] == ["a.mp4"]
    assert "as joined tars have" in found.trouble


def test_a_header_that_would_fill_the_memory_fails(tmp_path: Path) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 1 << 40
    (tmp_path / "a.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT))
    with pytest.raises(DataError, match="is no tar file"):
        listing(tmp_path / "a.tar")


def test_a_header_that_leads_back_ends(tmp_path: Path) -> None:
    records = b"20 size=-1000000000\n"
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, len(records)
    padded = records.ljust(512, b"\0")
    first = member("a.mp4", 1).tobuf(tarfile.USTAR_FORMAT) + b"x".ljust(512, b"\0")
    (tmp_path / "a.tar").write_bytes(
        first
        + info.tobuf()
        + padded
        + member("b.mp4", 1).tobuf(tarfile.USTAR_FORMAT)
        + b"x".ljust(2048, b"\0")
    )
    found = listing(tmp_path / "a.tar")
    assert [each.member for each in found.members] == ["a.mp4"]
    assert found.trouble


def test_mutated_tars_are_listed_or_refused_in_words(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {"a.mp4": b"a" * 600, LONG: b"b", "c.mp4": b"c"})
    whole, generator = path.read_bytes(), random.Random(0)
    listed = refused = 0
    for _ in range(cases(400)):
        data = bytearray(whole)
        for _ in range(generator.randint(1, 6)):
            data[generator.randrange(0, 5000)] = generator.choice(
                [0, 45, 48, 55, 255, generator.randrange(256)]
            )
        path.write_bytes(data)
        try:
            found = listing(path)
        except DataError as error:
            refused += 1
            assert str(path) in str(error)
        else:
            listed += 1
            assert all(
                0 <= each.offset <= each.offset + each.num_bytes <= len(data) for each in found.members
            )
    assert listed > 10
    assert refused > 10
