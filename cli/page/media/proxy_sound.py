"""The sound of a span, encoded as AAC, beside the pictures of its proxy."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, takewhile
from pathlib import Path

import av
import av.error
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream

from ....data.sources.video_file import VideoFile
from ....pipeline.video.container import opened

RATE = 48_000
_BEFORE_SECONDS = 1.0
"""By which reading begins earlier: a jump may land behind the packet that was meant."""


@dataclass(frozen=True, slots=True)
class Hearing:
    """Which sound is wanted: that of seconds on the clock of the file's container."""

    begin: float
    end: float


class SoundTrack:
    """The packets of a written sound file, to be put among those of pictures in the order of their times."""

    def __init__(self, stream: AudioStream, packets: Iterator[av.Packet]) -> None:
        self.stream = stream
        self._packets = packets
        self._next = next(packets, None)

    def until(self, seconds: float) -> Iterator[av.Packet]:
        """The packets that were not given yet and are heard before that second of the proxy."""
        while self._next is not None and float((self._next.pts or 0) * self._next.time_base) <= seconds:
            packet, self._next = self._next, next(self._packets, None)
            yield packet


@contextmanager
def sound_track(path: VideoFile, written: Path, hearing: Hearing | None) -> Generator[SoundTrack | None]:
    """The sound of a span, from its own beginning on; None where there is none, or none that can be decoded.

    Args:
        path: the video.
        written: where its sound is kept meanwhile.
        hearing: what of it; None: nothing.
    """
    try:
        is_there = hearing is not None and _write(path, written, hearing)
    except (av.error.FFmpegError, ValueError):
        is_there = False
    if not is_there:
        yield None
        return
    with av.open(str(written)) as container:
        stream = container.streams.audio[0]
        yield SoundTrack(stream, (packet for packet in container.demux(stream) if packet.size))
    written.unlink()


def _write(path: VideoFile, written: Path, hearing: Hearing) -> bool:
    """Encode what is heard; False where there is nothing."""
    with opened(path) as (container, _):
        stream = container.streams.best("audio")
        if not isinstance(stream, AudioStream) or stream.codec_context is None:  # pyright: ignore[reportUnnecessaryComparison]  # so it is for unknown codecs
            return False
        container.seek(max(0, int((hearing.begin - _BEFORE_SECONDS) * av.time_base)))
        heard = takewhile(
            lambda frame: _seconds(frame) < hearing.end,
            (frame for frame in container.decode(stream) if _seconds(frame) >= hearing.begin),
        )
        first = next(heard, None)
        if first is None:
            return False
        with av.open(str(written), "w", format="mp4") as output:
            sound = output.add_stream("aac", rate=RATE, layout="stereo")
            resampler = AudioResampler(format="fltp", layout="stereo", rate=RATE, frame_size=1024)
            due = round((_seconds(first) - hearing.begin) * RATE)
            for frame in chain((first,), heard, (None,)):
                if frame is not None:
                    frame.pts = None
                for piece in resampler.resample(frame):
                    piece.pts, piece.time_base = due, Fraction(1, RATE)
                    due += piece.samples
                    output.mux(sound.encode(piece))
            output.mux(sound.encode(None))
    return True


def _seconds(frame: AudioFrame) -> float:
    return float((frame.pts or 0) * (frame.time_base or 0))
