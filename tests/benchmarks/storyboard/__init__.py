"""Tests of the Storyboard study."""
