"""Decoding in another process, which may crash, hang or eat memory without harm."""
