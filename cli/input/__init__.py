"""What a command line leaves open or names short: which store, which run, which file of options."""
