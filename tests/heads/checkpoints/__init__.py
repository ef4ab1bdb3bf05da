"""Tests of imported checkpoints."""
