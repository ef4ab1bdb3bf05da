"""What each head is worth on Storyboard: ``python -m benchmarks.storyboard``."""
