"""JSON that every reader takes."""

from __future__ import annotations

import json
import math
from typing import Any


def as_json(value: Any) -> str:
    """Write as strict JSON; numbers that are not finite become strings."""
    return json.dumps(finite(value), indent=2, ensure_ascii=False, allow_nan=False)


def finite(value: Any) -> Any:
    """Replace ∞ and NaN, which JSON doesn't have, by their names."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
