"""Where a video is: a file, a member of a tar file, or an object of a server."""

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from ..contracts.byte_source import ByteSource
from ..contracts.errors import DataError, counted
from .fetching import why_not_installed
from .network_errors import UnreachableError, how_to_get_in
from .remote_object import RemoteObject
from .tar_member import TarMember

VideoFile = Path | TarMember | RemoteObject

_MOST_PLACES, _OBJECTS_ASKED = 8, 3


def file_on_disk(file: VideoFile) -> Path | None:
    """The file of this machine that it is, or lies in; None: it is on a server."""
    if isinstance(file, TarMember):
        return file.tar.path
    return None if isinstance(file, RemoteObject) else file


def containing_folder(file: VideoFile) -> PurePosixPath:
    """The folder that it lies in, to be compared with those of others; a tar file is one, and so is a server."""
    return file.parent if isinstance(file, ByteSource) else PurePosixPath(file.absolute().parent.as_posix())


def require_reachable(files: Iterable[VideoFile | None]) -> None:
    """See that servers can be asked before hours of work end in as many failed videos; asks nobody of files on disk.

    Of each server or bucket a few objects are asked for, unless there are many servers, as of addresses from a crawl.

    Raises:
        DataError: a package is lacking, or a server or bucket does not let us in.
    """
    by_place: dict[str, list[RemoteObject]] = {}
    for file in files:
        if isinstance(file, RemoteObject):
            by_place.setdefault(file.address.place, []).append(file)
    for objects in by_place.values():
        if why := why_not_installed(objects[0].address.scheme):
            raise DataError(f"{counted(len(objects), 'video')} cannot be read: {why}")
    if len(by_place) > _MOST_PLACES:
        return
    for place, objects in by_place.items():
        if why := _why_unreachable(objects[:: max(1, len(objects) // _OBJECTS_ASKED)][:_OBJECTS_ASKED]):
            raise DataError(f"{place} cannot be read: {why}. {how_to_get_in(objects[0].address.scheme)}")


def _why_unreachable(objects: Sequence[RemoteObject]) -> str:
    """Why none of these can be had for a reason that is not its own; empty: some can, or each has one."""
    why = ""
    for remote in objects:
        try:
            remote.look()
        except UnreachableError as error:
            why = str(error)
        except OSError:
            return ""  # why this one cannot be read is for decoding to say
        else:
            return ""
    return why
