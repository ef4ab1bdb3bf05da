"""A store's features as padded batches."""
