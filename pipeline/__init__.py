"""Stage one: video files in, a verified store of frozen features out."""
