"""How long one waits: for imports, ``--help``, a first verdict. Fresh processes, in turn."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable

from benchmarks.measures import ROOT, MeasureFailed

WAITS: dict[str, tuple[str, ...]] = {
    "import numpy": ("-c", "import numpy"),
    "import manual": ("-c", "import manual"),
    "compare --help": ("-m", "compare", "--help"),
    "import tensorflow, keras": ("-c", "import tensorflow, keras"),
    "first verdict": ("-m", "compare", "run", "mazur"),
}
VERDICT = "  agrees:"
"""How the line with a run's verdict starts."""


def wait(arguments: tuple[str, ...], until: str | None = None) -> float:
    """Return the seconds until a command has ended, or until it prints a line that starts so."""
    start = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if until is not None and line.startswith(until):
                    return time.perf_counter() - start
            if process.wait() or until is not None:
                raise MeasureFailed(f"python {' '.join(arguments)} failed.")
            return time.perf_counter() - start
        finally:
            process.kill()


def waits(rounds: int, say: Callable[[str], None]) -> dict[str, list[float]]:
    """Measure every wait, once a round."""
    seconds: dict[str, list[float]] = {name: [] for name in WAITS}
    wait(WAITS["import manual"])  # compiles what hasn't been compiled to bytecode yet
    for number in range(rounds):
        for name, arguments in WAITS.items():
            say(f"imports: round {number + 1}/{rounds}, {name}")
            until = VERDICT if name == "first verdict" else None
            seconds[name].append(wait(arguments, until))
    return seconds
