"""Videos and captions of a manifest, kept in columns while it is read; rows of one file become one video."""

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..annotation_files.reading import kind_of, storable
from ..contracts.errors import DataError, counted, unknown_name
from ..sources.address import Address, is_address
from .rows import captions_in, manifest_rows, needed

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validate": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
"""Names of splits, and which of the three they are."""

PATH_ALONE = (("",) * 5, (None,) * 5)
"""What stands between path and caption in a row that has nothing else: the common case, which must be fast."""

_UNDECODED_BYTE = re.compile("[\udc80-\udcff]")

Span = tuple[float, float | None]
"""Start and end in seconds; None is the end of the file."""


@dataclass
class ManifestVideos:
    """What a manifest says, row by row in columns: a million rows of objects would not fit."""

    manifest: Path
    paths: list[str] = field(default_factory=list)
    """The file of each video as the manifest writes it, or its id where ``named_by_id`` has its number."""
    ids: list[str | None] = field(default_factory=list)
    """The id that a row gives, or None where it is to be made of the path."""
    splits: list[str | None] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    """The line on which each video stands first."""
    spans: dict[int, Span] = field(default_factory=dict)
    """Spans by number of the video, where the manifest gives them."""
    named_by_id: set[int] = field(default_factory=set)
    """Numbers of the videos whose rows have an id but no path."""
    addresses: dict[int, Address] = field(default_factory=dict)
    """By number of the video, where it is on a server; its path is then what of the address is no secret."""
    caption_video: list[int] = field(default_factory=list)
    """For each caption the number of its video."""
    caption_texts: list[str] = field(default_factory=list)
    caption_ids: dict[int, str] = field(default_factory=dict)
    """Ids by number of the caption, where the manifest gives them."""
    _numbers: dict[str | tuple[str, Span], int] = field(default_factory=dict)
    """Number of a video by its file, and its span where it has one."""

    def at(self, line: int) -> str:
        """A line of the manifest, for messages."""
        return f"{self.manifest}: line {line}"

    def add(self, line: int, fields: tuple[Any, ...]) -> None:
        """Take one row, whose fields are those of ``manifest_rows.FIELDS``.

        Raises:
            DataError: a field breaks its rule, or the row contradicts an earlier one of the same video.
        """
        path, caption = fields[0], fields[-1]
        if isinstance(path, str) and path and fields[1:-1] in PATH_ALONE and "://" not in path:
            number = self._numbers.get(path)
            if number is None:
                number = self._new_video(path, path, line)
        else:
            number = self._described_video(line, fields)
        texts = captions_in(caption, self.manifest, line)
        for text in texts:
            if not text.isascii() or "\0" in text:
                storable(text, f"{self.at(line)}: caption")
            self.caption_video.append(number)
            self.caption_texts.append(text)
        if not _is_empty(fields[5]):
            self._name_caption(fields[5], len(texts), line)

    def add_file(self, path: str) -> None:
        """Take a file of which nothing but its path is known."""
        self._new_video(path, path, len(self.paths) + 1)

    def _described_video(self, line: int, fields: tuple[Any, ...]) -> int:
        """Number of the video of a row that says more than a path."""
        path, id, start, end, split = fields[:5]
        name = path if isinstance(path, str) and path else self._name(path, id, line)
        address = self._address(name, line) if path and is_address(name) else None
        # Rows of one object may each be signed for themselves.
        place = address.unsigned if address else name
        timed = not (_is_empty(start) and _is_empty(end))
        key = (place, self._span(start, end, line)) if timed else place
        number = self._numbers.get(key)
        if number is not None:
            self._require_same(number, line, id, split)
            return number
        number = self._new_video(address.public if address else name, key, line)
        if address:
            self.addresses[number] = address
        if not path:
            self.named_by_id.add(number)
        self.ids[number] = None if _is_empty(id) else self._id(id, line)
        self.splits[number] = None if _is_empty(split) else self._split(split, line)
        return number

    def _name(self, path: Any, id: Any, line: int) -> str:
        """The id, by which the file of a row without a path will be looked for."""
        if not _is_empty(path):
            raise DataError(f"{self.at(line)}: a path must be a string, found {kind_of(path)}.")
        if _is_empty(id):
            raise DataError(
                f"{self.at(line)}: the path is empty. Give every row its video, or remove the row."
            )
        return self._id(id, line)

    def _address(self, text: str, line: int) -> Address:
        try:
            return Address.parsed(text)
        except ValueError as error:
            raise DataError(f"{self.at(line)}: path: {error}.") from None

    def _id(self, id: Any, line: int) -> str:
        if isinstance(id, bool) or not isinstance(id, str | int):
            raise DataError(f"{self.at(line)}: an id must be a string, found {kind_of(id)}.")
        return storable(str(id), f"{self.at(line)}: id")

    def _span(self, start: Any, end: Any, line: int) -> Span:
        """Start and end in seconds: 0 where there is no start, None where there is no end."""
        first = self._seconds("start", start, line) or 0.0
        last = self._seconds("end", end, line)
        if last is not None and first >= last:
            raise DataError(
                f"{self.at(line)}: start must be before end, got start = {first!r}, end = {last!r} (seconds). "
                "Correct the row, or leave both empty for the whole file."
            )
        return first, last

    def _seconds(self, name: str, value: Any, line: int) -> float | None:
        if _is_empty(value):
            return None
        try:
            seconds = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            seconds = math.nan
        if not math.isfinite(seconds) or seconds < 0:
            raise DataError(
                f"{self.at(line)}: {name} must be seconds from 0 on, such as 12.5, got {value!r}."
            )
        return seconds

    def _split(self, split: Any, line: int) -> str:
        name = SPLIT_NAMES.get(str(split).strip().lower())
        if name is None:
            raise DataError(f"{self.at(line)}: {unknown_name('split', str(split), ('train', 'val', 'test'))}")
        return name

    def _new_video(self, name: str, key: str | tuple[str, Span], line: int) -> int:
        number = self._numbers[key] = len(self.paths)
        if not name.isascii() or "\0" in name:
            # Half surrogate pairs of these stand for bytes of a name that is not UTF-8.
            storable(_UNDECODED_BYTE.sub("", name), f"{self.at(line)}: path")
        self.paths.append(name)
        self.ids.append(None)
        self.splits.append(None)
        self.lines.append(line)
        if isinstance(key, tuple):
            self.spans[number] = key[1]
        return number

    def _require_same(self, number: int, line: int, id: Any, split: Any) -> None:
        """Hold a further row of a video to what its first row said."""
        first = self.lines[number]
        if not _is_empty(id) and str(id) != self.ids[number]:
            raise DataError(
                f"{self.at(line)}: {self.paths[number]!r} has the id {id!r} here and {self.ids[number]!r} on "
                f"line {first}. One video has one id; call the column caption_id if it names captions."
            )
        if not _is_empty(split) and self._split(split, line) != self.splits[number]:
            raise DataError(
                f"{self.at(line)}: {self.paths[number]!r} is in the split {split!r} here and in "
                f"{self.splits[number]!r} on line {first}. A video may be in one split only."
            )

    def _name_caption(self, caption_id: Any, count: int, line: int) -> None:
        """Give the one caption of a row the id that the row names."""
        if count > 1:
            raise DataError(
                f"{self.at(line)}: one caption_id for {counted(count, 'caption')}. Give each a row of its own."
            )
        if count:
            self.caption_ids[len(self.caption_texts) - 1] = self._id(caption_id, line)


def _is_empty(value: Any) -> bool:
    """Whether a field is absent: an empty cell or a null. The number 0 is not."""
    return value is None or value == ""


def read_manifest(path: Path) -> ManifestVideos:
    """Read a whole manifest.

    Raises:
        DataError: the file or one of its rows breaks its format.
    """
    videos = ManifestVideos(path)
    for line, fields in manifest_rows(path):
        videos.add(line, fields)
    if not videos.paths:
        raise DataError(f"{path}: holds no rows. {needed()}")
    return videos
