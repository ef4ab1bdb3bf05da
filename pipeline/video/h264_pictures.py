"""What the packets of an H.264 stream say of their pictures without being decoded.

Four things matter: a packet may hold one *field* of a frame only (two such packets are one frame), a key frame may be
one behind whose time later packets still refer to what lies before it (an open group of pictures), a picture may
follow one that was lost on the way, for which FFmpeg takes another without marking anything, and a picture may be one
to which no other refers, so that nobody who does not want it needs to decode it.
ITU-T H.264, sections 7.3.2.1.1 (sequence parameter set), 7.3.2.2 (picture parameter set), 7.3.3 (slice header) and
7.4.3 (frame_num).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from .nal_units import NalFormat

_SLICE, _IDR, _MESSAGE, _SEQUENCE, _PICTURE, _DELIMITER, _FILLER = 1, 5, 6, 7, 8, 9, 12
_DISPLAY_ORIENTATION = 47
"""The kind of message (supplemental enhancement information, annex D) that says how pictures are turned."""
_KIND_OF_B = 1
_REFERENCE = 0x60
"""The bits of a unit's header that are 0 in a picture to which no other refers."""
_HIGH_PROFILES = frozenset({44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244})
_HEADER_BYTES = 24
"""More than the part of a slice header that is read takes."""


@dataclass(frozen=True, slots=True)
class PacketPictures:
    """What one packet holds."""

    is_field: bool = False
    """One field of a frame, or that cannot be told."""
    is_idr: bool = False
    """A picture that nothing after it refers behind (instantaneous decoding refresh)."""
    follows_loss: bool = False
    """Frame numbers show that a picture which others refer to is missing before this one."""
    is_turned: bool = False
    """The stream itself says how pictures are turned, whatever the container says."""
    has_b: bool = False
    """It is predicted from both sides, so that it is shown before one that is decoded before it."""
    is_empty: bool = False
    """There is no picture in it."""
    is_unreferenced: bool = False
    """It says that no other picture refers to it, and holds nothing else that a later packet could need."""
    frame_number: int | None = None
    """Counts the pictures that others refer to; None where that cannot be told, or the stream may leave some out."""

    def is_confirmed_by(self, following: "PacketPictures") -> bool:
        """Whether the packet behind an unreferenced one agrees that nothing refers to it.

        A picture that others refer to and whose header damage has changed would have been counted: the next one then
        has another frame number (7.4.3). Behind an IDR picture nothing refers to what was before.
        """
        return following.is_idr or (
            self.frame_number is not None and following.frame_number == self.frame_number
        )


FRAME = PacketPictures()
"""One frame, of which nothing more is known."""


@dataclass(frozen=True, slots=True)
class _Sequence:
    """What a slice header's form depends on."""

    frame_number_bits: int
    may_have_gaps: bool
    has_fields: bool
    has_colour_planes: bool


@dataclass(frozen=True, slots=True)
class _Slice:
    """The beginning of a slice; by default that of one which cannot be read."""

    first_macroblock: int = 0
    is_b: bool = False
    is_field: bool = True
    frame_number: int | None = None
    """Counts the pictures that others refer to; None where that cannot be told, or the stream may leave some out."""
    num_frame_numbers: int = 1
    """Behind the last one 0 comes again."""


class H264Pictures:
    """Reads packet after packet; the parameter sets met on the way are kept.

    Args:
        units: how packets hold their units.
        extradata: of the stream; may hold parameter sets.
    """

    def __init__(self, units: NalFormat, extradata: bytes | None) -> None:
        self._units = units
        self._sequences: dict[int, _Sequence] = {}
        self._sequence_of_picture: dict[int, int] = {}
        self._last_frame_number: int | None = None
        for unit in _parameter_sets(extradata or b""):
            self._keep(unit)

    def of(self, packet: bytes) -> PacketPictures:
        """What this packet holds."""
        fields: list[bool] = []
        is_idr = follows_loss = is_turned = has_b = False
        frame_number = None
        units = self._units.units(packet)
        for unit in units:
            kind = unit[0] & 0x1F if unit else 0
            if kind in (_SEQUENCE, _PICTURE):
                self._keep(unit)
            elif kind == _MESSAGE:
                is_turned = is_turned or _DISPLAY_ORIENTATION in _kinds_of_messages(unit[1:])
            elif kind in (_SLICE, _IDR):
                is_idr = is_idr or kind == _IDR
                begun = self._slice(unit)
                has_b = has_b or begun.is_b
                if begun.first_macroblock == 0:
                    fields.append(begun.is_field)
                    frame_number = begun.frame_number
                    follows_loss = self._follows_loss(unit, begun) or follows_loss
        # Two fields in one packet are a frame, as one packet should be.
        return PacketPictures(
            is_field=len(fields) == 1 and fields[0],
            is_idr=is_idr,
            follows_loss=follows_loss,
            is_turned=is_turned,
            has_b=has_b,
            is_empty=not fields,
            is_unreferenced=len(fields) == 1 and not is_turned and all(map(_needs_nobody, units)),
            frame_number=frame_number,
        )

    def _follows_loss(self, unit: bytes, begun: _Slice) -> bool:
        """Whether the frame number of a new picture leaves one out."""
        before, number = self._last_frame_number, begun.frame_number
        if unit[0] & _REFERENCE:
            self._last_frame_number = number
        if unit[0] & 0x1F == _IDR or before is None or number is None:
            return False
        # A picture may order that counting starts anew behind it: 0 and 1 prove nothing.
        return number > 1 and number not in (before, (before + 1) % begun.num_frame_numbers)

    def _keep(self, unit: bytes) -> None:
        bits = _Bits(unit[1:])
        try:
            if unit[0] & 0x1F == _SEQUENCE:
                number, sequence = _sequence(bits)
                self._sequences[number] = sequence
            else:
                self._sequence_of_picture[bits.exp_golomb()] = bits.exp_golomb()
        except IndexError:
            # Cut off: its slices will be taken for fields, which costs time and no frame.
            return

    def _slice(self, unit: bytes) -> _Slice:
        bits = _Bits(unit[1:_HEADER_BYTES])
        try:
            first_macroblock, kind, picture = bits.exp_golomb(), bits.exp_golomb(), bits.exp_golomb()
            sequence = self._sequences[self._sequence_of_picture[picture]]
            bits.take(2 * sequence.has_colour_planes)
            number = bits.take(sequence.frame_number_bits)
            return _Slice(
                first_macroblock,
                kind % 5 == _KIND_OF_B,
                sequence.has_fields and bool(bits.take(1)),
                None if sequence.may_have_gaps else number,
                1 << sequence.frame_number_bits,
            )
        except (IndexError, KeyError):
            return _Slice()


