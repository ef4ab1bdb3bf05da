"""Features of others into stores, and stores into the layouts of others."""
