"""Archives that change: what has come, changed or gone since a store was made, and what is to be done about it."""
