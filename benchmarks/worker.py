"""A process that holds one contender, and trains it when it is told to.

    python -m benchmarks.worker CONTENDER PROBLEM.npz

Each answer is one line of JSON: first the losses of the first steps, then one for every line
``burst EPOCHS`` on standard input, until that ends.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from pathlib import Path
from typing import Any, TextIO

from benchmarks.contenders import CONTENDERS
from benchmarks.machine import peak_memory
from benchmarks.problem import CHECKED, Problem


def own_channel() -> TextIO:
    """Keep standard output for the answers; what a library prints goes to standard error."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return channel


def main() -> None:
    """Set up, report the losses, and serve."""
    channel = own_channel()

    def answer(**told: Any) -> None:
        channel.write(json.dumps(told) + "\n")
        channel.flush()

    name, path = sys.argv[1:]
    try:
        contender = CONTENDERS[name].load()(Problem.load(Path(path)))
        losses = contender.losses(CHECKED)
    except Exception as error:
        answer(error=f"{type(error).__name__}: {error}".splitlines()[0])
        raise
    gc.freeze()  # what was imported needn't be looked through again within a burst
    answer(losses=losses, about=contender.about, flops=getattr(contender, "flops", None))
    for line in sys.stdin:
        seconds = contender.burst(int(line.split()[1]))
        answer(seconds=seconds, peak=peak_memory())


if __name__ == "__main__":
    main()
