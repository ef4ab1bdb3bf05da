"""Stage two: stored features in, text-video similarity out. One paper a file."""
