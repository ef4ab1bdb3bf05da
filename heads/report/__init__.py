"""Figures, pictures and pages for a reader."""
