"""Finding the weights of an open_clip model and building its network with them."""
