"""What FFmpeg says is heard once, and hearing it costs the same for the thousandth packet as for the first."""

import logging

import av.logging
from tvr.pipeline.video.ffmpeg_log import capture_ffmpeg_log


def test_messages_are_heard_inside_the_block() -> None:
    with capture_ffmpeg_log() as messages:
        av.logging.log(av.logging.ERROR, "tvr", "something is wrong")
    assert messages.last_error() == "something is wrong"


def test_no_handler_is_left_behind_by_a_block() -> None:
    with capture_ffmpeg_log():
        before = list(logging.getLogger("libav").handlers)
    for _ in range(10):
        with capture_ffmpeg_log():
            pass
    assert logging.getLogger("libav").handlers == before
