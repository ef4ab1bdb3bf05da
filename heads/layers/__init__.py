"""Building blocks that several heads share."""
