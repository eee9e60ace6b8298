"""Which rows are timed, and who takes part in each."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from benchmarks.contenders import CONTENDERS, HAND
from benchmarks.networks import NETWORKS
from benchmarks.problem import DTYPES, OPTIMIZERS

MEASURES: dict[str, str] = {
    "growth": "how a step grows with width, depth, batch and parameters",
    "imports": "imports, --help, the first verdict",
    "lockstep": "what the comparison costs beside Keras fit",
    "sampled": "what it costs where each 50th step is compared",
    "memory": "the memory of a comparison as steps grow",
    "million": "a million steps of mazur beside 60,000 of Keras fit",
}

EXTRAS: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("2-2-2", "SGD", "float64", (HAND, "inlined", "keras", "torch", "jax")),
    ("digits", "Adam", "float32", (HAND, "keras", "torch", "jax", "sklearn")),
    ("wide", "SGD", "float64", (HAND, "inlined", "products", "keras", "torch", "jax")),
    ("cnn", "Adam", "float32", (HAND, "keras", "torch")),
)
"""What is timed by default beside every network with SGD in float32."""

COMPILED_FOR = {"mnist", "cnn"}
"""Where contenders that start slowly take part by default."""


@dataclass(frozen=True)
class Asked:
    """What the command line asked for; empty where it left the choice open."""

    networks: tuple[str, ...] = ()
    contenders: tuple[str, ...] = ()
    optimizers: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ()
    everything: bool = False


@dataclass(frozen=True)
class Planned:
    """One row, and who takes part in it."""

    network: str
    optimizer: str
    dtype: str
    contenders: tuple[str, ...]


def planned(asked: Asked) -> list[Planned]:
    """Return the rows to be timed."""
    networks = asked.networks or tuple(NETWORKS)
    if asked.everything or asked.optimizers or asked.dtypes:
        optimizers = asked.optimizers or (tuple(OPTIMIZERS) if asked.everything else ("SGD",))
        dtypes = asked.dtypes or (DTYPES if asked.everything else ("float32",))
        rows = [
            Planned(network, optimizer, dtype, taking_part(network, optimizer, asked))
            for network, optimizer, dtype in product(networks, optimizers, dtypes)
        ]
    else:
        rows = []
        for network in networks:
            rows.append(Planned(network, "SGD", "float32", taking_part(network, "SGD", asked)))
            for name, optimizer, dtype, contenders in EXTRAS:
                if name == network:
                    some = [one for one in contenders if chosen(one, asked)]
                    rows.append(Planned(network, optimizer, dtype, tuple(some)))
    return [row for row in rows if len(row.contenders) > 1]


def chosen(contender: str, asked: Asked) -> bool:
    """Say whether a contender was asked for: each is, where none was named; we always are."""
    return contender == HAND or not asked.contenders or contender in asked.contenders


def taking_part(network: str, optimizer: str, asked: Asked) -> tuple[str, ...]:
    """Return who takes part in one row."""
    return tuple(
        name
        for name, entry in CONTENDERS.items()
        if chosen(name, asked)
        and entry.declines(NETWORKS[network], optimizer) is None
        and (
            not entry.slow_start
            or asked.everything
            or name in asked.contenders
            or network in COMPILED_FOR
        )
    )
