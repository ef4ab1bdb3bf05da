"""The run folder: configuration, weights, which store, imported checkpoints."""
