"""From the frames that are nearest to each word to the videos that are worth comparing.

A frame that no word asked for is worth as much as the worst that the word was given: only what lies above that counts.
Votes are counted as weighted token interaction (DRL, arXiv 2203.07111, equations 5 and 6) compares: the best frame of
each word, and the best word of each frame. Counting the words alone finds fewer of the best videos.
"""

import numpy as np
from jaxtyping import Float, Int

from .asked_tokens import AskedTokens


def voted(
    asked: AskedTokens,
    cosines: Float[np.ndarray, "asked found"],
    rows: Int[np.ndarray, "asked found"],
    tokens: int,
) -> tuple[Int[np.ndarray, " video"], Float[np.ndarray, " video"]]:
    """The videos of the found frames, those with most votes first, of equals the first of the gallery; and the votes.

    Args:
        asked: the words.
        cosines: of each word with the frames that are nearest to it, as an index has them.
        rows: which frames these are, -1 where fewer were found: a video owns ``tokens`` rows in the order of videos.
        tokens: rows of a video.
    """
    is_found = rows >= 0
    lowest = np.where(is_found, cosines, np.inf).min(axis=1, initial=np.inf, keepdims=True)
    word, _ = is_found.nonzero()
    gains, rows = (cosines - np.where(np.isfinite(lowest), lowest, 0))[is_found], rows[is_found]
    videos, owner = np.unique(rows // tokens, return_inverse=True)
    of_words = np.zeros(len(asked.weights) * len(videos), np.float32)
    np.maximum.at(of_words, word * len(videos) + owner, gains)
    frames, place = np.unique(rows, return_inverse=True)
    of_frames = np.zeros(len(frames), np.float32)
    np.maximum.at(of_frames, place, gains)
    by_frame = np.bincount(np.searchsorted(videos, frames // tokens), of_frames, len(videos)) / tokens
    votes = (asked.weights @ of_words.reshape(len(asked.weights), len(videos)) + by_frame) / 2
    order = np.argsort(-votes, kind="stable")
    return videos[order], votes[order]
