"""What an extraction asks of the network, and who may ask it: nothing, and nobody."""

import socket
from pathlib import Path

import psutil
import pytest
from tvr.pipeline.encoders import clip
from tvr.pipeline.extract import extract
from tvr.pipeline.options import ExtractionOptions
from tvr.pipeline.progress import Progress
from tvr.pipeline.sampling import Sampling
from tvr.pipeline.video.sample_clip import write_sample

from ..fixtures.datasets import dataset
from ..fixtures.listening import Door, listening


def test_an_extraction_calls_nobody_and_listens_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[object] = []

    def call(self: socket.socket, address: object) -> None:
        called.append(address)
        raise ConnectionRefusedError

    before, doors = listening(psutil.Process()), set[Door]()
    monkeypatch.setattr(socket.socket, "connect", call)
    write_sample(tmp_path / "a.mp4")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"
        (tmp_path / "b.m3u8").write_text(
            f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{address}\n#EXT-X-ENDLIST\n"
        )
        (tmp_path / "c.mp4").write_text(f"ffconcat version 1.0\nfile {address}\n")
        videos = dataset({name[0]: tmp_path / name for name in ("a.mp4", "b.m3u8", "c.mp4")})
        own = Door(*server.getsockname())

        def look(progress: Progress) -> None:
            if progress.stage == "videos":
                assert psutil.Process().children(), "who decodes is there"
            doors.update(listening(psutil.Process()) - before - {own})

        options = ExtractionOptions(Sampling(num_frames=2), num_children=1)
        encoder = clip.load("tvr-storyboard", None, precision="fp32")
        summary = extract(videos, encoder, options, tmp_path / "store", on_progress=look)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert dict(summary.status) == {"ok": 1, "failed": 2}
    assert called == []
    assert doors == set()
