"""Layouts in which features are shared; one file each."""
