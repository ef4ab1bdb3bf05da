"""Measurements: ``python -m benchmarks.NAME`` prints figures and keeps them in ``benchmarks/results/NAME.json``."""
