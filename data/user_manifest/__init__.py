"""The user's own list of videos: a CSV, JSON lines or Parquet file beside them."""
