"""What the encoder ``words`` finds on real clips: ``python -m benchmarks.real_clips``."""
