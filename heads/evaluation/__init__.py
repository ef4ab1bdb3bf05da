"""Scores a trained head: ranks, normalisation, report."""
