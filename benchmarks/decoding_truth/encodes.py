"""What a random file is made of: an ``Encode`` says all of it, and a seed draws one."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from typing import Any, Literal, TypeVar

import numpy as np

Value = TypeVar("Value")
Times = Literal["constant", "variable", "repeated", "missing"]
Edit = Literal["none", "default", "two", "four"]
Damage = Literal["none", "cut", "zeroed", "flipped", "lost", "joined"]

CONTAINERS: Mapping[str, Sequence[str]] = {
    "libx264": ("mp4", "mov", "mkv", "ts", "avi", "mpg", "h264"),
    "libx265": ("mp4", "mov", "mkv", "ts", "hevc"),
    "mpeg4": ("mp4", "mov", "mkv", "avi", "ts"),
    "mpeg2video": ("mpg", "ts", "mkv", "mp4", "avi", "m2v"),
    "mpeg1video": ("mpg", "ts", "mkv", "avi", "m1v"),
    "libvpx": ("webm", "mkv", "avi", "ivf"),
    "libvpx-vp9": ("webm", "mkv", "mp4", "ivf"),
    "libsvtav1": ("mp4", "mkv", "webm", "ivf", "obu"),
    "prores_ks": ("mov", "mkv"),
    "mjpeg": ("avi", "mov", "mkv", "mp4", "mjpeg"),
    "gif": ("gif",),
    "ffv1": ("mkv", "avi"),
}
_SHARES = {"libx264": 8.0, "libx265": 5.0, "mpeg4": 3.0, "mpeg2video": 3.0, "mpeg1video": 1.5, "libvpx": 1.5}
_SHARES |= {"libvpx-vp9": 1.5, "libsvtav1": 1.5}

PIXEL_FORMATS: Mapping[str, Sequence[str]] = {
    "libx264": ("yuv420p", "yuv420p10le", "yuv422p", "yuv444p"),
    "libx265": ("yuv420p", "yuv420p10le", "yuv422p10le", "yuv444p"),
    "mpeg2video": ("yuv420p", "yuv422p"),
    "libvpx-vp9": ("yuv420p", "yuv444p"),
    "libsvtav1": ("yuv420p", "yuv420p10le"),
    "prores_ks": ("yuv422p10le", "yuv444p10le"),
    "mjpeg": ("yuvj420p", "yuvj422p"),
    "gif": ("rgb8",),
    "ffv1": ("yuv420p", "yuv444p", "yuv420p10le"),
}
"""Of codecs that have more to choose from than yuv420p; the first is the usual one."""

UNCHECKED_CODECS = ("libvpx", "libvpx-vp9", "libsvtav1", "prores_ks", "mjpeg", "gif", "ffv1")
"""Their streams carry next to nothing by which a decoder could tell damaged data from other data."""
MP4 = ("mp4", "mov")
HOLD_TIMES = (*MP4, "mkv", "webm", "ts", "mpg", "gif", "ivf")
"""Containers that say of frames when they are shown; others have a rate at most."""
HOLD_ROTATION = (*MP4, "mkv", "webm")
REORDERING = ("libx264", "libx265", "mpeg4", "mpeg2video", "mpeg1video")
"""Codecs whose B-frames can be asked for."""
_MPEG_RATES = ("25", "30", "24", "50", "30000/1001")
_RATES = (*_MPEG_RATES, "12", "60", "24000/1001")
_SIZES = ((96, 64), (98, 66), (128, 96), (176, 144), (100, 76), (112, 64))
_ODD_SIZES = ((97, 65), (99, 67), (131, 97))


@dataclass(frozen=True)
class Encode:
    """One file. The defaults are the plainest file there is; ``seed`` draws what no other field says."""

    codec: str = "libx264"
    container: str = "mp4"
    """Ending of the file's name."""
    frames: int = 30
    width: int = 96
    height: int = 64
    pixel_format: str = "yuv420p"
    rate: str = "25"
    """Frames per second, as a fraction."""
    group_size: int = 12
    """Most frames from one key frame to the next."""
    open_group: bool = False
    """Leading pictures refer to what is before their key frame."""
    intra_refresh: bool = False
    b_frames: int = 0
    pyramid: bool = False
    references: int = 1
    slices: int = 1
    interlaced: bool = False
    quality: int = 23
    """Quantiser, on the scale of x264; others are given what comes near."""
    times: Times = "constant"
    start_seconds: float = 0.0
    """Time stamp of the first frame."""
    edit: Edit = "none"
    """Edit list of MP4: none at all, what the muxer writes, or two or four pieces of the video."""
    fragmented: bool = False
    header_first: bool = False
    """MP4's tables before its media. Not with two or four edits."""
    rotation: int = 0
    """Degrees counter-clockwise by which the stored picture is turned for display."""
    mirrored: bool = False
    damage: Damage = "none"
    seed: int = 0

    @property
    def is_damaged(self) -> bool:
        """Whether bytes of it are wrong or missing. A joined file has all of its bytes."""
        return self.damage not in ("none", "joined")

    @property
    def frames_per_second(self) -> Fraction:
        """The rate as a number."""
        return Fraction(self.rate)

    def random(self, purpose: int) -> np.random.Generator:
        """Random numbers of this file alone, for one purpose."""
        return np.random.default_rng([self.seed, purpose])

    def as_json(self) -> str:
        """What differs from the plainest file."""
        plain = asdict(Encode())
        return json.dumps({name: value for name, value in asdict(self).items() if value != plain[name]})

    @classmethod
    def from_json(cls, text: str) -> "Encode":
        """The file that ``as_json`` described."""
        fields: dict[str, Any] = json.loads(text)
        return cls(**fields)


