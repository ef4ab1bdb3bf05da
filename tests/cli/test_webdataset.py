"""Videos in tar files and on servers, as typed; and no secret of an address in anything that is said or written."""

import json
from pathlib import Path

import pytest

from ..fixtures.elsewhere import write_clips, write_manifest, write_shards
from ..fixtures.file_server import file_server
from ..fixtures.shell import tvr

LINE = "--model tvr-storyboard --device cpu --precision fp32 --num-frames 4 --decoding-processes 1"
WAY = tuple(LINE.split())
SIGNED = "X-Amz-Signature=s3cret&token=s3cret"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips, the tar files that hold them and the store of these."""
    place = tmp_path_factory.mktemp("place")
    write_shards(place / "shards", write_clips(place / "clips"))
    answer = tvr(
        "extract", "--dataset", "webdataset", "--root", "shards", "--store", "store", *WAY, cwd=place
    )
    assert answer.code == 0, answer.err
    assert "5 videos (1 failed, 3 ok, 1 partial)" in answer.out
    return place


def test_what_a_tar_set_needs_and_what_is_there(place: Path) -> None:
    told = tvr("datasets", "webdataset", cwd=place)
    assert "file       *.tar: samples of files that share a name" in told.out
    assert "setting    --data ids=key (key or tar)" in told.out
    found = tvr("datasets", "webdataset", "--root", "shards", cwd=place)
    assert found.code == 0, found.err
    assert "found    shards/00000.tar" in found.out
    assert "captions 5 (single)" in found.out


def test_a_folder_without_tars_fails(place: Path) -> None:
    found = tvr("datasets", "webdataset", "--root", "clips", cwd=place)
    assert found.code == 3
    assert "absent" not in found.err
    assert "missing  *.tar: " in found.out
    assert "webdataset needs tar files (*.tar), and none lies in it or below" in " ".join(found.err.split())


def test_the_store_of_tar_files_is_looked_at_verified_and_searched(place: Path) -> None:
    looked = tvr("inspect", "--store", "store", "--changed", cwd=place)
    assert "4 are those that the store was made of, 0 are other ones" in looked.out
    assert tvr("verify", "--store", "store", cwd=place).code == 0
    line = ("search", "grey stripes", "--store", "store", "--zero-shot", "--html", "page.html")
    found = tvr(*line, cwd=place)
    assert found.code == 0, found.err
    assert "shards/00000.tar/a.mp4" in found.out
    page = (place / "page.html").read_text()
    assert page.count("data:image/png;base64,") == 4
    assert "no picture" not in page
    hits = json.loads(tvr(*line[:-2], "--json", cwd=place).out)["hits"]
    assert str(place / "shards" / "00001.tar" / "c.ts") in [hit["path"] for hit in hits]


def test_no_secret_of_an_address_is_said_or_written(place: Path) -> None:
    clips = {path.name: path.read_bytes() for path in (place / "clips").glob("*.*") if path.suffix != ".csv"}
    del clips["b.mkv"]  # which is in the manifest still, and fails
    with file_server(files={f"/{name}": content for name, content in clips.items()}, query=SIGNED) as server:
        addresses = {name[0]: server.url(f"/{name}", SIGNED) for name in (*clips, "b.mkv")}
        write_manifest(place / "signed.csv", addresses)
        line = ("extract", "--dataset", "folder", "--root", "signed.csv", "--store", "signed", *WAY)
        refused = tvr(*line, "-v", cwd=place)
        assert refused.code == 3
        assert "--data allow_outside=true" in " ".join(refused.err.split())
        line = (*line, "--data", "allow_outside=true", "-v", "--log-file", "log")
        said = [refused, tvr(*line, cwd=place), tvr("inspect", "--store", "signed", "--failed", cwd=place)]
        assert said[1].code == 0, said[1].err
        assert "there is no such object (HTTP 404)" in said[2].out
        said.append(
            tvr("search", "grey", "--store", "signed", "--zero-shot", "--html", "signed.html", cwd=place)
        )
        assert f"http://127.0.0.1:{server.port}/a.mp4" in said[-1].out
        assert (place / "signed.html").read_text().count("data:image/png;base64,") == 3
        server.query = "another"
        said.append(tvr(*line, "--retry", "failed", cwd=place))
        assert said[-1].code == 3
        assert "access is denied" in said[-1].err
    said.append(tvr(*line, cwd=place))
    assert said[-1].code == 3
    assert "the server cannot be reached" in said[-1].err
    for answer in said:
        assert "s3cret" not in answer.out + answer.err
    written = [path for path in place.rglob("*") if path.is_file() and path.name != "signed.csv"]
    assert len(written) > 10
    assert not [path for path in written if b"s3cret" in path.read_bytes()]
