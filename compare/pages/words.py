"""Placeholder of the plain summary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def plain_summary(contents: Mapping[str, Any]) -> list[str]:
    """Return nothing yet."""
    return [f"{contents['title']} was trained twice side by side."]