def _needs_nobody(unit: bytes) -> bool:
    """Whether no later packet needs this unit, as it may parameter sets and slices of a picture that is referred to."""
    kind = unit[0] & 0x1F if unit else None
    return kind in (_MESSAGE, _DELIMITER, _FILLER) or (kind == _SLICE and not unit[0] & _REFERENCE)


def _kinds_of_messages(unit: bytes) -> Iterator[int]:
    """The payload types in a unit of messages (section 7.3.2.3.1)."""
    place = 0
    while place + 2 <= len(unit):
        kind, place = _long_number(unit, place)
        size, place = _long_number(unit, place)
        yield kind
        place += size


def _long_number(unit: bytes, place: int) -> tuple[int, int]:
    """A number whose bytes are added up as long as they are 255, and the place behind it."""
    number = 0
    while place < len(unit) and unit[place] == 0xFF:
        number, place = number + 0xFF, place + 1
    return number + (unit[place] if place < len(unit) else 0), place + 1


def _parameter_sets(extradata: bytes) -> list[bytes]:
    """Those in the header of a stream: as MP4 and Matroska keep them (ISO/IEC 14496-15, 5.3.3.1), or as annex B."""
    if extradata[:1] != b"\1":
        return [
            unit for unit in NalFormat(0, False).units(extradata) if unit[:1] and unit[0] & 0x1F in (7, 8)
        ]
    found: list[bytes] = []
    place = 5
    for mask in (0x1F, 0xFF):
        count = extradata[place] & mask if place < len(extradata) else 0
        place += 1
        for _ in range(count):
            size = int.from_bytes(extradata[place : place + 2], "big")
            found.append(extradata[place + 2 : place + 2 + size])
            place += 2 + size
    return [unit for unit in found if unit]


def _sequence(bits: "_Bits") -> tuple[int, _Sequence]:
    profile = bits.take(8)
    bits.take(16)  # constraints, level
    number = bits.exp_golomb()
    has_colour_planes = _skipped_chroma(bits) if profile in _HIGH_PROFILES else False
    frame_number_bits = bits.exp_golomb() + 4
    _skip_picture_order(bits)
    bits.exp_golomb()  # reference frames
    may_have_gaps = bool(bits.take(1))
    bits.exp_golomb()  # width
    bits.exp_golomb()  # height
    return number, _Sequence(frame_number_bits, may_have_gaps, not bits.take(1), has_colour_planes)


def _skipped_chroma(bits: "_Bits") -> bool:
    """Whether the three colour planes are coded apart; all of the high profiles' own part is read."""
    chroma = bits.exp_golomb()
    is_apart = chroma == 3 and bool(bits.take(1))
    bits.exp_golomb()  # depth of luma
    bits.exp_golomb()  # depth of chroma
    bits.take(1)  # lossless
    if bits.take(1):
        for each in range(12 if chroma == 3 else 8):
            if bits.take(1):
                _skip_scaling_list(bits, 16 if each < 6 else 64)
    return is_apart


def _skip_scaling_list(bits: "_Bits", size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.signed_exp_golomb()) % 256
        last = following or last


def _skip_picture_order(bits: "_Bits") -> None:
    kind = bits.exp_golomb()
    if kind == 0:
        bits.exp_golomb()
    elif kind == 1:
        bits.take(1)
        bits.signed_exp_golomb()
        bits.signed_exp_golomb()
        for _ in range(bits.exp_golomb()):
            bits.signed_exp_golomb()


class _Bits:
    """Reads bits of a unit, without the bytes that only prevent start codes. IndexError behind its end."""

    def __init__(self, data: bytes) -> None:
        plain = data.replace(b"\0\0\3", b"\0\0")
        self._bits = int.from_bytes(plain, "big")
        self._left = 8 * len(plain)

    def take(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise IndexError("the unit ends here")
        return self._bits >> self._left & ((1 << count) - 1)

    def exp_golomb(self) -> int:
        zeros = 0
        while not self.take(1):
            zeros += 1
        return (1 << zeros) - 1 + self.take(zeros)

    def signed_exp_golomb(self) -> int:
        value = self.exp_golomb()
        return (value + 1) // 2 if value % 2 else -(value // 2)
