"""What the hand-written half is meant to reach, and whether it does."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field

from benchmarks.results import (
    Results,
    gemm_share,
    kept_per_step,
    lockstep_costs,
    million_over_sixty_thousand,
    over_numpy,
    sampled_cost,
    verdict_over_imports,
)

BESIDE_FIT = {
    "2-2-2": 0.1,
    "2-3-1": 0.1,
    "digits": 0.25,
    "mnist": 0.25,
    "wide": 0.6,
    "cnn": 1.0,
    "resnet": 1.0,
    "lstm": 1.0,
    "gru": 1.0,
    "attention": 1.0,
}
BESIDE_PEERS = {"torch": 1.0, "sklearn": 1.0, "jax": 1.25, "inlined": 1.3}
TITLES = {"torch": "PyTorch", "sklearn": "scikit-learn", "jax": "JAX jit", "inlined": "a loop"}


def limit(network: str, peer: str) -> float | None:
    """Return what manual ÷ peer is meant to stay below, or None."""
    if peer in ("keras", "keras-xla"):
        return BESIDE_FIT[network]
    return BESIDE_PEERS.get(peer)


@dataclass
class Target:
    """One target, and everything measured that has to reach it.

    Attributes
    ----------
    what, unit : str
    limit : float
    at_least : bool
        Whether more is better.
    measured : dict of str to float
    """

    what: str
    limit: float
    unit: str = ""
    at_least: bool = False
    measured: dict[str, float] = field(default_factory=dict)

    @property
    def reached(self) -> bool:
        value = self.worst[1]
        return value >= self.limit if self.at_least else value <= self.limit

    @property
    def worst(self) -> tuple[str, float]:
        """The measurement that is furthest from the target's good side."""
        choose = min if self.at_least else max
        return choose(self.measured.items(), key=lambda item: item[1])

    @property
    def sign(self) -> str:
        return "≥" if self.at_least else "≤"


def targets(results: Results) -> list[Target]:
    """Return the targets about which something was measured."""
    return [one for one in [*_of_rows(results), *_of_measures(results)] if one.measured]


def _of_rows(results: Results) -> Iterator[Target]:
    ratios = list(results.ratios())
    for most in sorted(set(BESIDE_FIT.values())):
        names = [name for name, one in BESIDE_FIT.items() if one == most]
        here = {
            f"{row.title}{' · XLA' if peer == 'keras-xla' else ''}": ratio.median
            for row, peer, ratio in ratios
            if peer in ("keras", "keras-xla") and row.network in names
        }
        yield Target(f"÷ Keras fit: {', '.join(names)}", most, measured=here)
    for contender, most in BESIDE_PEERS.items():
        here = {row.title: ratio.median for row, peer, ratio in ratios if peer == contender}
        yield Target(f"÷ {TITLES[contender]}, wherever it competes", most, measured=here)
    shares = {
        row.title: 100 * gemm_share(row).median for row in results.rows if "products" in row.peers
    }
    yield Target("of the machine's GEMM rate: wide", 75.0, " %", at_least=True, measured=shares)


def _of_measures(results: Results) -> Iterator[Target]:
    measures = results.measures
    if "lockstep" in measures:
        costs = {name: one.median for name, one in lockstep_costs(measures["lockstep"]).items()}
        yield Target("lock-step ÷ Keras fit", 3.0, measured=costs)
    if "sampled" in measures:
        cost = sampled_cost(measures["sampled"]).median
        yield Target("each 50th step compared ÷ Keras fit", 1.1, measured={"": cost})
    if "imports" in measures:
        waits = measures["imports"]
        told = "import manual beyond import numpy"
        yield Target(told, 0.25, " s", measured={"": over_numpy(waits)})
        slowest = statistics.median(waits["compare --help"])
        yield Target("python -m compare --help", 0.5, " s", measured={"": slowest})
        verdict = verdict_over_imports(waits).median
        told = "first verdict ÷ importing TensorFlow and Keras"
        yield Target(told, 1.3, measured={"": verdict})
    if "memory" in measures:
        # Whoever keeps anything that a step computed keeps more than this.
        kept = kept_per_step(measures["memory"]) * 1024
        whole = measures["memory"]["weights"] * 1024
        told = "kept of each compared step, below one copy of the weights"
        yield Target(told, whole, " KiB", measured={"": kept})
    if "million" in measures:
        ratio = million_over_sixty_thousand(measures["million"]).median
        yield Target("a million steps ÷ 60,000 of Keras fit", 1.0, measured={"": ratio})
