"""How many videos may fail before a run counts as failed."""

import math
from dataclasses import dataclass

from ..data.contracts.errors import UsageError


@dataclass(frozen=True, slots=True)
class FailureBudget:
    """A number of videos, or a share of them."""

    amount: float
    is_share: bool

    @classmethod
    def parse(cls, text: str) -> "FailureBudget":
        """``12`` or ``5%``.

        Raises:
            UsageError: it is neither a number of at least 0 nor a percentage up to 100.
        """
        is_share = text.endswith("%")
        try:
            amount = float(text.removesuffix("%"))
        except ValueError:
            amount = math.nan
        if not 0 <= amount < math.inf or (is_share and amount > 100):
            raise UsageError(f"max_failed must be a number such as 12 or a share such as 5%, got {text!r}")
        return cls(amount, is_share)

    def admits(self, failed: int, videos: int) -> bool:
        """Whether so many failures are within it; a file that is missing has not failed."""
        return failed <= (self.amount / 100 * videos if self.is_share else self.amount)
