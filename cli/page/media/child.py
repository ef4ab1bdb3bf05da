"""The process in which files are opened for the page: looks at one, or writes a proxy of it, and can be killed.

A request is one line of JSON through a socket, together with the file itself, already open: it reads what its parent
looked at, whatever lies under that name by now. It ends when its parent does.
"""

import dataclasses
import json
import os
import signal
import socket
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av.error

from ....data.contracts.errors import DecodeError
from ....data.sources.tar_member import Tar, TarMember
from ....pipeline.decoding.child_main import end_if_orphaned, limit_memory
from .probing import probe_of
from .proxy_writing import write_proxy

_MOST_LINE_BYTES = 1 << 16


def serve_media(channel: int, memory_limit_bytes: int) -> None:
    """Answer what comes through a socket until it ends.

    Args:
        channel: descriptor of the socket.
        memory_limit_bytes: what may be allocated beyond what importing takes.
    """
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    limit_memory(memory_limit_bytes)
    with socket.socket(fileno=channel) as connection:
        connection.sendall(b"{}\n")
        while True:
            line, descriptors, _, _ = socket.recv_fds(connection, _MOST_LINE_BYTES, 1)
            if not line:
                return
            answer = _answer(json.loads(line), descriptors[0])
            connection.sendall(json.dumps(answer).encode() + b"\n")


def _answer(request: Mapping[str, Any], descriptor: int) -> dict[str, Any]:
    end_if_orphaned(request["limit_seconds"])
    try:
        with _named(descriptor, request["folder"], request["suffix"]) as path:
            return _done(request, _video_in(path, request))
    except DecodeError as error:
        return {"failed": str(error)}
    except av.error.FFmpegError as error:
        return {"failed": f"FFmpeg: {error.strerror or error}"}
    except OSError as error:
        return {"failed": f"the copy that browsers play cannot be written ({error.strerror or error})"}
    except MemoryError:
        # What took the memory may keep it; the parent starts another process.
        return {"failed": "takes more memory than its limit", "ends": True}
    finally:
        os.close(descriptor)
        end_if_orphaned(0.0)


def _video_in(path: Path, request: Mapping[str, Any]) -> Path | TarMember:
    """The file itself, or of a tar file the stretch that is asked for."""
    if "stretch" not in request:
        return path
    begin, length = request["stretch"]
    return TarMember(Tar.of(path), f"member{request['suffix']}", begin, length)


def _done(request: Mapping[str, Any], path: Path | TarMember) -> dict[str, Any]:
    if request["target"] is None:
        return dataclasses.asdict(probe_of(path))
    span = request["begin"], request["end"]
    return dataclasses.asdict(write_proxy(path, Path(request["target"]), *span, copy=request["copy"]))


@contextmanager
def _named(descriptor: int, folder: str, suffix: str) -> Generator[Path]:
    """A path of an open file that ends as its name does: of some formats FFmpeg looks at that, too."""
    path = Path(folder, f"{os.getpid()}{suffix}")
    path.symlink_to(f"/dev/fd/{descriptor}")
    try:
        yield path
    finally:
        path.unlink()
