"""How fast `tvr serve` answers many people over many videos: ``python -m benchmarks.serve``."""
