"""What the page shows and plays of a video: frames as pictures, files by ranges, proxies of what does not play."""
