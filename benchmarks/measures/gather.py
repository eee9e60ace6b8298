"""Takes the measurements beside the races, in small by default."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.measures import measured
from benchmarks.measures.imports import waits

Say = Callable[[str], None]

ROUNDS = 3
COMPARED = ("digits", "cnn")
"""The networks on which the cost of a comparison is taken."""


def growth(full: bool, say: Say) -> Any:
    """Return the curves of `benchmarks.measures.growth`."""
    say("growth: width, depth, batch")
    return measured("growth", ROUNDS)


def imports(full: bool, say: Say) -> Any:
    """Return the seconds of each wait, round by round."""
    return waits(ROUNDS, say)


def lockstep(full: bool, say: Say) -> Any:
    """Return for each network the seconds of a step, alone and compared, round by round."""
    taken = {}
    for network in COMPARED:
        say(f"lock-step: {network}")
        taken[network] = measured("lockstep", network, ROUNDS)
    return taken


def sampled(full: bool, say: Say) -> Any:
    """Return the seconds of a step, alone and with each 50th compared, epoch by epoch."""
    say("each 50th step: a small CNN")
    return measured("sampled", 3 * ROUNDS)  # a few hundredths are what it is about


def memory(full: bool, say: Say) -> Any:
    """Return what was held after how many steps, and the size of the weights, in MiB."""
    steps = 8000 if full else 400
    say(f"memory: comparing {steps:,} steps")
    return measured("memory", steps)


def million(full: bool, say: Say) -> Any:
    """Return the steps of both halves, and the seconds of a step, round by round."""
    steps = {"manual": 1_000_000, "keras": 60_000} if full else {"manual": 20_000, "keras": 2_000}
    seconds: dict[str, list[float]] = {half: [] for half in steps}
    for number in range(1 if full else ROUNDS):
        for half, count in steps.items():
            say(f"mazur: round {number + 1}, {count:,} steps, {half}")
            seconds[half].append(measured("million", half, count) / count)
    return {"steps": steps, "seconds": seconds}


MEASURES: dict[str, Callable[[bool, Say], Any]] = {
    "growth": growth,
    "imports": imports,
    "lockstep": lockstep,
    "sampled": sampled,
    "memory": memory,
    "million": million,
}
