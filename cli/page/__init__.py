"""The page that `tvr serve` shows: the HTTP interface, what it plays, and the files of the page itself."""
