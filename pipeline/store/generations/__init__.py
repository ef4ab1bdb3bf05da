"""Stores that have grown: what has come, changed and gone since the features in them were first made."""
