"""Whether rows that were read by older rules can be trusted still."""
