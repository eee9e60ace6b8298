"""Whose a quantity is: names begin with the layer that they belong to."""

from __future__ import annotations

import re
from collections.abc import Iterable


def owner_of(name: str, blocks: Iterable[str]) -> str | None:
    """Return the block that a quantity belongs to, by its name; None if it is nobody's.

    Examples
    --------
    >>> owner_of("hidden/kernel/momentum", ["hidden", "hid"])
    'hidden'
    """
    fitting = (one for one in blocks if re.match(f"{re.escape(one)}(/|@|\\[|$)", name))
    return max(fitting, key=len, default=None)
