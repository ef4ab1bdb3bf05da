"""A small open_clip model trained on stills of the storyboard world, and shipped with its weights."""

from .weights import MODEL_NAME, TAG, register, state_dict

__all__ = ["MODEL_NAME", "TAG", "register", "state_dict"]
