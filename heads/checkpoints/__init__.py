"""Weights that other projects released, loaded into these heads."""
