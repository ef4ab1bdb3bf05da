"""Describes data sets: annotation files in, videos, captions and splits out. No torch, no h5py."""