def drawn(seed: int, number: int) -> Encode:
    """Encode number ``number`` of a run; the same for the same two numbers, whatever else is drawn."""
    random = np.random.default_rng([seed, number])
    codecs = list(CONTAINERS)
    shares = np.array([_SHARES.get(codec, 1.0) for codec in codecs])
    codec = codecs[random.choice(len(codecs), p=shares / shares.sum())]
    encode = Encode(
        codec=codec, container=_one_of(random, CONTAINERS[codec]), seed=int(random.integers(1 << 31))
    )
    for extend in (_with_pictures, _with_groups, _with_times, _with_container, _with_damage):
        encode = extend(encode, random)
    return encode


def _with_pictures(encode: Encode, random: np.random.Generator) -> Encode:
    formats = PIXEL_FORMATS.get(encode.codec, ("yuv420p",))
    pixel_format = formats[0] if random.random() < 0.7 else _one_of(random, formats)
    takes_odd = "444" in pixel_format or encode.codec not in ("libx264", "libx265", "libsvtav1", "prores_ks")
    width, height = _one_of(random, (*_SIZES, *_ODD_SIZES) if takes_odd else _SIZES)
    is_long = random.random() < 0.06
    interlaces = encode.codec in ("libx264", "mpeg2video", "mpeg4", "prores_ks") and height % 4 == 0
    return replace(
        encode,
        frames=int(random.integers(200, 300) if is_long else random.integers(12, 80)),
        width=width,
        height=height,
        pixel_format=pixel_format,
        rate=_one_of(random, _MPEG_RATES if encode.codec in ("mpeg1video", "mpeg2video") else _RATES),
        interlaced=interlaces and random.random() < 0.25,
        quality=int(random.integers(15, 34)),
    )


def _with_groups(encode: Encode, random: np.random.Generator) -> Encode:
    usual = _one_of(random, (1, 2, 3, 5, 8, 12, 12, 25, 50, 250))
    # x265 crashes over slices of so small pictures.
    slices = 1 if encode.codec == "libx265" else _one_of(random, (1, 1, 1, 2, 4))
    encode = replace(encode, group_size=usual, slices=slices)
    if encode.codec not in REORDERING:
        return encode
    return replace(
        encode,
        b_frames=_one_of(random, (0, 1, 2, 2, 3, 3, 4, 8)),
        open_group=random.random() < 0.5,
        # x265 crashes where B-frames reach from one refresh to the next.
        intra_refresh=usual >= 12 and encode.codec in ("libx264", "libx265") and random.random() < 0.15,
        pyramid=random.random() < 0.5,
        references=_one_of(random, (1, 1, 2, 3, 5, 8)),
    )


def _with_times(encode: Encode, random: np.random.Generator) -> Encode:
    times: Times = "constant"
    if encode.container in HOLD_TIMES and random.random() < 0.4:
        kinds: Sequence[Times] = ("variable", "variable", "variable", "repeated", "missing")
        times = _one_of(random, kinds)
    if times == "missing" and encode.container not in ("ts", "mpg"):
        times = "variable"
    starts = {
        "ts": (0.0, 1.5, 36000.0, 95443.2),
        "mpg": (0.0, 1.5, 36000.0),
        "mkv": (0.0, -0.5, 1.5, 36000.0),
    }
    starts |= {container: (0.0, -0.5, 1.5, 36000.0) for container in MP4}
    start = _one_of(random, starts.get(encode.container, (0.0,))) if random.random() < 0.4 else 0.0
    return replace(encode, times=times, start_seconds=start)


def _with_container(encode: Encode, random: np.random.Generator) -> Encode:
    if encode.container in HOLD_ROTATION and random.random() < 0.25:
        encode = replace(encode, rotation=_one_of(random, (0, 90, 180, 270)), mirrored=random.random() < 0.25)
    if encode.container not in MP4:
        return encode
    edits: list[Edit] = ["default", "default", "default", "none"]
    if encode.times == "constant" and encode.start_seconds == 0:
        edits.extend(("two", "four"))
    fragmented = random.random() < 0.15
    edit: Edit = "default" if fragmented else _one_of(random, edits)
    header_first = not fragmented and edit in ("none", "default") and random.random() < 0.5
    return replace(encode, edit=edit, fragmented=fragmented, header_first=header_first)


def _with_damage(encode: Encode, random: np.random.Generator) -> Encode:
    if random.random() > 0.36:
        return encode
    kinds: list[Damage] = ["cut", "zeroed", "zeroed", "flipped", "flipped"]
    if encode.container == "ts":
        kinds.extend(("lost", "lost", "joined"))
    if encode.container in ("mpg", "h264", "hevc", "m2v", "m1v"):
        kinds.append("joined")
    damage = _one_of(random, kinds)
    if damage == "cut" and encode.container in MP4 and not encode.fragmented:
        # A cut at the end of a file whose tables are there leaves nothing to read.
        encode = replace(encode, header_first=True, edit="default")
    return replace(encode, damage=damage)


def _one_of(random: np.random.Generator, values: Sequence[Value]) -> Value:
    return values[int(random.integers(len(values)))]
