"""The chains of a whole network: of every weight and every unit, the text that explains it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from compare.explain.chain import UNIT_BY_UNIT
from compare.explain.names import Names
from compare.explain.page import LARGEST_WRITTEN_OUT
from compare.explain.step import Step
from compare.explain.text import folded
from compare.explain.unit import UnitPage
from compare.explain.weight import WeightPage
from manual.layers import Activation, Dense, InputLayer
from manual.network import Network


def chains(step: Step, names: Names | None = None) -> dict[str, str]:
    """Return the chain of every weight and every unit of a network's dense layers.

    Each is a page of ``explain`` without its title: at most 80 columns wide, by hand and Keras.
    What has no chain of its own is left out: weights of other layers and of a layer that is called
    several times, units with further axes beside the samples', and everything where gradients are
    those of a scaled loss.

    Parameters
    ----------
    step : Step
    names : Names, optional
        By default everything is called as in a trace.

    Returns
    -------
    dict of str to str
        Under ``hidden/kernel[0,1]``, ``hidden/bias[0]``, and ``hidden[0]`` for a unit; the units
        of an input under its node's name.
    """
    if _is_scaled(step.network):
        return {}
    names = Names() if names is None else names
    with np.errstate(all="ignore"):
        return dict([*_of_weights(step, names), *_of_units(step, names)])


def _of_weights(step: Step, names: Names) -> Iterator[tuple[str, str]]:
    page = WeightPage(step, names)
    calls = _calls_of_dense(step.network)
    for name, owner in step.network.owners.items():
        own = calls.get(owner.name, [])
        if len(own) != 1 or page.values[own[0]].ndim != 2:
            continue
        for index in np.ndindex(step.weights[name].shape):
            place = f"{name}[{','.join(map(str, index))}]"
            yield place, folded(page.of_weight(name, index))


def _of_units(step: Step, names: Names) -> Iterator[tuple[str, str]]:
    page = UnitPage(step, names)
    places = page.places()
    for name, node in places.items():
        if name.endswith("/pre_activation") and list(places.values()).count(node) > 1:
            continue  # a unit goes by the name of what it puts out
        for unit in range(page.values[node].shape[1]):
            yield f"{name}[{unit}]", folded(page.of_unit(node, unit))


def is_written_out(network: Network) -> bool:
    """Say whether a network is small, and every weight and unit of it has a chain.

    It has at most 60 weights, dense layers that are called once and take one row of numbers for a
    sample, and between them nothing but activations, Dropout and Flatten.
    """
    weights = sum(parameter.size for parameter in network.parameters.values())
    return (
        weights <= LARGEST_WRITTEN_OUT
        and not _is_scaled(network)
        and all(isinstance(one.layer, (InputLayer, Dense, *UNIT_BY_UNIT)) for one in network.nodes)
        and all(len(own) == 1 for own in _calls_of_dense(network).values())
        and _is_of_rows(network)
    )


def _is_scaled(network: Network) -> bool:
    optimizer = network.optimizer
    return optimizer is not None and bool(optimizer.scaling or optimizer.loss_scale_factor)


def _calls_of_dense(network: Network) -> Mapping[str, list[int]]:
    """Return the nodes at which each dense layer is called."""
    calls: dict[str, list[int]] = {}
    for index, node in enumerate(network.nodes):
        if isinstance(node.layer, Dense):
            calls.setdefault(node.layer.name, []).append(index)
    return calls


def _is_of_rows(network: Network) -> bool:
    """Say whether dense layers take a row for each sample, and activations keep its length."""
    shapes: list[tuple[int, ...]] = []
    for node in network.nodes:
        if isinstance(node.layer, InputLayer):
            shapes.append(tuple(size or 1 for size in node.layer.shape))
            continue
        taken = shapes[node.inputs[0]]
        shapes.append(node.layer.output_shape(taken))
        if isinstance(node.layer, Dense) and len(taken) != 1:
            return False
        if isinstance(node.layer, Activation) and shapes[-1] != taken:
            return False
    return True
