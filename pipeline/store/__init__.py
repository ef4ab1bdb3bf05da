"""The feature store on disk: HDF5 shards, receipts, locks, checksums."""
