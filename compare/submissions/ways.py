"""Ways of training a worked network that people mix up with the right one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

import manual.networks
from compare.cases.base import HALF_SQUARED_SUM, Run
from compare.cases.casework import built, precision
from manual.backpropagation import Pass
from manual.constraints import Constant
from manual.layers import Activation
from manual.network import Network, batches

Reader = Callable[[Network], float]


@dataclass(frozen=True)
class Way:
    """One way of training that differs from the right one.

    Attributes
    ----------
    sentence : str
    updated_first : bool
        Each layer's weights move before the gradient is carried on through them.
    factor : float
        The gradients are multiplied with it.
    loss : str, optional
        What is differentiated instead.
    biases : str, optional
        ``"trained"`` or ``"frozen"``.
    batch_size : int, optional
    derivative : str, optional
        ``"missing"`` or ``"at a"``: what is done to the derivative of an activation.
    layers : frozenset of str
        In which layers.
    """

    sentence: str
    updated_first: bool = False
    factor: float = 1.0
    loss: str | None = None
    biases: str | None = None
    batch_size: int | None = None
    derivative: str | None = None
    layers: frozenset[str] = frozenset()


def trained_alike(run: Run, loss: str | None = None) -> Network:
    """Return the hand-written network of a run, compiled, in float64."""
    network: Network = getattr(manual.networks, run.network)("float64", **run.options)
    rate = {"class_name": run.optimizer, "config": {"learning_rate": run.learning_rate}}
    network.compile(loss or run.loss, rate)
    if run.drawn_by_keras:
        network.set_weights(_drawn(run))
    return network


_DRAWN: dict[tuple[str, str, int], list[Any]] = {}


def _drawn(run: Run) -> list[Any]:
    """Return the initial weights that Keras draws for a run."""
    key = run.network, run.dtype, run.seed
    if key not in _DRAWN:
        with precision(run.dtype):
            _DRAWN[key] = built(run)[1].get_weights()
    return _DRAWN[key]


def ways(run: Run) -> Iterator[Way]:
    """Give the ways of training a run that people mix up with the right one."""
    yield Way("the deltas of a layer use the already updated weights behind it", updated_first=True)
    network = trained_alike(run)
    has_bias = any(name.endswith("/bias") for name in network.parameters)
    if any(isinstance(p.constraint, Constant) for p in network.parameters.values()):
        yield Way("the biases are trained too", biases="trained")
    elif has_bias:
        yield Way("the biases are not updated", biases="frozen")
    samples, outputs = min(run.batch_size, len(run.x)), run.y.shape[-1]
    factors = (
        (2.0, "the gradient is twice as large (no ½, or a 2 too many)"),
        (0.5, "the gradient is half as large (a ½ too many, or no 2)"),
        (float(samples), "the gradients of a batch are added up, not averaged"),
        (1.0 / samples, "the gradients of a batch are averaged, not added up"),
        (float(outputs), "the outputs' errors are added up, not averaged"),
        (1.0 / outputs, "the outputs' errors are averaged, not added up"),
        (-1.0, "the weights move uphill"),
        (1.0 / run.learning_rate, "the learning rate is not multiplied in"),
        (run.learning_rate, "the learning rate is multiplied in twice"),
    )
    for factor, sentence in factors:
        if factor != 1.0:
            yield Way(sentence, factor=factor)
    yield from _derivatives(network)
    for loss, name in LOSSES.items():
        if loss != run.loss and possible(run, loss):
            yield Way(f"{name} is differentiated", loss=loss)
    if run.batch_size > 1:
        yield Way("every sample makes an update of its own", batch_size=1)
    elif len(run.x) > 1:
        yield Way("all samples make one update together", batch_size=len(run.x))


LOSSES = {
    HALF_SQUARED_SUM: "½ (y − o)²",
    "mse": "the mean squared error",
    "mae": "the mean absolute error",
    "binary_crossentropy": "the binary cross-entropy",
}


def possible(run: Run, loss: str) -> bool:
    """Say whether a loss can be taken of these targets."""
    return "cross" not in loss or (run.y.min() >= 0.0 and run.y.max() <= 1.0)


def _derivatives(network: Network) -> Iterator[Way]:
    """Give slips in the derivatives of activations: in one layer, in all hidden ones, in all."""
    names = [
        node.layer.name
        for index, node in enumerate(network.nodes)
        if isinstance(node.layer, Activation)
        and not any(head.reads == node.inputs[0] for head in network.heads)
        and index
    ]
    groups = [([name], f"in {name}") for name in names]
    if len(names) > 2:
        groups.append((names[:-1], f"in all layers but {names[-1]}"))
    if len(names) > 1:
        groups.append((names, "in every layer"))
    for layers, where in groups:
        for derivative, sentence in (
            ("missing", "the derivative of the activation is missing"),
            ("at a", "the derivative is taken at the activation, not at the pre-activation,"),
        ):
            told = f"{sentence} {where}"
            yield Way(told, derivative=derivative, layers=frozenset(layers))


def readings(run: Run, way: Way, after: int, read: Reader) -> Mapping[int, float]:
    """Train in a way; return the number after that many updates, and after one less and more."""
    network = trained_alike(run, way.loss)
    if way.biases == "trained":
        network.constrained = []
    held = (
        {name: p.value.copy() for name, p in network.parameters.items() if name.endswith("/bias")}
        if way.biases == "frozen"
        else {}
    )
    size = way.batch_size or run.batch_size
    rows = list(batches(np.arange(len(run.x)), size))
    batched = [(run.x[part].astype(float), run.y[part].astype(float)) for part in rows]
    found = {}
    for update in range(after + 2):
        if update >= after - 1:
            found[update] = read(network)
        _step(network, *batched[update % len(batched)], way)
        for name, value in held.items():
            network.parameters[name].value[...] = value
    return found


def _step(network: Network, x: Any, y: Any, way: Way) -> None:
    """Make one update in a way."""
    run = network.forward(x, training=True)
    _, upstream = network.loss(run, y)
    upstream = {index: gradient * way.factor for index, gradient in upstream.items()}
    network.clear_gradients()
    if not way.updated_first:
        network.backward(run, upstream, altered=_other_derivative(network, run, way))
        network.update()
        return

    def update_first(index: int, dy: Any) -> Any:
        node = network.nodes[index]
        layer = node.layer
        if node.outputs or not node.is_run:
            return dy
        layer.backward(dy, run.saved[index])
        assert network.optimizer is not None
        rate = network.optimizer.learning_rate
        for parameter in layer.parameters:
            parameter.value -= rate * parameter.gradient
            if parameter in network.constrained and parameter.constraint is not None:
                parameter.constraint.apply(parameter.value)
            parameter.gradient[...] = 0.0
            parameter.rows.clear()
        return dy

    network.backward(run, upstream, altered=update_first)


def _other_derivative(network: Network, run: Pass, way: Way) -> Callable[[int, Any], Any] | None:
    """Return what puts another derivative in the place of an activation's."""
    if way.derivative is None:
        return None
    after = {
        node.inputs[0]: index
        for index, node in enumerate(network.nodes)
        if isinstance(node.layer, Activation) and node.layer.name in way.layers
    }

    def altered(index: int, dz: Any) -> Any:
        if index not in after:
            return dz
        da, a = run.gradients[after[index]], run.values[after[index]]
        if way.derivative == "missing":
            return da
        function: Any = vars(network.nodes[after[index]].layer)["function"]
        return function.backward(da, a, function.forward(a))

    return altered
