"""Every item of a gallery compared by its kept encodings: nothing is encoded, and nothing of them stays in memory."""

import torch
from jaxtyping import Float
from torch import Tensor

from ...base import Encoded
from ...evaluation.blockwise import similarity_in_blocks
from .kept_encodings import KeptEncodings

AT_ONCE = 512
"""Items of a block: in single precision they stay in a CPU's cache between being widened and being compared."""


class KeptScores:
    """Scores of texts with every item.

    Args:
        kept: the items.
    """

    def __init__(self, kept: KeptEncodings) -> None:
        self.kept = kept
        self._count = kept.features.num_videos

    @torch.no_grad()
    def __call__(self, text: Encoded) -> Float[Tensor, "text item"]:
        """Similarities of encoded texts with every item, in the order of the gallery."""
        # One place in memory for all blocks: a fresh one each time would cost more than widening does.
        room: dict[str, Tensor] = {}
        found: list[Tensor] = []
        for begin in range(0, self._count, AT_ONCE):
            block = self.kept.cut(begin, min(begin + AT_ONCE, self._count))
            wide = {name: _widened(room, name, rows) for name, rows in block.items()}
            found.append(similarity_in_blocks(self.kept.head, text, wide).float().cpu())
        return torch.cat(found, dim=1)


def _widened(room: dict[str, Tensor], name: str, rows: Tensor) -> Tensor:
    if not rows.is_floating_point():
        return rows
    if name not in room:
        room[name] = torch.empty(rows.shape, dtype=torch.float32)
    return room[name][: len(rows)].copy_(rows)
