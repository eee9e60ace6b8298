"""What is measured beside the races, each in processes of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent


class MeasureFailed(Exception):
    """A measurement ended without a result; the message is one sentence."""


def measured(name: str, *arguments: object) -> Any:
    """Run ``python -m benchmarks.measures.NAME`` and return the JSON of its last line."""
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.measures.{name}", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        start_new_session=True,  # a Ctrl-C is the parent's to hear
    )
    if done.returncode:
        words = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise MeasureFailed(f"The measurement of {name} failed: {words[-1]}")
    return json.loads(done.stdout.splitlines()[-1])
