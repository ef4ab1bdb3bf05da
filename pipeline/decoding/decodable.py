"""What is seen before any work is begun: that videos can be had where they are, by the decoder that was chosen."""

from collections.abc import Iterable
from pathlib import Path

from ...data.contracts.errors import UsageError, counted
from ...data.sources.video_file import VideoFile, require_reachable
from ..decoders.base import DEFAULT_DECODER


def require_decodable(files: Iterable[VideoFile | None], decoder: str) -> None:
    """See that videos in tar files and on servers can be read. Of files on disk nothing is asked.

    Args:
        files: of a data set; None where one was not found.
        decoder: that is asked first.

    Raises:
        UsageError: it reads files of their own alone.
        DataError: a package is lacking, or a server does not let us in.
    """
    elsewhere = [file for file in files if file is not None and not isinstance(file, Path)]
    if elsewhere and decoder != DEFAULT_DECODER:
        raise UsageError(
            f"--decoder {decoder} reads files of their own alone; {counted(len(elsewhere), 'video')} of this data set "
            f"lie in tar files or on servers, such as {elsewhere[0]}. Choose --decoder {DEFAULT_DECODER}; a store that "
            f"was begun with {decoder} goes on with it, so choose another folder with --store too"
        )
    require_reachable(elsewhere)
