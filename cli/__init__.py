"""The command line: each file parses one sub-command, calls one function and prints."""
