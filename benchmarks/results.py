"""All that one run of the benchmark measured."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.contenders import HAND
from benchmarks.race import Row, Spread


@dataclass
class Results:
    """Rows and measurements, as far as the run has come.

    Attributes
    ----------
    machine : dict
    rows : list of Row
    measures : dict of str to object
        As `benchmarks.measures.gather` returns them.
    interrupted : bool
    """

    machine: dict[str, str | int | float]
    rows: list[Row] = field(default_factory=list)
    measures: dict[str, Any] = field(default_factory=dict)
    interrupted: bool = False

    def ratios(self) -> Iterator[tuple[Row, str, Spread]]:
        """Go through every ratio of every row."""
        for row in self.rows:
            for peer in row.peers:
                yield row, peer, row.ratio(peer)

    def libraries(self) -> list[str]:
        """Return what took part, each library once."""
        return list(dict.fromkeys(about for row in self.rows for about in row.about.values()))

    def absent(self) -> list[str]:
        """Return who couldn't take part, each sentence once."""
        return list(dict.fromkeys(why for row in self.rows for why in row.absent.values()))

    def as_dict(self) -> dict[str, Any]:
        """Return everything for JSON."""
        rows = [
            {**asdict(row), "ratios": {peer: asdict(row.ratio(peer)) for peer in row.peers}}
            for row in self.rows
        ]
        return {
            "machine": self.machine,
            "interrupted": self.interrupted,
            "rows": rows,
            "measures": self.measures,
        }


def lockstep_costs(measured: dict[str, Any]) -> dict[str, Spread]:
    """Return for each network how many times longer a compared step takes than one of fit."""
    return {
        network: Spread.of(
            [mine / fit for mine, fit in zip(one["lockstep"], one["fit"], strict=True)]
        )
        for network, one in measured.items()
    }


def sampled_cost(measured: dict[str, list[float]]) -> Spread:
    """Return a step of a training in which each 50th is compared, ÷ one of fit alone."""
    pairs = zip(measured["sampled"], measured["fit"], strict=True)
    return Spread.of([mine / fit for mine, fit in pairs])


def over_numpy(measured: dict[str, list[float]]) -> float:
    """Return the seconds that ``import manual`` takes beyond ``import numpy``."""
    pairs = zip(measured["import manual"], measured["import numpy"], strict=True)
    return statistics.median(mine - numpy for mine, numpy in pairs)


def verdict_over_imports(measured: dict[str, list[float]]) -> Spread:
    """Return how many times longer a first verdict takes than importing TensorFlow and Keras."""
    pairs = zip(measured["first verdict"], measured["import tensorflow, keras"], strict=True)
    return Spread.of([mine / theirs for mine, theirs in pairs])


def kept_per_step(measured: dict[str, Any]) -> float:
    """Return the MiB that a comparison keeps of each step, over the second half of its steps."""
    held = measured["held"]
    (first, before), (last, after) = held[len(held) // 2 - 1], held[-1]
    return float((after - before) / (last - first))


def million_over_sixty_thousand(measured: dict[str, Any]) -> Spread:
    """Return a million steps by hand ÷ 60,000 of Keras fit."""
    seconds = measured["seconds"]
    pairs = zip(seconds[HAND], seconds["keras"], strict=True)
    return Spread.of([1_000_000 * mine / (60_000 * theirs) for mine, theirs in pairs])


def gemm_share(row: Row) -> Spread:
    """Return which part of a hand-written step the matrix products alone would take."""
    pairs = zip(row.seconds["products"], row.seconds[HAND], strict=False)
    return Spread.of([products / mine for products, mine in pairs])
