"""PLACEHOLDER until the page is merged."""

from __future__ import annotations

import json
from typing import Any


def page(told: dict[str, Any]) -> str:
    return json.dumps(told, default=str)
