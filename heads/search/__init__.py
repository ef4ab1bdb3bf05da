"""One query against an archive."""
