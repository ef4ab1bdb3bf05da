"""A file as an ``Encode`` describes it: PyAV's encoders, time stamps of our own, and the muxer's or our edit list."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import accumulate
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from .containers import drop_time_stamps, replace_edits
from .damaging import damage_file
from .encodes import HOLD_TIMES, MP4, Encode
from .pictures import Picture, numbered_picture
from .scheduling import usual_scheduling

TICKS = 90_000
"""A second, in time stamps as they are given to muxers."""
_GAPS = (1, 1, 1, 1, 1, 2, 3, 7, 25)
"""From a frame to the next where times vary, in frames of the rate."""


def write_encode(encode: Encode, path: Path) -> Path:
    """Write the file; its damage, if it has any, comes last.

    Raises:
        av.error.FFmpegError, ValueError: the encoder or the muxer refuses what is asked for.
    """
    write_clean(encode, path)
    if encode.damage == "joined":
        second = path.with_name(f"second_{path.name}")
        _write(encode, second, first_number=encode.frames)
        path.write_bytes(path.read_bytes() + second.read_bytes())
        second.unlink()
    elif encode.is_damaged:
        damage_file(path, encode)
    return path


def write_clean(encode: Encode, path: Path) -> Path:
    """The same file before it is damaged."""
    _write(encode, path, first_number=0)
    if encode.edit in ("two", "four"):
        replace_edits(path, encode)
    if encode.times == "missing":
        drop_time_stamps(path, encode.random(2))
    return path


def stored_picture(encode: Encode, number: int) -> Picture:
    """The picture as it is encoded: it stands upright once it is turned as the display matrix says."""
    turned = encode.rotation % 180 != 0
    height, width = (encode.width, encode.height) if turned else (encode.height, encode.width)
    shown = numbered_picture(number, height, width)
    if encode.mirrored:
        shown = shown[:, ::-1]
    return np.ascontiguousarray(np.rot90(shown, -encode.rotation // 90))


def intended_ticks(encode: Encode) -> list[int]:
    """The time stamp of each frame in display order; equal ones where times are repeated."""
    random = encode.random(1)
    gaps = [1] * (encode.frames - 1)
    if encode.times == "variable":
        gaps = random.choice(_GAPS, encode.frames - 1).tolist()
    elif encode.times == "repeated":
        gaps = random.choice((1, 1, 1, 0), encode.frames - 1).tolist()
    start = round(encode.start_seconds * TICKS)
    return [start + round(place * TICKS / encode.frames_per_second) for place in accumulate(gaps, initial=0)]


def _write(encode: Encode, path: Path, first_number: int) -> None:
    with usual_scheduling(), av.open(str(path), "w", options=_muxer_options(encode)) as container:
        stream = _added_stream(container, encode)
        packets = list(_packets(stream, encode, first_number))
        if encode.container in HOLD_TIMES and encode.container not in ("gif", "ivf"):
            _set_times(packets, encode)
        for packet in packets:
            packet.stream = stream
            container.mux(packet)


def _added_stream(container: OutputContainer, encode: Encode) -> VideoStream:
    stream = container.add_stream(encode.codec, rate=encode.frames_per_second, options=_codec_options(encode))
    if not isinstance(stream, VideoStream):
        raise ValueError(f"{encode.codec} is no encoder of videos")
    stream.width, stream.height = encode.width, encode.height
    stream.pix_fmt = encode.pixel_format
    stream.gop_size = encode.group_size
    stream.codec_context.thread_count = 1
    if encode.rotation or encode.mirrored:
        stream.set_display_rotation(encode.rotation, hflip=encode.mirrored)
    return stream


def _packets(stream: VideoStream, encode: Encode, first_number: int) -> Iterator[av.Packet]:
    """In decoding order, their pts counting frames."""
    step = 1 / encode.frames_per_second
    reformatter = VideoReformatter()
    for place in range(encode.frames):
        frame = av.VideoFrame.from_ndarray(stored_picture(encode, first_number + place), format="rgb24")
        frame = reformatter.reformat(frame, format=encode.pixel_format)
        frame.pts, frame.time_base = place, step
        if encode.codec == "gif" and encode.times == "variable":
            frame.pts = intended_ticks(encode)[place]
            frame.time_base = Fraction(1, TICKS)
        yield from stream.encode(frame)
    yield from stream.encode()


def _set_times(packets: Sequence[av.Packet], encode: Encode) -> None:
    """Give every packet its pts, and a dts before it that grows from packet to packet."""
    ticks = intended_ticks(encode)
    order = {pts: place for place, pts in enumerate(sorted(packet.pts or 0 for packet in packets))}
    pts = [ticks[min(order[packet.pts or 0], len(ticks) - 1)] for packet in packets]
    dts = _decoding_times(pts, round(TICKS / encode.frames_per_second))
    for place, packet in enumerate(packets):
        packet.time_base = Fraction(1, TICKS)
        packet.pts, packet.dts = pts[place], dts[place]
        packet.duration = 0 if encode.times == "repeated" else packet.duration


def _decoding_times(pts: Sequence[int], step: int) -> list[int]:
    """The sorted pts, as many frames late as the order of decoding asks for; strictly increasing."""
    in_order = sorted(pts)
    delay = max(in_order.index(value) - place for place, value in enumerate(pts))
    delay = max(delay, *(place - in_order.index(value) for place, value in enumerate(pts)))
    late = [in_order[0] - step * (delay - place) for place in range(delay)] + in_order
    dts = [min(late[place], value) for place, value in enumerate(pts)]
    for place in reversed(range(len(dts) - 1)):
        dts[place] = min(dts[place], dts[place + 1] - 1)
    return dts


def _muxer_options(encode: Encode) -> dict[str, str]:
    options: dict[str, str] = {}
    if encode.container in MP4:
        flags = ["frag_keyframe+empty_moov+default_base_moof"] if encode.fragmented else []
        flags += ["faststart"] if encode.header_first else []
        options["use_editlist"] = "0" if encode.edit == "none" else "1"
        # Fine enough for time stamps that differ by one tick.
        options |= {"video_track_timescale": str(TICKS)} if encode.times == "repeated" else {}
        if flags:
            options["movflags"] = "+".join(flags)
    if encode.start_seconds < 0:
        options["avoid_negative_ts"] = "disabled"
    return options


def _codec_options(encode: Encode) -> dict[str, str]:
    if encode.codec in ("libx264", "libx265"):
        return _x26x_options(encode)
    if encode.codec in ("mpeg4", "mpeg2video", "mpeg1video"):
        return _mpeg_options(encode)
    if encode.codec in ("libvpx", "libvpx-vp9"):
        hidden = {"auto-alt-ref": "1", "lag-in-frames": "12"} if encode.seed % 2 else {"lag-in-frames": "0"}
        rate = {"crf": str(encode.quality), "b": "1M" if encode.codec == "libvpx" else "0"}
        return hidden | rate | {"deadline": "realtime", "cpu-used": "8"}
    if encode.codec == "libsvtav1":
        return {"preset": "12", "crf": str(encode.quality - 10), "svtav1-params": "lp=1"}
    return {"flags": "+ildct"} if encode.interlaced and encode.codec == "prores_ks" else {}


def _x26x_options(encode: Encode) -> dict[str, str]:
    settings = {
        "keyint": encode.group_size,
        "min-keyint": min(encode.group_size, 1 + encode.seed % 5),
        "scenecut": 0,
        "bframes": encode.b_frames,
        "ref": encode.references,
        "open-gop": int(encode.open_group),
    }
    if encode.intra_refresh:
        settings["intra-refresh"] = 1
    if encode.codec == "libx264":
        settings |= {"b-pyramid": 2 * encode.pyramid, "threads": 1, "b-adapt": encode.seed % 3}
        settings |= {"slices": encode.slices} | ({"tff": 1} if encode.interlaced else {})
    else:
        settings |= {"b-pyramid": int(encode.pyramid), "b-adapt": encode.seed % 3, "frame-threads": 1}
        settings |= {"rc-lookahead": 20}
        settings |= (
            {"radl": 2} if encode.seed % 4 == 0 and not encode.open_group and encode.b_frames > 1 else {}
        )
    parameters = ":".join(f"{name}={value}" for name, value in settings.items())
    if encode.codec == "libx264":
        return {"crf": str(encode.quality), "preset": "veryfast", "x264-params": parameters}
    quiet = f"{parameters}:log-level=none:pools=none:crf={encode.quality}"
    return {"preset": "ultrafast", "x265-params": quiet}


def _mpeg_options(encode: Encode) -> dict[str, str]:
    flags = "" if encode.open_group else "+cgop"
    flags += "+ilme+ildct" if encode.interlaced else ""
    options = {"bf": str(encode.b_frames), "sc_threshold": "1000000000", "qmin": "2", "qmax": "12"}
    options |= {"slices": str(encode.slices)} if encode.codec != "mpeg4" else {}
    return options | {"b": "2M"} | ({"flags": flags} if flags else {})
