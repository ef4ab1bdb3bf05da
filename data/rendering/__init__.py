"""Draws the storyboard world: stories with exact spans, their captions, their pictures, their MP4 files."""
