"""A whole step, forwards and back, with one thing in one layer done otherwise.

Who reads a model wrongly, another ε or another order of gates say, makes no slip in any derivative:
everything is right, but for another network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import permutations
from typing import Any

import numpy as np

from compare.rounding.noise import Noisy
from manual.layers import BatchNormalization
from manual.network import Network

Gradients = dict[str, Noisy]

EPSILONS = (1e-3, 1e-5, 1e-6, 1e-7, 1e-8, 0.0)
GATES = {3: "zrh", 4: "ifco"}
"""By their number: the letters of a recurrent layer's gates, in Keras's order."""


def otherwise(network: Network, whole: Callable[[], Gradients]) -> Iterator[tuple[str, Gradients]]:
    """Give what was done otherwise, and the gradients that come of it.

    Parameters
    ----------
    network : manual.Network
        It is as before when each is given.
    whole : callable
        Runs it forwards and back.
    """
    for layer in network.layers:
        name = layer.name
        own = getattr(layer, "epsilon", None)
        for epsilon in EPSILONS if own is not None else ():
            if epsilon != own:
                with _with(layer, "epsilon", epsilon):
                    yield f"ε is {epsilon:g} in {name} instead of {own:g}", whole()
        if isinstance(layer, BatchNormalization) and layer.trainable:
            with _with(layer, "trainable", False):
                yield f"{name} takes its moving averages, as at inference", whole()
        for parameter in layer.parameters:
            if parameter.name == "bias":
                with _with(parameter, "value", parameter.value * 0.0):
                    yield f"the bias of {name} is not added", whole()
        letters = GATES.get(getattr(layer, "gates", 0), "")
        for order in list(permutations(range(len(letters))))[1:]:
            told = ", ".join(letters[gate] for gate in order)
            yield (
                f"the gates of {name} are taken in the order {told}",
                _regated(layer, order, whole),
            )


@contextmanager
def _with(owner: Any, attribute: str, value: Any) -> Iterator[None]:
    before = getattr(owner, attribute)
    setattr(owner, attribute, value)
    try:
        yield
    finally:
        setattr(owner, attribute, before)


def _regated(layer: Any, order: tuple[int, ...], whole: Callable[[], Gradients]) -> Gradients:
    """Run with the gates of each weight in another order; return the gradients in the weight's."""
    before = {parameter: parameter.value for parameter in layer.parameters}

    def arranged(array: Any, order: Any) -> Any:
        blocks = np.split(array, len(order), axis=-1)
        return np.concatenate([blocks[one] for one in order], axis=-1)

    # Gate g is read where the order has it: that block has to stand at g's own place.
    where = [order.index(gate) for gate in range(len(order))]
    for parameter, value in before.items():
        parameter.value = arranged(value, where)
    try:
        gradients = whole()
    finally:
        for parameter, value in before.items():
            parameter.value = value
    for parameter in layer.parameters:
        name = f"{layer.name}/{parameter.name}"
        if name in gradients:
            gradients[name] = arranged(gradients[name], order)
    return gradients
