"""Many trainings, in processes or on a cluster, and what they came to."""
