"""Tests of the differential run of decoders."""
