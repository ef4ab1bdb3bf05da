"""Does an encoder see what it is shown? Rendered stills and their captions, before a week of encoding."""
