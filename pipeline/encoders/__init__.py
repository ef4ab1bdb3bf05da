"""Frozen models that turn frames and captions into features, one family a file."""
