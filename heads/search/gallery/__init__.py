"""What is searched: items, their coarse vectors and encodings, and indexes of them."""
