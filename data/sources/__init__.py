"""Where the bytes of a video are, if not in a file of its own: members of tar files, objects of servers."""
