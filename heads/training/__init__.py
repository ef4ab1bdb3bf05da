"""Trains a head on stored features."""
