"""Annotation files: read with the place of every fault, matched to videos, held to the published splits."""
