"""Members of tar files on the page: pictures, players and proxies are of the stretch that the video is."""

import os
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import av
import httpx
import numpy as np
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from tvr.cli.page.guard import Guard
from tvr.cli.page.media.files import MediaError
from tvr.cli.page.media.ranges import FileAnswer
from tvr.cli.page.media.shelf import MediaShelf
from tvr.data.base import Video
from tvr.data.sources.address import Address
from tvr.data.sources.remote_object import RemoteObject
from tvr.data.sources.tar_listing import listed_tar
from tvr.data.sources.tar_member import TarMember
from tvr.pipeline.store.generations.record import load_manifest
from tvr.pipeline.store.reader import FeatureStore

from benchmarks.decoding_truth.pictures import number_of

from ....fixtures.http_server import served
from ....fixtures.mp4 import Movie, write_movie
from ....fixtures.tars import write_tar
from ....fixtures.video_shelf import settled, shelf_of, store_of


@pytest.fixture(scope="module")
def movies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """One that browsers play, one whose container they do not read, and one that they do not play at all."""
    folder = tmp_path_factory.mktemp("movies")
    made = {
        "a.mp4": write_movie(folder / "a.mp4"),
        "b.avi": write_movie(folder / "b.avi", Movie(codec="mpeg4")),
        "c.mp4": write_movie(folder / "c.mp4", Movie(30)),
    }
    return {name: path.read_bytes() for name, path in made.items()}


@pytest.fixture
def members(movies: dict[str, bytes], tmp_path: Path) -> dict[str, TarMember]:
    tar = write_tar(tmp_path / "00000.tar", movies)
    return {member.name: member for member in listed_tar(tar, lambda name: True).members}


@pytest.fixture
def shelf(members: dict[str, TarMember], tmp_path: Path) -> Iterator[MediaShelf]:
    with shelf_of(tmp_path, members) as shelf:
        yield shelf


def shown(picture: bytes) -> int:
    return number_of(np.asarray(Image.open(BytesIO(picture)).convert("RGB")))


def test_pictures_are_of_the_member(shelf: MediaShelf) -> None:
    for name in ("a.mp4", "b.avi", "c.mp4"):
        assert [shown(shelf.frame(name, number / 25, 180)) for number in (0, 7, 23)] == [0, 7, 23]


def test_it_is_sent_by_ranges_of_itself(shelf: MediaShelf, movies: dict[str, bytes]) -> None:
    def media(request: Request) -> Response:
        found = shelf.opened(request.path_params["name"])
        return FileAnswer(request, found.opened, found.type)

    app = Starlette(routes=[Route("/{name}", media)])
    with (
        served(Guard(app)) as port,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        tags: set[str] = set()
        for name in ("a.mp4", "c.mp4"):
            playable = shelf.playable(name)
            assert (playable.state, playable.kind, playable.type) == ("ready", "file", "video/mp4")
            whole, part = client.get(f"/{name}"), client.get(f"/{name}", headers={"range": "bytes=100-299"})
            assert whole.content == movies[name]
            assert (part.status_code, part.content) == (206, movies[name][100:300])
            assert client.get(f"/{name}", headers={"range": "bytes=-50"}).content == movies[name][-50:]
            tags.add(whole.headers["etag"])
        assert len(tags) == 2


def test_a_proxy_is_of_the_member(shelf: MediaShelf) -> None:
    playable = settled(shelf, "b.avi", 0.4, 0.8)
    assert (playable.state, playable.kind) == ("ready", "proxy"), playable.reason
    assert playable.window is not None
    with shelf.opened("b.avi", playable.window.begin, playable.window.end).opened as opened:
        path = opened.path
    with av.open(str(path)) as container:
        numbers = [number_of(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    assert numbers == list(range(60))


def test_a_tar_that_is_replaced_is_not_shown(shelf: MediaShelf, members: dict[str, TarMember]) -> None:
    tar = members["a.mp4"].tar.path
    assert shelf.state("a.mp4").trouble == ""
    os.utime(tar, ns=(0, 0))
    assert (
        "00000.tar was written to or replaced since its members were listed" in shelf.state("a.mp4").trouble
    )
    with pytest.raises(MediaError, match="was written to or replaced"):
        shelf.frame("a.mp4", 0.0, 180)
    tar.unlink()
    assert "its file is not where it was" in shelf.state("a.mp4").trouble


def test_a_member_that_is_another_video_is_not_shown(
    members: dict[str, TarMember], movies: dict[str, bytes], tmp_path: Path
) -> None:
    with shelf_of(tmp_path, members) as shelf:
        assert shelf.state("a.mp4").trouble == ""
    other = write_tar(tmp_path / "other.tar", {**movies, "a.mp4": movies["c.mp4"]})
    videos = {
        name: Video(name, member) for member in listed_tar(other, bool).members if (name := member.name)
    }
    store = FeatureStore(tmp_path / "store", load_manifest(tmp_path / "store"))
    with MediaShelf(store, videos, tmp_path / "cache") as shelf:
        assert "another file than the one whose features are stored" in shelf.state("a.mp4").trouble
        assert shelf.state("b.avi").trouble == ""


def test_what_is_on_a_server_is_said_to_be_there(tmp_path: Path) -> None:
    store = store_of(tmp_path / "store", {"a": Video("a", None)})
    remote = RemoteObject(Address.parsed("https://me:s3cret@host/a.mp4?sig=s3cret"))
    with MediaShelf(store, {"a": Video("a", remote)}, tmp_path / "cache") as shelf:
        said = "a.mp4: is on a server, and the page shows files of this machine alone"
        assert shelf.state("a").trouble == said
        assert (shelf.playable("a").state, shelf.playable("a").reason) == ("missing", said)
        with pytest.raises(MediaError, match="is on a server"):
            shelf.frame("a", 0.0, 180)
