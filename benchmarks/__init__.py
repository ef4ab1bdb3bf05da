"""Measurements: ``python -m benchmarks.NAME`` prints figures and keeps them in ``benchmarks/results/NAME.json``."""

import os

# As the tvr command does: torch's threads shall not spin at barriers on cores that decode.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# torch's profiler, which counts memory, shall not tell its life to the terminal.
os.environ.setdefault("KINETO_LOG_LEVEL", "9")
