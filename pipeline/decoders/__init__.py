"""Readers of video files, one library a file. They run only inside killable child processes."""
