"""Which frames of a damaged video are sound."""

from tvr.pipeline.video.damage import DamageLog


def test_frames_are_sound_until_damage_and_after_the_next_key_frame() -> None:
    log = DamageLog()
    # Shown: packets 0 2 1 (decoded before), then 3 is damaged, 4 refers to it, 6 is a key frame with 5 before it.
    assert [log.is_intact(packet, is_key=packet == 0) for packet in (0, 2, 1)] == [True] * 3
    log.add(3, "a hole")
    assert log.is_intact(2, is_key=False)
    assert not log.is_intact(3, is_key=False)
    assert not log.is_intact(4, is_key=False)
    assert not log.is_intact(None, is_key=False)
    assert not log.is_intact(
        7, is_key=False
    )  # decoded after the key frame but shown before it: may refer to packet 5
    assert log.is_intact(6, is_key=True)
    assert log.is_intact(8, is_key=False)
    assert log.is_intact(None, is_key=False)
    assert log.first == "a hole"


def test_a_damaged_key_frame_repairs_nothing() -> None:
    log = DamageLog()
    log.add(4, "a hole")
    log.add(6, "another")
    assert not log.is_intact(6, is_key=True)
    assert not log.is_intact(7, is_key=False)
    assert log.is_intact(12, is_key=True)
    assert log.is_intact(13, is_key=False)


def test_damage_after_a_key_frame_was_decoded_stays_open_when_it_is_shown() -> None:
    log = DamageLog()
    log.add(7, "a hole")
    assert log.is_intact(6, is_key=True)
    assert not log.is_intact(8, is_key=False)


def test_what_was_decoded_only_to_get_ready_is_not_told() -> None:
    log = DamageLog(counted_from=6)
    log.add(4, "a reference is missing")
    assert log.first == ""
    assert not log.is_intact(5, is_key=False)
    assert log.is_intact(6, is_key=True)
    log.add(8, "a hole")
    assert log.first == "a hole"


def test_damage_that_is_told_late_counts_from_where_it_was() -> None:
    log = DamageLog()
    log.add(9, "a hole")
    log.add(5, "another, in a frame before it")
    assert log.is_intact(4, is_key=False)
    assert not log.is_intact(6, is_key=False)
    assert log.is_intact(7, is_key=True)
    assert not log.is_intact(9, is_key=False)
