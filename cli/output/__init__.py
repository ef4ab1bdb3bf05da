"""What commands say: tables and sentences of figures and of extractions, and how much besides."""
